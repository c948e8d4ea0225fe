//! Which block device a path stands for. A name like `root` or `sdb` is not enough: two volume
//! groups have a `root`, and after a restart `sdb` may be another disk.

use std::fs::{Metadata, read_to_string};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};
use serde::{Deserialize, Serialize};

use crate::util::exact_path;

/// Files of a device's folder in `/sys` of which one tells it from all others, the surest first.
const IDENTITIES: [&str; 7] = [
    "dm/uuid",
    "md/uuid",
    "wwid",
    "device/wwid",
    "serial",
    "device/serial",
    "loop/backing_file",
];

/// A device, as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DevicePrint {
    /// Its path from the root, with the links that were typed.
    #[serde(with = "exact_path")]
    path: PathBuf,
    /// What the kernel calls it whatever its path is; not every driver knows something.
    identity: Option<String>,
}

impl DevicePrint {
    pub(super) fn of(path: &Path, meta: &Metadata) -> Self {
        let (major, minor) = (major(meta.rdev()), minor(meta.rdev()));
        let folder = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
        Self {
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            identity: identity(&folder),
        }
    }

    /// What is different now; nothing where it is the same device.
    pub(super) fn change(&self, now: &Self) -> Option<String> {
        let is_same = match (&self.identity, &now.identity) {
            (Some(was), Some(is)) => was == is,
            _ => self.path == now.path,
        };
        let name = |device: &Self| match &device.identity {
            Some(identity) => format!("{} ({identity})", device.path.display()),
            None => device.path.display().to_string(),
        };
        (!is_same).then(|| {
            let (was, is) = (name(self), name(now));
            format!("it was {was}, and {is} is another device")
        })
    }
}

/// What the kernel says in the folder of a device; of a partition also its number.
fn identity(folder: &Path) -> Option<String> {
    let line = |folder: &Path, name: &str| {
        let text = read_to_string(folder.join(name)).ok()?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let known = |folder: &Path| IDENTITIES.iter().find_map(|name| line(folder, name));
    match line(folder, "partition") {
        Some(number) => {
            let disk = known(folder.canonicalize().ok()?.parent()?)?;
            Some(format!("partition {number} of {disk}"))
        }
        None => known(folder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(path: &str, identity: Option<&str>) -> DevicePrint {
        DevicePrint {
            path: path.into(),
            identity: identity.map(str::to_owned),
        }
    }

    #[test]
    fn a_device_is_known_by_what_the_kernel_says_and_else_by_its_path() {
        let one = device("/dev/vg1/root", Some("LVM-1"));
        for (other, is_same) in [
            (device("/dev/vg2/root", Some("LVM-2")), false),
            (device("/dev/vg1/root", Some("LVM-2")), false),
            (device("/dev/mapper/root", Some("LVM-1")), true),
            (device("/dev/vg1/root", None), true),
            (device("/dev/vg2/root", None), false),
        ] {
            assert_eq!(one.change(&other).is_none(), is_same, "{other:?}");
            assert_eq!(other.change(&one).is_none(), is_same, "{other:?}");
        }
    }

    #[test]
    fn a_partition_is_known_by_its_disk_and_its_number() {
        let dir = tempfile::tempdir().unwrap();
        let partition = dir.path().join("sda/sda2");
        std::fs::create_dir_all(&partition).unwrap();
        assert_eq!(identity(&partition), None);
        std::fs::write(partition.join("partition"), "2\n").unwrap();
        assert_eq!(identity(&partition), None);
        std::fs::write(dir.path().join("sda/serial"), "\n").unwrap();
        assert_eq!(identity(&partition), None);
        std::fs::write(dir.path().join("sda/wwid"), "naa.5\n").unwrap();
        assert_eq!(identity(&partition).unwrap(), "partition 2 of naa.5");
        assert_eq!(identity(&dir.path().join("sda")).unwrap(), "naa.5");
    }
}

//! Which block device a path stands for, and what was written to it. A name like `root` or `sdb` is
//! not enough: two volume groups have a `root`, and after a restart `sdb` may be another disk. A
//! device has no time of its last change, but the kernel counts what is written to it.

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
    /// What was written to it by then; Linux before 5.15 does not say what it counts.
    #[serde(default)]
    written: Option<Written>,
}

/// What the kernel counts for a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    /// Since which start of the machine, and since when after that: a device that went and came
    /// back is another one.
    boot: String,
    sequence: String,
    /// Writes and discards that were completed, and the sectors of both.
    counts: Vec<u64>,
}

impl DevicePrint {
    pub(super) fn of(path: &Path, meta: &Metadata) -> Self {
        let (major, minor) = (major(meta.rdev()), minor(meta.rdev()));
        let folder = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
        Self {
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            identity: identity(&folder),
            written: written(&folder),
        }
    }

    /// Whether it was written to; false also where that is not known.
    pub(super) fn was_written_to(&self, now: &Self) -> bool {
        match (&self.written, &now.written) {
            (Some(was), Some(is)) => {
                (&was.boot, &was.sequence) == (&is.boot, &is.sequence) && was.counts != is.counts
            }
            _ => false,
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

/// What a file of the kernel says, if it says something.
fn line(folder: &Path, name: &str) -> Option<String> {
    let text = read_to_string(folder.join(name)).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// What the kernel counts in the folder of a device, in `stat`: the fields are those of the
/// kernel's Documentation/block/stat.rst.
fn written(folder: &Path) -> Option<Written> {
    const FIELDS: [usize; 4] = [4, 6, 11, 13];
    let of_disk = || line(folder.canonicalize().ok()?.parent()?, "diskseq");
    let stat = line(folder, "stat")?;
    let fields: Vec<_> = stat.split_whitespace().collect();
    let count = |at: usize| fields.get(at)?.parse().ok();
    Some(Written {
        boot: line(Path::new("/proc/sys/kernel/random"), "boot_id")?,
        sequence: line(folder, "diskseq").or_else(of_disk)?,
        counts: FIELDS.into_iter().map(count).collect::<Option<_>>()?,
    })
}

/// What the kernel says in the folder of a device; of a partition also its number.
fn identity(folder: &Path) -> Option<String> {
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
            written: None,
        }
    }

    #[test]
    fn what_was_written_is_known_until_the_device_goes() {
        let dir = tempfile::tempdir().unwrap();
        let partition = dir.path().join("sda/sda2");
        std::fs::create_dir_all(&partition).unwrap();
        let stat = |writes: u64, reads: u64| {
            let stat = format!("  {reads} 0 8 1 {writes} 0 64 2 0 5 6 0 0 0 0 0 0\n");
            std::fs::write(partition.join("stat"), stat).unwrap();
            DevicePrint {
                written: written(&partition),
                ..device("/dev/sda2", None)
            }
        };
        let is_known = |print: &DevicePrint| print.written.is_some();
        assert!(!is_known(&stat(3, 3)));
        std::fs::write(dir.path().join("sda/diskseq"), "7\n").unwrap();
        let was = stat(3, 3);
        assert!(is_known(&was) && was.change(&stat(4, 3)).is_none());
        assert!(was.was_written_to(&stat(4, 3)) && !was.was_written_to(&stat(3, 4)));
        std::fs::write(dir.path().join("sda/diskseq"), "8\n").unwrap();
        assert!(!was.was_written_to(&stat(4, 3)));
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

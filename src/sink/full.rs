//! A target that cannot become larger: what has no room left, in words of its own.

use std::io;
use std::os::linux::fs::MetadataExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::statfs::statfs;

use super::error::TargetError;
use super::limit::Limit;
use crate::error::Error;
use crate::util::paths::folder_of;

/// An operating system's refusal to take bytes of a target. Where there is no room, the error says
/// what is full: an offset would be of no use then.
pub(crate) fn refusal(
    doing: &'static str,
    path: &Path,
    offset: Option<u64>,
    source: io::Error,
) -> Error {
    if let Some(full) = full(doing, path, Some(path), &source) {
        return full.into();
    }
    match offset {
        Some(offset) => Error::io_at(doing, path, offset, source),
        None => Error::io(doing, path, source),
    }
}

/// The error for a target that lies at `place` and has no room; `None` where something else is
/// wrong with it.
pub(super) fn full(
    doing: &'static str,
    path: &Path,
    place: Option<&Path>,
    source: &io::Error,
) -> Option<TargetError> {
    let errno = source.raw_os_error().map(Errno::from_raw);
    let limit = match errno {
        Some(Errno::ENOSPC) => match place {
            Some(place) if is_device(place) => Limit::Device,
            Some(place) => full_file_system(place),
            None => Limit::FileSystem(None),
        },
        Some(Errno::EDQUOT) => Limit::Quota(place.and_then(mount_point)),
        Some(Errno::EFBIG) => Limit::FileSize,
        _ => return None,
    };
    Some(TargetError::Full {
        doing,
        path: path.to_owned(),
        limit,
    })
}

fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| {
        let kind = meta.file_type();
        kind.is_block_device() || kind.is_char_device()
    })
}

fn full_file_system(path: &Path) -> Limit {
    let Some(place) = mount_point(path) else {
        return Limit::FileSystem(None);
    };
    // Where there are blocks and no inodes, a number of free bytes would be no explanation.
    match statfs(&place) {
        Ok(stat) if stat.files() > 0 && stat.files_free() == 0 && stat.blocks_free() > 0 => {
            Limit::Inodes(place)
        }
        _ => Limit::FileSystem(Some(place)),
    }
}

/// The highest directory of the file system that `path`, which may not exist yet, lies on.
fn mount_point(path: &Path) -> Option<PathBuf> {
    let real = path
        .canonicalize()
        .or_else(|_| folder_of(path).canonicalize());
    let real = real.ok()?;
    let device = std::fs::metadata(&real).ok()?.st_dev();
    let is_same = |dir: &&Path| std::fs::metadata(dir).is_ok_and(|meta| meta.st_dev() == device);
    let highest = real.ancestors().take_while(is_same).last();
    highest.map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(errno: Errno, path: &Path) -> Option<String> {
        full("writing", path, Some(path), &errno.into()).map(|error| error.to_string())
    }

    #[test]
    fn what_is_full_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("disk.raw");
        let mount = mount_point(dir.path()).unwrap();
        assert!(dir.path().canonicalize().unwrap().starts_with(&mount));
        let (target_name, mount) = (target.display(), mount.display());
        assert_eq!(
            error(Errno::ENOSPC, &target).unwrap(),
            format!(
                "writing {target_name}: No space left on device: the file system {mount} is full"
            )
        );
        assert_eq!(
            error(Errno::EDQUOT, &target).unwrap(),
            format!("writing {target_name}: Disk quota exceeded on the file system {mount}")
        );
        assert_eq!(
            error(Errno::EFBIG, &target).unwrap(),
            format!("writing {target_name}: File too large")
        );
        assert_eq!(
            error(Errno::ENOSPC, Path::new("/dev/full")).unwrap(),
            "writing /dev/full: No space left on device"
        );
        assert_eq!(error(Errno::EIO, &target), None);
    }

    #[test]
    fn a_file_system_begins_where_the_device_changes() {
        assert_eq!(
            mount_point(Path::new("/proc/self")).unwrap(),
            Path::new("/proc")
        );
        assert_eq!(
            mount_point(Path::new("/proc/no")).unwrap(),
            Path::new("/proc")
        );
        assert_eq!(mount_point(Path::new("/nothing/here")), None);
    }
}

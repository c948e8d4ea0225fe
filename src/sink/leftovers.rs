//! Partial files whose program is no more: SIGKILL and a power failure leave them.
//!
//! A program holds a lock (flock(2)) on its partial file as long as it lives, whatever ends it. So
//! a partial file without a lock has no owner, and is removed by the next run for the same target.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::statfs::{FUSE_SUPER_MAGIC, FsType, NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, statfs};

/// Locks a partial file that was just made. False where another run took it for a leftover in the
/// moment between, and has removed it.
pub(super) fn claim(file: &File, path: &Path) -> bool {
    match file.try_lock() {
        Ok(()) => is_at(file, path),
        Err(TryLockError::WouldBlock) => false,
        // Where there are no locks, no run can get one to remove anything.
        Err(TryLockError::Error(_)) => true,
    }
}

/// Removes the files in a folder that are called `prefix` and `random` more characters and that
/// have no lock. Returns the removed files; files that cannot be removed stay.
pub(super) fn remove(folder: &Path, prefix: &OsStr, random: usize) -> Vec<PathBuf> {
    if !sees_all_locks(folder) {
        return Vec::new();
    }
    let is_partial = |name: &OsStr| {
        let rest = name.as_bytes().strip_prefix(prefix.as_bytes());
        rest.is_some_and(|rest| rest.len() == random && rest.iter().all(u8::is_ascii_alphanumeric))
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let partial = entries.filter(|entry| is_partial(&entry.file_name()));
    let mut removed: Vec<_> = partial
        .map(|entry| entry.path())
        .filter(|path| remove_one(path))
        .collect();
    removed.sort();
    removed
}

fn remove_one(path: &Path) -> bool {
    let is_file = |meta: std::fs::Metadata| meta.is_file();
    if !path.symlink_metadata().is_ok_and(is_file) {
        return false;
    }
    let file = File::options()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path);
    let Ok(file) = file else { return false };
    // The lock is held until the file is gone, so that no other run takes it meanwhile.
    file.try_lock().is_ok() && is_at(&file, path) && std::fs::remove_file(path).is_ok()
}

/// Whether a path still names an open file.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(file), Ok(named)) => (file.dev(), file.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Whether locks of all programs that may write here can be seen: not those of other hosts.
fn sees_all_locks(folder: &Path) -> bool {
    /// As in statfs(2) and linux/magic.h.
    const ELSEWHERE: [FsType; 8] = [
        NFS_SUPER_MAGIC,
        SMB_SUPER_MAGIC,
        FUSE_SUPER_MAGIC,
        FsType(0xff53_4d42), // CIFS
        FsType(0xfe53_4d42), // SMB2
        FsType(0x0102_1997), // 9P
        FsType(0x00c3_6400), // Ceph
        FsType(0x5346_414f), // AFS
    ];
    statfs(folder).is_ok_and(|stat| !ELSEWHERE.contains(&stat.filesystem_type()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_nobody_locks_goes_and_everything_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let all = [
            ".disk.raw.part-aB3dE6",
            ".disk.raw.part-alive0",
            ".disk.raw.part-short",
            ".disk.raw.part-toolong",
            ".disk.raw.part-no-one",
            ".disk.raw2.part-abcdef",
            "disk.raw",
        ];
        for name in all {
            std::fs::write(dir.join(name), name).unwrap();
        }
        std::os::unix::fs::symlink("disk.raw", dir.join(".disk.raw.part-symlnk")).unwrap();
        std::fs::create_dir(dir.join(".disk.raw.part-folder")).unwrap();
        let alive = File::open(dir.join(".disk.raw.part-alive0")).unwrap();
        assert!(claim(&alive, &dir.join(".disk.raw.part-alive0")));

        let removed = remove(dir, OsStr::new(".disk.raw.part-"), 6);

        assert_eq!(removed, [dir.join(".disk.raw.part-aB3dE6")]);
        let mut expected: Vec<_> = all[1..].to_vec();
        expected.extend([".disk.raw.part-folder", ".disk.raw.part-symlnk"]);
        expected.sort_unstable();
        assert_eq!(left(dir), expected);

        drop(alive);
        let removed = remove(dir, OsStr::new(".disk.raw.part-"), 6);
        assert_eq!(removed, [dir.join(".disk.raw.part-alive0")]);
    }

    #[test]
    fn a_new_file_that_was_taken_for_a_leftover_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("partial");
        let file = File::create(&path).unwrap();
        let other = File::open(&path).unwrap();
        other.lock().unwrap();
        assert!(!claim(&file, &path), "another run is removing it");
        std::fs::remove_file(&path).unwrap();
        drop(other);
        assert!(!claim(&file, &path), "another run has removed it");
    }
}

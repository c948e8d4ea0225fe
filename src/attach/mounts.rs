//! What is mounted where: `/proc/PID/mountinfo`, as proc_pid_mountinfo(5) describes it; and
//! mounting what is in a disk.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::device::Device;
use super::error::AttachError;
use crate::partition::FileSystem;

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// `major:minor` of what is mounted; of nothing that exists for btrfs.
    pub(super) numbers: String,
    pub(crate) point: PathBuf,
    /// The type of the file system, as the kernel calls it.
    pub(crate) kind: String,
    /// The mounted source, as the mount command named it.
    pub(crate) source: PathBuf,
    /// The options of the file system, with commas between them.
    pub(crate) options: String,
}

impl Mount {
    /// Whether it is a file system on a device or one of its partitions.
    pub(super) fn is_on(&self, device: Device, numbers: &[String]) -> bool {
        numbers.contains(&self.numbers) || Device::named(&self.source) == Some(device)
    }

    /// Reads the lines of `mountinfo`.
    pub(crate) fn parse(text: &[u8]) -> Vec<Self> {
        text.split(|&byte| byte == b'\n')
            .filter_map(|line| {
                // ID, parent's ID, major:minor, root, mount point, options, any number of others,
                // "-", type, source, options.
                let mut fields = line.split(|&byte| byte == b' ');
                let numbers = String::from_utf8(fields.nth(2)?.to_vec()).ok()?;
                let point = unescaped(fields.nth(1)?);
                fields.find(|field| *field == b"-")?;
                let kind = String::from_utf8_lossy(fields.next()?).into_owned();
                let source = unescaped(fields.next()?);
                let options = fields.next().unwrap_or_default();
                Some(Self {
                    numbers,
                    point,
                    kind,
                    source,
                    options: String::from_utf8_lossy(options).into_owned(),
                })
            })
            .collect()
    }
}

/// Everything that a process sees mounted; nothing where it has ended.
pub(crate) fn mounts_of(process: &str) -> Vec<Mount> {
    let path = format!("/proc/{process}/mountinfo");
    Mount::parse(&std::fs::read(path).unwrap_or_default())
}

/// The mounts of a device that this process sees.
pub(super) fn mounts_on(device: Device) -> Vec<Mount> {
    let numbers = device.numbers();
    let mut mounts = mounts_of("self");
    mounts.retain(|mount| mount.is_on(device, &numbers));
    mounts
}

/// Spaces, tabs, line ends and backslashes are written as three octal digits after a backslash.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail
            .get(..3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let octal = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
            Some(byte) if first == b'\\' => {
                bytes.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// How a file system is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountMode {
    /// So that nothing is replayed or written.
    ReadOnly,
    /// For writing; a journal is replayed.
    Writable,
}

/// The types under which the kernel mounts a file system, with the options that each needs so
/// that nothing of it is replayed; the first that the kernel knows is the right one.
fn ways(kind: FileSystem, mode: MountMode) -> Option<&'static [(&'static str, &'static str)]> {
    Some(match (kind, mode) {
        // The driver of ext4 takes all three.
        (FileSystem::Ext2 | FileSystem::Ext3 | FileSystem::Ext4, MountMode::ReadOnly) => {
            &[("ext4", "noload")]
        }
        (FileSystem::Ext2 | FileSystem::Ext3 | FileSystem::Ext4, MountMode::Writable) => {
            &[("ext4", "")]
        }
        // The same file system may be mounted from the disk that this is a copy of.
        (FileSystem::Xfs, MountMode::ReadOnly) => &[("xfs", "norecovery,nouuid")],
        (FileSystem::Xfs, MountMode::Writable) => &[("xfs", "nouuid")],
        // The second spelling is for Linux before 5.9.
        (FileSystem::Btrfs, MountMode::ReadOnly) => {
            &[("btrfs", "rescue=nologreplay"), ("btrfs", "nologreplay")]
        }
        (FileSystem::Btrfs, MountMode::Writable) => &[("btrfs", "")],
        (FileSystem::Vfat, _) => &[("vfat", "")],
        (FileSystem::ExFat, _) => &[("exfat", "")],
        // A read-only mount replays nothing.
        (FileSystem::Ntfs, _) => &[("ntfs3", "")],
        (FileSystem::HfsPlus, _) => &[("hfsplus", "")],
        (FileSystem::F2fs, MountMode::ReadOnly) => &[("f2fs", "norecovery")],
        (FileSystem::F2fs, MountMode::Writable) => &[("f2fs", "")],
        _ => return None,
    })
}

/// Whether [`mount_on`] can mount it.
#[must_use]
pub fn can_mount(kind: FileSystem) -> bool {
    ways(kind, MountMode::ReadOnly).is_some()
}

/// Mounts a file system on a directory. Programs on it get no rights by being there, and its device
/// nodes open nothing.
///
/// # Errors
///
/// [`AttachError::Mount`] where the kernel refuses, [`AttachError::NotMountable`] where it is
/// nothing that is mounted.
pub fn mount_on(
    node: &Path,
    kind: FileSystem,
    mode: MountMode,
    dir: &Path,
) -> Result<(), AttachError> {
    let ways = ways(kind, mode).ok_or(AttachError::NotMountable {
        path: node.to_owned(),
        kind,
    })?;
    let mut flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    if mode == MountMode::ReadOnly {
        flags |= MsFlags::MS_RDONLY;
    }
    let mut result = Ok(());
    for (name, options) in ways {
        result = mount(Some(node), dir, Some(*name), flags, Some(*options));
        if result != Err(nix::Error::EINVAL) {
            break;
        }
    }
    result.map_err(|error| AttachError::Mount {
        path: node.to_owned(),
        dir: dir.to_owned(),
        kind,
        source: error.into(),
    })
}

/// Unmounts a directory; `false` where something on it is in use.
pub(super) fn unmount(dir: &Path) -> Result<bool, AttachError> {
    match umount2(dir, MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) => Ok(true),
        Err(nix::Error::EBUSY) => Ok(false),
        Err(error) => Err(AttachError::Device {
            doing: "unmounting",
            path: dir.to_owned(),
            source: error.into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::device::Driver;
    use super::*;

    #[test]
    fn mountinfo_with_spaces_and_optional_fields() {
        let text =
            b"36 35 43:1 / /mnt/a\\040b\\134c rw,noatime master:1 shared:2 - ext4 /dev/nbd0p1 rw\n\
            37 35 0:44 /x /mnt/btr rw - btrfs /dev/nbd1 rw\n\
            broken line\n";
        let mounts = Mount::parse(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].point, Path::new("/mnt/a b\\c"));
        assert_eq!((&*mounts[0].kind, &*mounts[0].options), ("ext4", "rw"));
        assert!(mounts[0].is_on(Device::new(Driver::Nbd, 7), &["43:1".to_owned()]));
        assert!(!mounts[0].is_on(Device::new(Driver::Nbd, 1), &["43:2".to_owned()]));
        // btrfs has numbers of its own.
        assert!(mounts[1].is_on(Device::new(Driver::Nbd, 1), &[]));
    }
}

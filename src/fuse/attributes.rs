//! What is known of a file, in the words of FUSE.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileType as FuseType, INodeNo};

use crate::tree::{DeviceNumber, FileType, Metadata, Moment};

/// The number that the kernel has for the root of every mount.
pub(super) const ROOT: u64 = 1;

/// Which numbers of inodes the kernel knows files by: the tree's own, but for the root's, which
/// changes places with the one that the kernel wants for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    /// The inode of the tree's root.
    pub(super) root: u64,
}

impl Numbers {
    /// The kernel's number for an inode of the tree, and the other way round.
    pub(super) fn swapped(self, number: u64) -> u64 {
        match number {
            ROOT => self.root,
            number if number == self.root => ROOT,
            number => number,
        }
    }
}

/// The type of a file.
pub(super) fn type_of(file_type: FileType) -> FuseType {
    match file_type {
        FileType::File => FuseType::RegularFile,
        FileType::Directory => FuseType::Directory,
        FileType::Symlink => FuseType::Symlink,
        FileType::CharacterDevice => FuseType::CharDevice,
        FileType::BlockDevice => FuseType::BlockDevice,
        FileType::Fifo => FuseType::NamedPipe,
        FileType::Socket => FuseType::Socket,
    }
}

/// What `stat` says of a file, with blocks of so many bytes.
pub(super) fn attributes_of(metadata: &Metadata, block_size: u32) -> FileAttr {
    FileAttr {
        ino: INodeNo(metadata.inode),
        size: metadata.size,
        blocks: metadata.sectors,
        atime: time(metadata.accessed),
        mtime: time(metadata.modified),
        ctime: time(metadata.changed),
        crtime: time(metadata.created.unwrap_or_default()),
        kind: type_of(metadata.file_type),
        perm: metadata.permissions,
        nlink: metadata.links,
        uid: metadata.uid,
        gid: metadata.gid,
        rdev: metadata.device.map_or(0, encoded),
        blksize: block_size,
        flags: 0,
    }
}

/// What stands for the attributes of a file that cannot be read, and that the kernel must not
/// remember.
pub(super) fn unknown(inode: u64, file_type: FileType) -> FileAttr {
    attributes_of(
        &Metadata {
            inode,
            file_type,
            permissions: 0,
            uid: 0,
            gid: 0,
            links: 1,
            size: 0,
            sectors: 0,
            device: None,
            accessed: Moment::default(),
            modified: Moment::default(),
            changed: Moment::default(),
            created: None,
        },
        4096,
    )
}

/// A device's number as the kernel packs it into 32 bits for programs.
fn encoded(device: DeviceNumber) -> u32 {
    let DeviceNumber { major, minor } = device;
    minor & 0xff | (major & 0xfff) << 8 | (minor & 0xf_ff00) << 12
}

fn time(moment: Moment) -> SystemTime {
    let whole = Duration::from_secs(moment.seconds.unsigned_abs());
    let second = if moment.seconds < 0 {
        UNIX_EPOCH.checked_sub(whole)
    } else {
        UNIX_EPOCH.checked_add(whole)
    };
    let rest = Duration::from_nanos(u64::from(moment.nanoseconds));
    let time = second.and_then(|second| second.checked_add(rest));
    // Outside of what the system can say, which no file system of ours can store.
    time.unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_and_the_kernels_number_for_it_change_places() {
        let numbers = Numbers { root: 2 };
        for (one, other) in [(1, 2), (2, 1), (3, 3), (u64::MAX, u64::MAX)] {
            assert_eq!(numbers.swapped(one), other);
        }
        assert_eq!(Numbers { root: 1 }.swapped(1), 1);
    }

    #[test]
    fn devices_are_packed_as_the_kernel_unpacks_them() {
        let device = |major, minor| encoded(DeviceNumber { major, minor });
        assert_eq!(device(8, 1), 0x801);
        assert_eq!(device(0xfff, 0xf_ffff), 0xffff_ffff);
        assert_eq!(device(259, 256), 0x11_0300);
    }

    #[test]
    fn times_before_1970_keep_their_nanoseconds() {
        let moment = Moment {
            seconds: -2,
            nanoseconds: 500_000_000,
        };
        let before = UNIX_EPOCH.duration_since(time(moment)).unwrap();
        assert_eq!(before, Duration::from_millis(1500));
    }
}

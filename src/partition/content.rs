//! What can be inside a partition or a whole disk.

use crate::util::bytes::field;

/// What a partition or a whole disk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileSystem {
    /// ext2: no journal.
    Ext2,
    /// ext3.
    Ext3,
    /// ext4.
    Ext4,
    /// XFS.
    Xfs,
    /// btrfs.
    Btrfs,
    /// FAT with entries of any size.
    Vfat,
    /// Swap space of Linux.
    Swap,
    /// A LUKS volume, of version 1 or 2.
    Luks,
    /// A physical volume of LVM2.
    Lvm2,
    /// A device of an array of Linux (md).
    RaidMember,
    /// A device of bcache, cached or caching.
    Bcache,
    /// A device of a bcachefs.
    Bcachefs,
    /// What Windows uses.
    Ntfs,
    /// FAT for large files.
    ExFat,
    /// A volume that Windows encrypted.
    BitLocker,
    /// HFS+ and HFSX, which macOS used.
    HfsPlus,
    /// A container of macOS's newer file system.
    Apfs,
    /// A device of a ZFS pool.
    Zfs,
    /// F2FS.
    F2fs,
    /// ReiserFS.
    ReiserFs,
}

impl FileSystem {
    /// The word for scripts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext2 => "ext2",
            Self::Ext3 => "ext3",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Vfat => "vfat",
            Self::Swap => "swap",
            Self::Luks => "luks",
            Self::Lvm2 => "lvm2",
            Self::RaidMember => "linux_raid_member",
            Self::Bcache => "bcache",
            Self::Bcachefs => "bcachefs",
            Self::Ntfs => "ntfs",
            Self::ExFat => "exfat",
            Self::BitLocker => "bitlocker",
            Self::HfsPlus => "hfsplus",
            Self::Apfs => "apfs",
            Self::Zfs => "zfs",
            Self::F2fs => "f2fs",
            Self::ReiserFs => "reiserfs",
        }
    }

    /// The word for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Luks => "LUKS",
            Self::Lvm2 => "LVM2",
            Self::RaidMember => "Linux RAID",
            Self::Ntfs => "NTFS",
            Self::ExFat => "exFAT",
            Self::BitLocker => "BitLocker",
            Self::HfsPlus => "HFS+",
            Self::Apfs => "APFS",
            Self::Zfs => "ZFS",
            Self::F2fs => "F2FS",
            Self::ReiserFs => "ReiserFS",
            other => other.name(),
        }
    }
}

/// What is inside a partition or a whole disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// What it is.
    pub kind: FileSystem,
    /// Its name, where it has one: someone else's text.
    pub label: Option<String>,
    /// Its identity, written as `blkid` writes it.
    pub uuid: Option<String>,
    /// Whether something that was written is still only in the journal, or the file system was not
    /// closed; `None` where there is no journal or nothing that tells.
    pub journal_dirty: Option<bool>,
    /// How many bytes it says that it takes, from where it begins; `None` where its first bytes do
    /// not tell.
    pub size: Option<u64>,
}

impl Content {
    pub(super) fn new(kind: FileSystem, label: &[u8], uuid: Option<String>) -> Self {
        let label = text(label);
        Self {
            kind,
            label: (!label.is_empty()).then_some(label),
            uuid,
            journal_dirty: None,
            size: None,
        }
    }

    /// The same with the size that the superblock states, as a number of units of `unit` bytes.
    pub(super) fn of_units(self, count: u64, unit: u64) -> Self {
        Self {
            size: count.checked_mul(unit).filter(|&size| size > 0),
            ..self
        }
    }
}

/// Text in a field of fixed size: up to the first zero byte, without spaces at the end.
pub(super) fn text(field: &[u8]) -> String {
    let bytes = field.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(bytes.trim_ascii_end()).into_owned()
}

pub(super) fn part(bytes: &[u8], at: usize, len: usize) -> Option<&[u8]> {
    bytes.get(at..)?.get(..len)
}

pub(super) fn uuid_at(bytes: &[u8], at: usize) -> Option<String> {
    let uuid = uuid::Uuid::from_bytes(field(bytes, at)?);
    (!uuid.is_nil()).then(|| uuid.to_string())
}

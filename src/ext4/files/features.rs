//! What a file system says of itself that its files depend on, from its superblock. Offsets and
//! bits are those of the kernel's documentation of the ext4 layout.

use super::checksum::{START, crc32c};
use super::error::FilesError;
use crate::util::bytes::{field, le_u32};

/// The size of a superblock in bytes.
pub(super) const SIZE: usize = 1024;

/// Bits of `s_feature_incompat` that are read here, and their names.
const KNOWN: [(u32, &str); 13] = [
    (0x2, "filetype"),
    (0x4, "needs_recovery"),
    (0x10, "meta_bg"),
    (0x40, "extent"),
    (0x80, "64bit"),
    (0x100, "mmp"),
    (0x200, "flex_bg"),
    (0x400, "ea_inode"),
    (0x2000, "metadata_csum_seed"),
    (0x4000, "large_dir"),
    (0x8000, "inline_data"),
    (0x1_0000, "encrypt"),
    (0x2_0000, "casefold"),
];

/// Bits that have names, and are not read.
const UNKNOWN: [(u32, &str); 3] = [
    (0x1, "compression"),
    (0x8, "a journal as its only content"),
    (0x1000, "dirdata"),
];

const FILE_TYPE: u32 = 0x2;
const RECOVER: u32 = 0x4;
const CSUM_SEED: u32 = 0x2000;
const EA_INODE: u32 = 0x400;
const LARGE_DIR: u32 = 0x4000;
const COMPAT_JOURNAL: u32 = 0x4;
const COMPAT_DIR_INDEX: u32 = 0x20;
const RO_COMPAT_HUGE_FILE: u32 = 0x8;
const RO_COMPAT_GDT_CSUM: u32 = 0x10;
const RO_COMPAT_BIGALLOC: u32 = 0x200;
const RO_COMPAT_METADATA_CSUM: u32 = 0x400;

/// What the files of a file system depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Features {
    /// The number of the last inode.
    pub(super) inodes: u32,
    /// The first inode that is not the file system's own.
    pub(super) first_inode: u32,
    /// What checksums of metadata begin with, where there are any.
    pub(super) seed: Option<u32>,
    /// What checksums of attributes' values begin with, which inodes of their own hold.
    pub(super) value_seed: u32,
    /// Whether group descriptors have the older checksum.
    pub(super) group_sums: bool,
    pub(super) uuid: [u8; 16],
    /// The inode of the journal, and where that lies on another disk, not 0.
    pub(super) journal: Option<Journal>,
    /// Whether the journal is to be replayed.
    pub(super) needs_recovery: bool,
    /// Whether entries of directories say the type of the file.
    pub(super) file_types: bool,
    /// Whether large directories have an index.
    pub(super) directory_index: bool,
    /// Whether directories may have 4 GiB and more.
    pub(super) large_directories: bool,
    /// Whether inodes of their own hold the values of large attributes.
    pub(super) attribute_inodes: bool,
    /// The sectors that a block of attributes counts for in the room of a file.
    pub(super) attribute_sectors: u64,
    /// Whether the room of a file has 48 bits.
    pub(super) huge_files: bool,
}

/// Where the journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Journal {
    Inode(u32),
    /// On another disk.
    External,
}

impl Features {
    /// Reads them from a superblock.
    ///
    /// # Errors
    ///
    /// [`FilesError::Feature`] names all features that are not read here;
    /// [`FilesError::Damaged`] for a wrong checksum.
    pub(super) fn parse(bytes: &[u8; SIZE]) -> Result<Self, FilesError> {
        let word = |at| le_u32(bytes, at);
        let (compat, incompat, ro_compat) = (word(92), word(96), word(100));
        refuse_unknown(incompat)?;
        let uuid = field(bytes, 104).unwrap_or_default();
        let sums = ro_compat & RO_COMPAT_METADATA_CSUM != 0;
        if sums {
            let sum = bytes.get(..SIZE - 4).map_or(0, |all| crc32c(START, all));
            if sum != word(SIZE - 4) {
                return Err(FilesError::Damaged(
                    "the checksum of the superblock is wrong",
                ));
            }
        }
        let seed = match incompat & CSUM_SEED != 0 {
            true => word(624),
            false => crc32c(START, &uuid),
        };
        let journal = (compat & COMPAT_JOURNAL != 0).then(|| match word(224) {
            0 => Journal::External,
            _ if incompat & 0x8 != 0 || word(228) != 0 => Journal::External,
            inode => Journal::Inode(inode),
        });
        let dynamic = word(76) > 0;
        // Of blocks, or of clusters of them.
        let log_size = match ro_compat & RO_COMPAT_BIGALLOC != 0 {
            true => word(28),
            false => word(24),
        };
        Ok(Self {
            inodes: word(0),
            first_inode: if dynamic { word(84) } else { 11 },
            seed: sums.then_some(seed),
            value_seed: seed,
            group_sums: ro_compat & RO_COMPAT_GDT_CSUM != 0,
            uuid,
            journal,
            needs_recovery: incompat & RECOVER != 0,
            file_types: incompat & FILE_TYPE != 0,
            directory_index: compat & COMPAT_DIR_INDEX != 0,
            large_directories: incompat & LARGE_DIR != 0,
            attribute_inodes: incompat & EA_INODE != 0,
            attribute_sectors: 2u64.checked_shl(log_size).unwrap_or(0),
            huge_files: ro_compat & RO_COMPAT_HUGE_FILE != 0,
        })
    }
}

fn refuse_unknown(incompat: u32) -> Result<(), FilesError> {
    let known = KNOWN.iter().fold(0, |all, (bit, _)| all | bit);
    let unknown = incompat & !known;
    if unknown == 0 {
        return Ok(());
    }
    let names = (0..32)
        .map(|at| 1u32 << at)
        .filter(|bit| unknown & bit != 0);
    let name = |bit: u32| {
        let named = UNKNOWN.iter().find(|(known, _)| *known == bit);
        named.map_or_else(
            || format!("feature {bit:#x}"),
            |(_, name)| (*name).to_owned(),
        )
    };
    let names: Vec<_> = names.map(name).collect();
    Err(FilesError::Feature(names.join(", ")))
}

//! What claims blocks: the file system's own tables, or an inode that is in use.

use super::error::FreeError;
use crate::error::Result;
use crate::ext4::files::contents::Link;
use crate::ext4::files::inode::{FLAG_EXTENTS, FLAG_INLINE, sum_is_right};
use crate::ext4::files::reader::Reader;
use crate::util::bytes::{field, is_zero, le_u16, le_u32};

/// The inode of the list of bad blocks, which has no mode.
pub(super) const BAD_BLOCKS: u32 = 1;
/// The inode of the room that is kept for descriptors.
const RESIZE: u32 = 7;

/// What claims blocks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Claimant {
    /// The file system's own tables.
    Tables,
    /// An inode.
    Inode(u32),
}

impl Claimant {
    /// The error of a block that is marked free.
    pub(super) fn is_free(self, block: u64) -> FreeError {
        match self {
            Self::Tables => FreeError::TableFree { block },
            Self::Inode(inode) => FreeError::BlockFree {
                block,
                inode: u64::from(inode),
            },
        }
    }

    /// The error of a block that something else claims, too.
    pub(super) fn is_shared(self, block: u64) -> FreeError {
        match self {
            Self::Tables => FreeError::TablesShared { block },
            Self::Inode(inode) => FreeError::BlockShared {
                block,
                inode: u64::from(inode),
            },
        }
    }
}

/// An inode that is in use, for a search that wants its blocks and nothing else. It may be one
/// without a name, that was removed while a program had it open.
#[derive(Debug)]
pub(super) struct Owner<'a> {
    pub(super) number: u32,
    /// What checksums of its blocks begin with, where there are any.
    pub(super) seed: Option<u32>,
    stored: &'a [u8],
}

/// How an inode lists its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// It has none.
    None,
    Extents,
    Pointers,
    /// Pointers to tables of the file system, which are known.
    Tables,
}

impl<'a> Owner<'a> {
    /// An inode of its bytes, which are not all zeros.
    ///
    /// # Errors
    ///
    /// [`FilesError::Inode`](crate::ext4::FilesError::Inode) where its checksum is wrong.
    pub(super) fn new(reader: &Reader, number: u32, stored: &'a [u8]) -> Result<Self> {
        let seed = reader.seed_of(number, stored);
        if seed.is_some_and(|seed| !sum_is_right(stored, seed)) {
            return Err(reader.damaged(number, "its checksum is wrong"));
        }
        Ok(Self {
            number,
            seed,
            stored,
        })
    }

    /// The 60 bytes of its list of blocks.
    pub(super) fn root(&self) -> [u8; 60] {
        field(self.stored, 40).unwrap_or([0; 60])
    }

    /// The block of its attributes, or 0.
    pub(super) fn attribute_block(&self) -> u64 {
        match le_u16(self.stored, 0) {
            0 => 0,
            _ => {
                let high = u64::from(le_u16(self.stored, 118)) << 32;
                u64::from(le_u32(self.stored, 104)) | high
            }
        }
    }

    /// How its blocks are listed.
    ///
    /// # Errors
    ///
    /// Where its type is unknown, or a link contradicts itself.
    pub(super) fn list(&self, reader: &Reader, has_resize_inode: bool) -> Result<List> {
        let flags = self.flags();
        let has_extents = flags & FLAG_EXTENTS != 0;
        let list = match has_extents {
            true => List::Extents,
            false => List::Pointers,
        };
        Ok(match le_u16(self.stored, 0) & 0xf000 {
            _ if flags & FLAG_INLINE != 0 => List::None,
            0x8000 if self.number == RESIZE && has_resize_inode => List::Tables,
            0x8000 | 0x4000 => list,
            0xa000 if !has_extents && self.is_short_link(reader)? => List::None,
            0xa000 => list,
            0x1000 | 0x2000 | 0x6000 | 0xc000 => List::None,
            0 if self.number == BAD_BLOCKS => list,
            0 if is_zero(&self.root()) => List::None,
            0 if self.number < reader.features.first_inode => list,
            // It was never made, or is no more.
            0 => List::None,
            _ => return Err(reader.damaged(self.number, "its type is unknown")),
        })
    }
}

impl Owner<'_> {
    fn flags(&self) -> u32 {
        le_u32(self.stored, 32)
    }

    /// Whether a link's target stands where others list their blocks. A short target may have a
    /// block all the same, so this has to be what the kernel takes it for.
    fn is_short_link(&self, reader: &Reader) -> Result<bool> {
        reader.is_short_link(&Link {
            inode: self.number,
            size: u64::from(le_u32(self.stored, 4)),
            sectors: reader.sectors(self.stored, self.flags()),
            attribute_block: self.attribute_block(),
            is_inline: self.flags() & FLAG_INLINE != 0,
        })
    }
}

/// Whether bytes that no bitmap counts as an inode hold a file all the same: those of a removed one
/// have no links.
pub(super) fn holds_a_file(stored: &[u8]) -> bool {
    le_u16(stored, 0) != 0 && le_u16(stored, 26) != 0
}

//! An inode: what kind of file it is, and where its blocks are listed.

use super::blocks::{Blocks, Reading};
use super::groups::Groups;
use super::mapping::{Mappings, Root};
use super::superblock::Superblock;
use crate::error::Result;
use crate::util::bytes::{le_u16, le_u32, to_usize};

/// An inode that is in use.
#[derive(Debug)]
pub(crate) struct Inode {
    /// Its number; the first one is 1.
    pub(crate) number: u32,
    /// The kind of file.
    pub(crate) kind: Kind,
    /// The size of the file in bytes.
    pub(crate) size: u64,
    flags: u32,
    /// The root of the tree of its blocks, a short link, or the first inline data.
    root: [u8; 60],
}

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a pipe or a socket: it has no blocks.
    Special,
    /// The list of bad blocks, which has no mode.
    BadBlocks,
}

const FLAG_EXTENTS: u32 = 0x8_0000;
const FLAG_INLINE_DATA: u32 = 0x1000_0000;

/// The inode of the list of bad blocks.
const BAD_BLOCKS_INODE: u32 = 1;

impl Inode {
    /// Reads the inode with a number; `None` where it is lost, or not in use.
    ///
    /// # Errors
    ///
    /// As [`Blocks::read_at`].
    pub(crate) fn read(
        blocks: &dyn Blocks,
        superblock: &Superblock,
        groups: &mut Groups<'_>,
        number: u32,
    ) -> Result<Option<Self>> {
        let Some(place) = groups.place_of_inode(number)? else {
            return Ok(None);
        };
        let mut bytes = vec![0; to_usize(superblock.inode_size)];
        Ok(match blocks.read_at(&mut bytes, place)? {
            Reading::Whole => Self::parse(number, &bytes),
            Reading::Lost => None,
        })
    }

    /// Reads an inode from its bytes in a table; `None` where it is not in use.
    pub(crate) fn parse(number: u32, bytes: &[u8]) -> Option<Self> {
        let kind = match le_u16(bytes, 0) & 0xf000 {
            0x8000 => Kind::File,
            0x4000 => Kind::Directory,
            0xa000 => Kind::Symlink,
            0x1000 | 0x2000 | 0x6000 | 0xc000 => Kind::Special,
            0 if number == BAD_BLOCKS_INODE => Kind::BadBlocks,
            _ => return None,
        };
        let links = le_u16(bytes, 26);
        if links == 0 {
            return None;
        }
        Some(Self {
            number,
            kind,
            size: u64::from(le_u32(bytes, 4)) | u64::from(le_u32(bytes, 108)) << 32,
            flags: le_u32(bytes, 32),
            root: bytes.get(40..)?.first_chunk().copied()?,
        })
    }

    /// Whether the file keeps its bytes in blocks, and not in the inode.
    pub(crate) fn has_blocks(&self) -> bool {
        // A short link is kept where others list blocks.
        let is_short_link = self.kind == Kind::Symlink && self.size < 60 && !self.has_extents();
        self.flags & FLAG_INLINE_DATA == 0 && self.kind != Kind::Special && !is_short_link
    }

    /// The blocks of the file, in its order; none where [`Inode::has_blocks`] says so.
    pub(crate) fn mappings<'a>(
        &self,
        blocks: &'a dyn Blocks,
        superblock: &'a Superblock,
    ) -> Mappings<'a> {
        let root = match (self.has_blocks(), self.has_extents()) {
            (false, _) => Root::Empty,
            (true, true) => Root::Extents(&self.root),
            (true, false) => Root::Pointers(&self.root),
        };
        Mappings::new(blocks, superblock, root)
    }

    fn has_extents(&self) -> bool {
        self.flags & FLAG_EXTENTS != 0
    }
}

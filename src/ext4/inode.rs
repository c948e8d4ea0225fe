//! An inode, and the blocks that it lists.

use super::Budget;
use super::lost::LostRanges;
use super::superblock::Superblock;
use crate::bytes::{le_u16, le_u32};
use crate::disk::VirtualDisk;
use crate::error::Result;

/// An inode that is in use and may list blocks.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) number: u32,
    pub(super) kind: Kind,
    /// The size of the file in bytes.
    pub(super) size: u64,
    has_extents: bool,
    /// What the inode says of its blocks: the root of a tree.
    root: [u8; 60],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Symlink,
    Other,
}

/// A piece of a file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mapping {
    /// Blocks that follow each other in the file and on the disk.
    Blocks {
        logical: u64,
        physical: u64,
        len: u64,
        unwritten: bool,
    },
    /// Part of the list is lost or makes no sense.
    Unknown,
}

const FLAG_EXTENTS: u32 = 0x8_0000;
const FLAG_INLINE_DATA: u32 = 0x1000_0000;

impl Inode {
    /// Reads an inode; `None` where it is not in use, or keeps what it has in itself.
    pub(super) fn parse(number: u32, bytes: &[u8]) -> Option<Self> {
        let kind = match le_u16(bytes, 0) & 0xf000 {
            0x8000 => Kind::File,
            0x4000 => Kind::Directory,
            0xa000 => Kind::Symlink,
            // The list of bad blocks has no mode.
            0 if number == 1 => Kind::Other,
            _ => return None,
        };
        let links = le_u16(bytes, 26);
        let flags = le_u32(bytes, 32);
        let size = u64::from(le_u32(bytes, 4)) | u64::from(le_u32(bytes, 108)) << 32;
        let has_extents = flags & FLAG_EXTENTS != 0;
        // A short link is kept where others list blocks.
        let short_link = kind == Kind::Symlink && size < 60 && !has_extents;
        if links == 0 || flags & FLAG_INLINE_DATA != 0 || short_link {
            return None;
        }
        Some(Self {
            number,
            kind,
            size,
            has_extents,
            root: bytes.get(40..)?.first_chunk().copied()?,
        })
    }

    /// Tells every piece of the file, in the order of the file.
    pub(super) fn map(
        &self,
        disk: &dyn VirtualDisk,
        superblock: &Superblock,
        lost: &LostRanges,
        budget: &mut Budget,
        tell: &mut dyn FnMut(Mapping),
    ) -> Result<()> {
        let mut walk = Walk {
            disk,
            superblock,
            lost,
            budget,
            tell,
        };
        if self.has_extents {
            return walk.extents(&self.root, None);
        }
        let pointers = self.root.chunks_exact(4).map(|word| le_u32(word, 0));
        let mut logical = 0;
        for (at, pointer) in pointers.enumerate() {
            // Twelve blocks, and three trees of growing depth.
            let depth = u32::try_from(at.saturating_sub(11)).unwrap_or(0);
            walk.indirect(u64::from(pointer), depth, &mut logical)?;
        }
        Ok(())
    }
}

struct Walk<'a> {
    disk: &'a dyn VirtualDisk,
    superblock: &'a Superblock,
    lost: &'a LostRanges,
    budget: &'a mut Budget,
    tell: &'a mut dyn FnMut(Mapping),
}

impl Walk<'_> {
    /// Walks over a node of a tree of extents; `depth` is what its parent says.
    fn extents(&mut self, node: &[u8], depth: Option<u16>) -> Result<()> {
        const MAGIC: u16 = 0xf30a;
        /// The kernel's own limit.
        const DEEPEST: u16 = 5;
        let (count, found) = (le_u16(node, 2), le_u16(node, 6));
        let fits = found <= DEEPEST && depth.is_none_or(|depth| depth == found);
        if le_u16(node, 0) != MAGIC || !fits {
            (self.tell)(Mapping::Unknown);
            return Ok(());
        }
        let entries = node.get(12..).unwrap_or_default().chunks_exact(12);
        for entry in entries.take(usize::from(count)) {
            if !self.budget.take(12) {
                return Ok(());
            }
            if found > 0 {
                let block = u64::from(le_u32(entry, 4)) | u64::from(le_u16(entry, 8)) << 32;
                match self.read(block)? {
                    Some(node) => self.extents(&node, Some(found - 1))?,
                    None => (self.tell)(Mapping::Unknown),
                }
                continue;
            }
            let (len, unwritten) = match le_u16(entry, 4) {
                len @ 0..=0x8000 => (len, false),
                len => (len - 0x8000, true),
            };
            let physical = u64::from(le_u32(entry, 8)) | u64::from(le_u16(entry, 6)) << 32;
            let len = u64::from(len);
            (self.tell)(if self.superblock.holds(physical, len) {
                Mapping::Blocks {
                    logical: u64::from(le_u32(entry, 0)),
                    physical,
                    len,
                    unwritten,
                }
            } else {
                Mapping::Unknown
            });
        }
        Ok(())
    }

    /// Walks over a tree of pointers of this depth; 0 is a block of the file itself.
    fn indirect(&mut self, block: u64, depth: u32, logical: &mut u64) -> Result<()> {
        let per_block = self.superblock.block_size / 4;
        let covered = per_block.saturating_pow(depth);
        if block == 0 {
            *logical = logical.saturating_add(covered);
            return Ok(());
        }
        if depth == 0 {
            (self.tell)(if self.superblock.holds(block, 1) {
                Mapping::Blocks {
                    logical: *logical,
                    physical: block,
                    len: 1,
                    unwritten: false,
                }
            } else {
                Mapping::Unknown
            });
            *logical = logical.saturating_add(1);
            return Ok(());
        }
        let Some(bytes) = self.read(block)? else {
            (self.tell)(Mapping::Unknown);
            *logical = logical.saturating_add(covered);
            return Ok(());
        };
        for word in bytes.chunks_exact(4) {
            if !self.budget.take(4) {
                return Ok(());
            }
            self.indirect(u64::from(le_u32(word, 0)), depth - 1, logical)?;
        }
        Ok(())
    }

    /// Reads a block of a list; `None` where it is lost, or no block of the file system.
    fn read(&mut self, block: u64) -> Result<Option<Vec<u8>>> {
        let range = self.superblock.block_range(block, 1);
        if !self.superblock.holds(block, 1) || self.lost.touch(&range) {
            return Ok(None);
        }
        if !self.budget.take(self.superblock.block_size) {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(self.superblock.block_size).unwrap_or(0)];
        self.disk.read_at(&mut bytes, range.start)?;
        Ok(Some(bytes))
    }
}

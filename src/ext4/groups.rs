//! Where each block group keeps its bitmaps and inodes.

use super::blocks::Blocks;
use super::superblock::Superblock;
use crate::error::Result;
use crate::util::bytes::{le_u16, le_u32, to_usize};

/// A block group, as its descriptor has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group {
    /// The block that says which blocks of the group are in use.
    pub(crate) block_bitmap: u64,
    /// The block that says which inodes of the group are in use.
    pub(crate) inode_bitmap: u64,
    /// The first block of the table of inodes; all of the table lies inside the file system.
    pub(crate) inode_table: u64,
    /// The inodes of the table past this many were never used.
    pub(crate) inodes_used: u32,
}

/// The groups of a file system, read a block of descriptors at a time.
#[derive(Debug)]
pub(crate) struct Groups<'a> {
    blocks: &'a dyn Blocks,
    superblock: &'a Superblock,
    /// The block that was read last.
    last: Option<Descriptors>,
}

/// A block of descriptors.
#[derive(Debug)]
struct Descriptors {
    /// The number of this block among those of descriptors.
    index: u64,
    /// Empty where the block and its copies are lost.
    bytes: Vec<u8>,
    is_copy: bool,
}

impl<'a> Groups<'a> {
    /// Reads nothing yet.
    pub(crate) fn new(blocks: &'a dyn Blocks, superblock: &'a Superblock) -> Self {
        Self {
            blocks,
            superblock,
            last: None,
        }
    }

    /// The group with this number, 0 for the first; `None` where its descriptor is lost or makes no
    /// sense.
    ///
    /// # Errors
    ///
    /// As [`Blocks::read_at`].
    pub(crate) fn get(&mut self, number: u64) -> Result<Option<Group>> {
        let per_block = self.superblock.descriptors_per_block();
        let index = number / per_block;
        let last = match self.last.take().filter(|last| last.index == index) {
            Some(last) => last,
            None => self.read(index)?,
        };
        let last = self.last.insert(last);
        let size = self.superblock.descriptor_size;
        let at = to_usize(number % per_block * size);
        let bytes = last.bytes.get(at..);
        let bytes = bytes.and_then(|bytes| bytes.get(..to_usize(size)));
        Ok(bytes.and_then(|bytes| Group::parse(bytes, last.is_copy, self.superblock)))
    }

    /// Where the inode with this number lies, in bytes of the file system; `None` where the
    /// descriptor of its group is lost or makes no sense, and for 0, which no inode has.
    ///
    /// # Errors
    ///
    /// As [`Blocks::read_at`].
    pub(crate) fn place_of_inode(&mut self, number: u32) -> Result<Option<u64>> {
        let Some(index) = number.checked_sub(1) else {
            return Ok(None);
        };
        let superblock = self.superblock;
        let per_group = superblock.inodes_per_group;
        let group = self.get(u64::from(index / per_group))?;
        let in_table = u64::from(index % per_group) * superblock.inode_size;
        Ok(group.map(|group| superblock.offset_of(group.inode_table) + in_table))
    }

    /// Reads a block of descriptors, or the first copy that is not lost.
    fn read(&self, index: u64) -> Result<Descriptors> {
        let places = self.superblock.descriptor_blocks(index);
        for (copy, block) in places.into_iter().enumerate() {
            if let Some(bytes) = self.superblock.read_block(self.blocks, block)? {
                return Ok(Descriptors {
                    index,
                    bytes,
                    is_copy: copy > 0,
                });
            }
        }
        Ok(Descriptors {
            index,
            bytes: Vec::new(),
            is_copy: true,
        })
    }
}

impl Group {
    /// Reads a descriptor; `None` where its table of inodes lies outside the file system.
    fn parse(bytes: &[u8], is_copy: bool, superblock: &Superblock) -> Option<Self> {
        const INODES_NEVER_USED: u16 = 1;
        let wide = bytes.len() >= 64;
        let block = |low: usize, high: usize| {
            let high = if wide { le_u32(bytes, high) } else { 0 };
            u64::from(le_u32(bytes, low)) | u64::from(high) << 32
        };
        let all = superblock.inodes_per_group;
        let unused_high = if wide { le_u16(bytes, 50) } else { 0 };
        let unused = u32::from(le_u16(bytes, 28)) | u32::from(unused_high) << 16;
        let inodes_used = if is_copy || !superblock.counts_unused() {
            // Copies are not kept up to date in this.
            all
        } else if le_u16(bytes, 18) & INODES_NEVER_USED != 0 {
            0
        } else {
            all.saturating_sub(unused)
        };
        let group = Self {
            block_bitmap: block(0, 32),
            inode_bitmap: block(4, 36),
            inode_table: block(8, 40),
            inodes_used,
        };
        let table = u64::from(all).saturating_mul(superblock.inode_size);
        let len = table.div_ceil(superblock.block_size);
        superblock.holds(group.inode_table, len).then_some(group)
    }
}

//! Where each block group keeps its bitmaps and inodes.

use super::lost::LostRanges;
use super::superblock::Superblock;
use crate::bytes::{le_u16, le_u32};
use crate::disk::VirtualDisk;
use crate::error::Result;

/// A block group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) block_bitmap: u64,
    pub(super) inode_bitmap: u64,
    /// The first block of the table of inodes; all of the table lies inside the file system.
    pub(super) inode_table: u64,
    /// Inodes behind these were never used.
    pub(super) inodes_used: u32,
}

/// The groups of a file system, read a block of descriptors at a time.
pub(super) struct Groups<'a> {
    disk: &'a dyn VirtualDisk,
    superblock: &'a Superblock,
    lost: &'a LostRanges,
    /// The block that was read last: its index, its bytes, and whether it is a copy.
    block: Option<(u64, Vec<u8>, bool)>,
}

impl<'a> Groups<'a> {
    pub(super) fn new(
        disk: &'a dyn VirtualDisk,
        superblock: &'a Superblock,
        lost: &'a LostRanges,
    ) -> Self {
        Self {
            disk,
            superblock,
            lost,
            block: None,
        }
    }

    /// The group with this number; `None` where its descriptor is lost or makes no sense.
    pub(super) fn get(&mut self, number: u64) -> Result<Option<Group>> {
        let per_block = self.superblock.descriptors_per_block();
        let index = number / per_block;
        if self.block.as_ref().is_none_or(|(at, ..)| *at != index) {
            self.block = Some(self.read(index)?);
        }
        let size = self.superblock.descriptor_size;
        let at = usize::try_from(number % per_block * size).unwrap_or(usize::MAX);
        let len = usize::try_from(size).unwrap_or(usize::MAX);
        let Some((_, bytes, is_copy)) = &self.block else {
            return Ok(None);
        };
        let bytes = bytes.get(at..).and_then(|bytes| bytes.get(..len));
        Ok(bytes.and_then(|bytes| self.parse(bytes, *is_copy)))
    }

    /// Reads a block of descriptors, or the first copy that is not lost.
    fn read(&self, index: u64) -> Result<(u64, Vec<u8>, bool)> {
        let size = usize::try_from(self.superblock.block_size).unwrap_or(0);
        for (copy, block) in self.superblock.descriptor_blocks(index).iter().enumerate() {
            let range = self.superblock.block_range(*block, 1);
            if self.superblock.holds(*block, 1) && !self.lost.touch(&range) {
                let mut bytes = vec![0; size];
                self.disk.read_at(&mut bytes, range.start)?;
                return Ok((index, bytes, copy > 0));
            }
        }
        Ok((index, Vec::new(), true))
    }

    fn parse(&self, bytes: &[u8], is_copy: bool) -> Option<Group> {
        const INODES_NEVER_USED: u16 = 1;
        let wide = bytes.len() >= 64;
        let block = |low: usize, high: usize| {
            let high = if wide { le_u32(bytes, high) } else { 0 };
            u64::from(le_u32(bytes, low)) | u64::from(high) << 32
        };
        let all = self.superblock.inodes_per_group;
        let unused_high = if wide { le_u16(bytes, 50) } else { 0 };
        let unused = u32::from(le_u16(bytes, 28)) | u32::from(unused_high) << 16;
        let inodes_used = if is_copy || !self.superblock.counts_unused() {
            // Copies are not kept up to date in this.
            all
        } else if le_u16(bytes, 18) & INODES_NEVER_USED != 0 {
            0
        } else {
            all.saturating_sub(unused)
        };
        let group = Group {
            block_bitmap: block(0, 32),
            inode_bitmap: block(4, 36),
            inode_table: block(8, 40),
            inodes_used,
        };
        let table = u64::from(all).saturating_mul(self.superblock.inode_size);
        let len = table.div_ceil(self.superblock.block_size);
        self.superblock
            .holds(group.inode_table, len)
            .then_some(group)
    }
}

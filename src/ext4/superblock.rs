//! The shape of a file system, from its superblock or a copy of it.

use std::ops::Range;

use super::blocks::{Blocks, Reading};
use crate::error::Result;
use crate::util::bytes::{le_u16, le_u32, to_usize};

/// The superblock's place and size in bytes, whatever the block size.
const PLACE: u64 = 1024;
const SIZE: usize = 1024;
const MAGIC: u16 = 0xef53;

const COMPAT_SPARSE_SUPER2: u32 = 0x200;
const INCOMPAT_RECOVER: u32 = 0x4;
const INCOMPAT_META_BG: u32 = 0x10;
const INCOMPAT_64BIT: u32 = 0x80;
const RO_COMPAT_SPARSE_SUPER: u32 = 0x1;
const RO_COMPAT_GDT_CSUM: u32 = 0x10;
const RO_COMPAT_METADATA_CSUM: u32 = 0x400;

/// The shape of a file system: what is needed to find inodes and blocks.
#[derive(Debug)]
pub(crate) struct Superblock {
    /// Where it was read, in bytes of the file system: a copy lies elsewhere.
    pub(crate) place: u64,
    /// The number of the group that it was read in.
    pub(crate) group: u64,
    /// The size of a block in bytes: a power of two from 1 KiB to 64 KiB.
    pub(crate) block_size: u64,
    /// The number of blocks; all lie on the disk.
    pub(crate) blocks: u64,
    /// The number of block groups.
    pub(crate) groups: u64,
    /// The number of inodes that each group has room for.
    pub(crate) inodes_per_group: u32,
    /// The size of an inode in bytes: a power of two, at most a block.
    pub(crate) inode_size: u64,
    /// The size of a group descriptor in bytes.
    pub(crate) descriptor_size: u64,
    /// The number of blocks that each group has, the last one perhaps less.
    pub(crate) blocks_per_group: u64,
    first_data_block: u64,
    compat: u32,
    incompat: u32,
    ro_compat: u32,
    reserved_descriptor_blocks: u64,
    first_meta_group: u64,
    /// With sparse_super2: the only groups with a copy.
    groups_with_copies: [u64; 2],
}

impl Superblock {
    /// Where the superblock lies, in bytes.
    pub(crate) const RANGE: Range<u64> = PLACE..PLACE + SIZE as u64;

    /// Reads the superblock; where it is lost or makes no sense, a copy. `None` where no ext2, ext3
    /// or ext4 can be made out.
    ///
    /// # Errors
    ///
    /// As [`Blocks::read_at`].
    pub(crate) fn read(blocks: &dyn Blocks) -> Result<Option<Self>> {
        match Self::read_first(blocks)? {
            Some(superblock) => Ok(Some(superblock)),
            None => Self::read_copy(blocks),
        }
    }

    /// Reads a copy of the superblock; `None` where none is found.
    ///
    /// # Errors
    ///
    /// As [`Blocks::read_at`].
    pub(crate) fn read_copy(blocks: &dyn Blocks) -> Result<Option<Self>> {
        // Where mke2fs puts the first copies: a group has as many blocks as a block has bits.
        for block_size in [4096, 1024, 2048, 16384, 65536, 8192, 32768] {
            let first_data_block = u64::from(block_size == 1024);
            for group in [1, 3, 5, 7, 9, 25, 27, 49] {
                let block = first_data_block + group * block_size * 8;
                if let Some(found) = Self::at(blocks, block * block_size, group)?
                    && found.block_size == block_size
                {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// Reads the superblock itself, and no copy; `None` where it makes no sense or is lost.
    ///
    /// # Errors
    ///
    /// As [`Blocks::read_at`].
    pub(crate) fn read_first(blocks: &dyn Blocks) -> Result<Option<Self>> {
        Self::at(blocks, PLACE, 0)
    }

    fn at(blocks: &dyn Blocks, offset: u64, group: u64) -> Result<Option<Self>> {
        let mut bytes = [0; SIZE];
        if offset.saturating_add(SIZE as u64) > blocks.size() {
            return Ok(None);
        }
        Ok(match blocks.read_at(&mut bytes, offset)? {
            Reading::Whole => Self::parse(&bytes, offset, blocks.size(), group),
            Reading::Lost => None,
        })
    }

    /// Reads the copy in `group`, which lies at `place` of a disk of `disk_size` bytes; `None`
    /// where it makes no sense.
    pub(crate) fn parse(
        bytes: &[u8; SIZE],
        place: u64,
        disk_size: u64,
        group: u64,
    ) -> Option<Self> {
        if le_u16(bytes, 56) != MAGIC || u64::from(le_u16(bytes, 90)) != group {
            return None;
        }
        let log_block_size = le_u32(bytes, 24);
        let block_size = (log_block_size <= 6).then(|| 1024u64 << log_block_size)?;
        let (compat, incompat, ro_compat) =
            (le_u32(bytes, 92), le_u32(bytes, 96), le_u32(bytes, 100));
        let wide = incompat & INCOMPAT_64BIT != 0;
        let high = if wide { le_u32(bytes, 336) } else { 0 };
        let blocks = u64::from(le_u32(bytes, 4)) | u64::from(high) << 32;
        let blocks = blocks.min(disk_size / block_size);
        let first_data_block = u64::from(le_u32(bytes, 20));
        let blocks_per_group = u64::from(le_u32(bytes, 32));
        let inodes_per_group = le_u32(bytes, 40);
        let has_sizes = le_u32(bytes, 76) > 0; // revision 1
        let inode_size = if has_sizes {
            u64::from(le_u16(bytes, 88))
        } else {
            128
        };
        let descriptor_size = match le_u16(bytes, 254) {
            size if wide => u64::from(size),
            _ => 32,
        };
        let sensible = first_data_block <= 1
            && blocks > first_data_block
            && (256..=1 << 31).contains(&blocks_per_group)
            && inodes_per_group > 0
            && u64::from(inodes_per_group) <= block_size * 8
            && inode_size.is_power_of_two()
            && (128..=block_size).contains(&inode_size)
            && descriptor_size.is_power_of_two()
            && (32..=1024).contains(&descriptor_size);
        if !sensible {
            return None;
        }
        Some(Self {
            place,
            group,
            block_size,
            blocks,
            groups: (blocks - first_data_block).div_ceil(blocks_per_group),
            inodes_per_group,
            inode_size,
            descriptor_size,
            blocks_per_group,
            first_data_block,
            compat,
            incompat,
            ro_compat,
            reserved_descriptor_blocks: u64::from(le_u16(bytes, 206)),
            first_meta_group: u64::from(le_u32(bytes, 260)),
            groups_with_copies: [588, 592].map(|at| u64::from(le_u32(bytes, at))),
        })
    }

    /// Whether the journal is to be replayed.
    pub(crate) fn needs_recovery(&self) -> bool {
        self.incompat & INCOMPAT_RECOVER != 0
    }

    /// Whether group descriptors say how many inodes were never used.
    pub(crate) fn counts_unused(&self) -> bool {
        self.ro_compat & (RO_COMPAT_GDT_CSUM | RO_COMPAT_METADATA_CSUM) != 0
    }

    /// Where a block lies, in bytes.
    pub(crate) fn offset_of(&self, block: u64) -> u64 {
        block.saturating_mul(self.block_size)
    }

    /// Where blocks lie, in bytes.
    pub(crate) fn block_range(&self, block: u64, len: u64) -> Range<u64> {
        self.offset_of(block)..self.offset_of(block.saturating_add(len))
    }

    /// Whether blocks lie inside the file system.
    pub(crate) fn holds(&self, block: u64, len: u64) -> bool {
        block > 0 && block.checked_add(len).is_some_and(|end| end <= self.blocks)
    }

    /// Reads a block; `None` where it is lost, or lies outside the file system.
    ///
    /// # Errors
    ///
    /// As [`Blocks::read_at`].
    pub(crate) fn read_block(&self, blocks: &dyn Blocks, block: u64) -> Result<Option<Vec<u8>>> {
        if !self.holds(block, 1) {
            return Ok(None);
        }
        let mut bytes = vec![0; to_usize(self.block_size)];
        let reading = blocks.read_at(&mut bytes, self.offset_of(block))?;
        Ok((reading == Reading::Whole).then_some(bytes))
    }

    /// The first block of a group.
    pub(crate) fn group_start(&self, group: u64) -> u64 {
        self.first_data_block
            .saturating_add(group.saturating_mul(self.blocks_per_group))
    }

    /// The block that has a group's copy of the superblock. The first group begins in front of its
    /// own where blocks of 1 KiB make clusters.
    fn copy_at(&self, group: u64) -> u64 {
        match group {
            0 => PLACE / self.block_size,
            group => self.group_start(group),
        }
    }

    /// Whether a group has a copy of the superblock (the first one has the superblock).
    fn has_copy(&self, group: u64) -> bool {
        let power_of = |base: u64| {
            let mut power = base;
            while power < group {
                power = power.saturating_mul(base);
            }
            power == group
        };
        if group == 0 {
            true
        } else if self.compat & COMPAT_SPARSE_SUPER2 != 0 {
            self.groups_with_copies.contains(&group)
        } else {
            self.ro_compat & RO_COMPAT_SPARSE_SUPER == 0
                || group == 1
                || [3, 5, 7].into_iter().any(power_of)
        }
    }

    /// How many blocks the tables of all groups take, as the kernel counts them.
    pub(crate) fn table_blocks(&self) -> u64 {
        let inodes = u64::from(self.inodes_per_group).saturating_mul(self.inode_size);
        // Two bitmaps.
        let own = inodes.div_ceil(self.block_size) + 2;
        let per_block = self.descriptors_per_block();
        let has_meta = self.incompat & INCOMPAT_META_BG != 0;
        let in_group = |group: u64| {
            let index = group / per_block;
            let (copy, descriptors) = match self.has_copy(group) {
                true => (1 + self.reserved_descriptor_blocks, true),
                false => (0, false),
            };
            let descriptors = if has_meta && index >= self.first_meta_group {
                let at = group % per_block;
                u64::from(at < 2 || at + 1 == per_block)
            } else if !descriptors {
                0
            } else if has_meta {
                self.first_meta_group
            } else {
                self.descriptor_block_count()
            };
            own + copy + descriptors
        };
        self.first_data_block + (0..self.groups).map(in_group).sum::<u64>()
    }

    /// How many descriptors a block has.
    pub(crate) fn descriptors_per_block(&self) -> u64 {
        self.block_size / self.descriptor_size
    }

    /// The blocks that may hold the descriptors numbered `index` by blocks, the first one first.
    pub(crate) fn descriptor_blocks(&self, index: u64) -> Vec<u64> {
        let per_block = self.descriptors_per_block();
        if self.incompat & INCOMPAT_META_BG != 0 && index >= self.first_meta_group {
            let first = index.saturating_mul(per_block);
            let places = [first, first + 1, first + per_block - 1];
            let block = |group| match self.has_copy(group) {
                true => self.copy_at(group).saturating_add(1),
                false => self.group_start(group),
            };
            return places.into_iter().map(block).collect();
        }
        let groups = (0..self.groups)
            .take(64)
            .filter(|&group| self.has_copy(group));
        groups
            .map(|group| self.copy_at(group).saturating_add(1 + index))
            .collect()
    }

    /// The blocks at the start of a group that hold its copies of the superblock and of
    /// descriptors, with the room that is kept for more descriptors; empty where it has none.
    pub(crate) fn base_of(&self, group: u64) -> Range<u64> {
        let (per_block, has_copy) = (self.descriptors_per_block(), self.has_copy(group));
        let start = match has_copy {
            true => self.copy_at(group),
            false => self.group_start(group),
        };
        let is_meta = self.incompat & INCOMPAT_META_BG != 0;
        let descriptors = if is_meta && group / per_block >= self.first_meta_group {
            // The first two groups of those that share a block of descriptors, and the last one.
            u64::from([0, 1, per_block - 1].contains(&(group % per_block)))
        } else if has_copy {
            self.copied_descriptors() + self.reserved_descriptor_blocks
        } else {
            0
        };
        start..start.saturating_add(u64::from(has_copy) + descriptors)
    }

    /// The copy of the superblock and of the descriptors that a group keeps, without the room for
    /// more of them; empty where it keeps none.
    pub(crate) fn copy_of(&self, group: u64) -> Range<u64> {
        let start = self.copy_at(group);
        let len = match self.has_copy(group) {
            true => 1 + self.copied_descriptors(),
            false => 0,
        };
        start..start.saturating_add(len)
    }

    /// How many blocks of descriptors follow each copy of the superblock.
    fn copied_descriptors(&self) -> u64 {
        let all = self.descriptor_block_count();
        match self.incompat & INCOMPAT_META_BG != 0 {
            true => all.min(self.first_meta_group),
            false => all,
        }
    }

    /// How many blocks the descriptors of all groups take.
    pub(crate) fn descriptor_block_count(&self) -> u64 {
        self.groups.div_ceil(self.descriptors_per_block())
    }

    /// Where the copies of superblock and descriptors lie, in bytes, with the room that is kept for
    /// more descriptors.
    pub(crate) fn copies(&self) -> impl Iterator<Item = Range<u64>> {
        let len = 1 + self.copied_descriptors() + self.reserved_descriptor_blocks;
        let groups = (1..self.groups).filter(|&group| self.has_copy(group));
        groups.map(move |group| self.block_range(self.group_start(group), len))
    }
}

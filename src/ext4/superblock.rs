//! The shape of a file system, from its superblock or a copy of it.

use std::ops::Range;

use super::MetadataKind;
use super::lost::LostRanges;
use crate::bytes::{le_u16, le_u32};
use crate::disk::VirtualDisk;
use crate::error::Result;

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

/// What is needed to find inodes and blocks.
#[derive(Debug)]
pub(super) struct Superblock {
    /// The size of a block in bytes: a power of two from 1 KiB to 64 KiB.
    pub(super) block_size: u64,
    /// The number of blocks; all lie on the disk.
    pub(super) blocks: u64,
    pub(super) groups: u64,
    pub(super) inodes_per_group: u32,
    /// The size of an inode in bytes: a power of two, at most a block.
    pub(super) inode_size: u64,
    /// The size of a group descriptor in bytes.
    pub(super) descriptor_size: u64,
    blocks_per_group: u64,
    first_data_block: u64,
    compat: u32,
    incompat: u32,
    ro_compat: u32,
    reserved_descriptor_blocks: u64,
    first_meta_group: u64,
    /// With sparse_super2: the only groups with a copy.
    copies: [u64; 2],
}

impl Superblock {
    /// Reads the superblock; where it is lost, a copy.
    pub(super) fn find(disk: &dyn VirtualDisk, lost: &LostRanges) -> Result<Option<Self>> {
        let place = PLACE..PLACE + SIZE as u64;
        if !lost.touch(&place)
            && let Some(superblock) = Self::at(disk, PLACE, 0)?
        {
            return Ok(Some(superblock));
        }
        // Where mke2fs puts the first copies: a group has as many blocks as a block has bits.
        for block_size in [4096, 1024, 2048, 16384, 65536, 8192, 32768] {
            let first_data_block = u64::from(block_size == 1024);
            for group in [1, 3, 5, 7, 9, 25, 27, 49] {
                let block = first_data_block + group * block_size * 8;
                let at = block * block_size;
                if lost.touch(&(at..at + SIZE as u64)) {
                    continue;
                }
                if let Some(found) = Self::at(disk, at, group)?
                    && found.block_size == block_size
                {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    fn at(disk: &dyn VirtualDisk, offset: u64, group: u64) -> Result<Option<Self>> {
        let mut bytes = [0; SIZE];
        if offset.saturating_add(SIZE as u64) > disk.size() {
            return Ok(None);
        }
        disk.read_at(&mut bytes, offset)?;
        Ok(Self::parse(&bytes, disk.size(), group))
    }

    /// Reads the copy in `group` of a disk of `disk_size` bytes; `None` where it makes no sense.
    fn parse(bytes: &[u8; SIZE], disk_size: u64, group: u64) -> Option<Self> {
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
            copies: [588, 592].map(|at| u64::from(le_u32(bytes, at))),
        })
    }

    /// Whether the journal is to be replayed.
    pub(super) fn needs_recovery(&self) -> bool {
        self.incompat & INCOMPAT_RECOVER != 0
    }

    /// Whether group descriptors say how many inodes were never used.
    pub(super) fn counts_unused(&self) -> bool {
        self.ro_compat & (RO_COMPAT_GDT_CSUM | RO_COMPAT_METADATA_CSUM) != 0
    }

    /// Where a block lies, in bytes.
    pub(super) fn offset_of(&self, block: u64) -> u64 {
        block.saturating_mul(self.block_size)
    }

    /// Where blocks lie, in bytes.
    pub(super) fn block_range(&self, block: u64, len: u64) -> Range<u64> {
        self.offset_of(block)..self.offset_of(block.saturating_add(len))
    }

    /// Whether blocks lie inside the file system.
    pub(super) fn holds(&self, block: u64, len: u64) -> bool {
        block > 0 && block.checked_add(len).is_some_and(|end| end <= self.blocks)
    }

    /// The first block of a group.
    fn group_start(&self, group: u64) -> u64 {
        self.first_data_block
            .saturating_add(group.saturating_mul(self.blocks_per_group))
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
            self.copies.contains(&group)
        } else {
            self.ro_compat & RO_COMPAT_SPARSE_SUPER == 0
                || group == 1
                || [3, 5, 7].into_iter().any(power_of)
        }
    }

    /// How many descriptors a block has.
    pub(super) fn descriptors_per_block(&self) -> u64 {
        self.block_size / self.descriptor_size
    }

    /// The blocks that may hold the descriptors numbered `index` by blocks, the first one first.
    pub(super) fn descriptor_blocks(&self, index: u64) -> Vec<u64> {
        let per_block = self.descriptors_per_block();
        if self.incompat & INCOMPAT_META_BG != 0 && index >= self.first_meta_group {
            let first = index.saturating_mul(per_block);
            let places = [first, first + 1, first + per_block - 1];
            let block = |group| self.group_start(group) + u64::from(self.has_copy(group));
            return places.into_iter().map(block).collect();
        }
        let groups = (0..self.groups)
            .take(64)
            .filter(|&group| self.has_copy(group));
        groups
            .map(|group| self.group_start(group).saturating_add(1 + index))
            .collect()
    }

    /// How many blocks of descriptors follow the superblock and each copy.
    fn descriptor_block_count(&self) -> u64 {
        let all = self.groups.div_ceil(self.descriptors_per_block());
        if self.incompat & INCOMPAT_META_BG != 0 {
            all.min(self.first_meta_group)
        } else {
            all
        }
    }

    /// Tells how much of superblock, descriptors and their copies is lost.
    pub(super) fn note_copies(&self, lost: &LostRanges, note: &mut dyn FnMut(MetadataKind, u64)) {
        let descriptors = self.descriptor_block_count();
        let place = PLACE..PLACE + SIZE as u64;
        note(MetadataKind::Superblock, lost.bytes_in(&place));
        for index in 0..self.groups.div_ceil(self.descriptors_per_block()) {
            let first = self.descriptor_blocks(index).first().copied();
            let table = self.block_range(first.unwrap_or(0), 1);
            note(MetadataKind::GroupDescriptors, lost.bytes_in(&table));
        }
        for group in (1..self.groups).filter(|&group| self.has_copy(group)) {
            let len = 1 + descriptors + self.reserved_descriptor_blocks;
            let copy = self.block_range(self.group_start(group), len);
            note(MetadataKind::Backup, lost.bytes_in(&copy));
        }
    }
}

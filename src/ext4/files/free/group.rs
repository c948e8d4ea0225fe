//! A block group with its bitmaps, and whether both fit together.

use std::ops::Range;

use super::bits::Bits;
use super::error::FreeError;
use super::shape::Shape;
use crate::error::Result;
use crate::ext4::files::checksum::crc32c;
use crate::ext4::files::error::FilesError;
use crate::ext4::files::reader::Reader;
use crate::util::bytes::{le_u16, le_u32, to_usize};

/// Bits of a descriptor's flags: the bitmap of inodes, and that of blocks, was never written.
const INODES_NEVER_USED: u16 = 0x1;
const BLOCKS_NEVER_USED: u16 = 0x2;

/// A block group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) number: u64,
    /// Its first block.
    pub(super) start: u64,
    /// How many bits its bitmap of blocks has.
    pub(super) clusters: u64,
    /// The number of the block that has its bitmap of blocks, and of the one for inodes.
    pub(super) bitmaps: [u64; 2],
    /// The blocks of its table of inodes.
    pub(super) inode_table: Range<u64>,
    /// The inodes of the table past this many were never used.
    pub(super) inodes_used: u32,
    /// Its bitmap of blocks; `None` where no block was ever used but for tables.
    pub(super) blocks: Option<Bits>,
    /// Its bitmap of inodes; `None` where none was ever used.
    pub(super) inodes: Option<Bits>,
    /// How many clusters and inodes its descriptor counts as free.
    pub(super) free_clusters: u64,
    pub(super) free_inodes: u64,
    /// Whether the checksums of its bitmaps are right.
    sums_are_right: bool,
}

impl Group {
    /// Reads the descriptor of a group, and its bitmaps.
    ///
    /// # Errors
    ///
    /// [`FilesError::Damaged`] and [`FreeError::Group`] where the descriptor makes no sense, and
    /// what the disk says.
    pub(super) fn read(reader: &Reader, shape: &Shape, number: u64) -> Result<Self> {
        let descriptor = reader.descriptor(number, |bytes| Ok(bytes.to_vec()))?;
        let superblock = &reader.superblock;
        let start = superblock.group_start(number);
        let end = start.saturating_add(superblock.blocks_per_group);
        let end = end.min(shape.blocks);
        let wide = descriptor.len() >= 64;
        let block = |low, high| {
            let high = if wide { le_u32(&descriptor, high) } else { 0 };
            u64::from(le_u32(&descriptor, low)) | u64::from(high) << 32
        };
        let count = |low, high| {
            let high = if wide { le_u16(&descriptor, high) } else { 0 };
            u32::from(le_u16(&descriptor, low)) | u32::from(high) << 16
        };
        let bitmaps = [block(0, 32), block(4, 36)];
        let table = block(8, 40);
        let per_group = superblock.inodes_per_group;
        let room = u64::from(per_group) * superblock.inode_size;
        let table_blocks = room.div_ceil(superblock.block_size);
        let holds_all = bitmaps.iter().all(|&bitmap| superblock.holds(bitmap, 1));
        if !holds_all || !superblock.holds(table, table_blocks) {
            return Err(FilesError::Damaged("a group's tables lie outside of it").into());
        }
        // Without checksums flags and the count of unused inodes mean nothing.
        let has_flags = superblock.counts_unused();
        let flags = if has_flags {
            le_u16(&descriptor, 18)
        } else {
            0
        };
        let has_inodes = flags & INODES_NEVER_USED == 0;
        let unused = if has_flags { count(28, 50) } else { 0 };
        let Some(inodes_used) = per_group.checked_sub(unused) else {
            let problem = "it has more inodes that were never used than inodes";
            return Err(FreeError::Group {
                group: number,
                problem,
            }
            .into());
        };
        let read = |at: u64| {
            let mut bytes = vec![0; to_usize(superblock.block_size)];
            let read = reader.volume.read_at(&mut bytes, superblock.offset_of(at));
            read.map(|()| bytes)
        };
        let [of_blocks, of_inodes] = bitmaps;
        let has_blocks = flags & BLOCKS_NEVER_USED == 0;
        let blocks = has_blocks.then(|| read(of_blocks)).transpose()?;
        let inodes = has_inodes.then(|| read(of_inodes)).transpose()?;
        let mut sums_are_right = true;
        if let Some(seed) = reader.features.seed {
            let clusters = to_usize(superblock.blocks_per_group / shape.cluster / 8);
            let kept = |low, high| SumOf::kept(&descriptor, low, high);
            let is_right = |bytes: &Option<Vec<u8>>, len, kept: SumOf| {
                let bytes = bytes.as_ref().and_then(|bytes| bytes.get(..len));
                bytes.is_none_or(|bytes| kept.is(crc32c(seed, bytes)))
            };
            sums_are_right = is_right(&blocks, clusters, kept(24, 56))
                && is_right(&inodes, to_usize(per_group / 8), kept(26, 58));
        }
        Ok(Self {
            number,
            start,
            clusters: end.saturating_sub(start).div_ceil(shape.cluster),
            bitmaps,
            inode_table: table..table + table_blocks,
            inodes_used: if has_inodes { inodes_used } else { 0 },
            blocks: blocks.as_deref().map(Bits::new),
            inodes: inodes.as_deref().map(Bits::new),
            free_clusters: u64::from(count(12, 44)),
            free_inodes: u64::from(count(14, 46)),
            sums_are_right,
        })
    }

    /// Checks the counts of free inodes and clusters, and the checksums of the bitmaps.
    ///
    /// # Errors
    ///
    /// [`FreeError::Group`].
    pub(super) fn check_sums(&self, reader: &Reader) -> Result<()> {
        if !self.sums_are_right {
            return Err(self.wrong("the checksum of a bitmap is wrong"));
        }
        let per_group = u64::from(reader.superblock.inodes_per_group);
        let free_inodes = match &self.inodes {
            Some(inodes) => inodes.count_clear(per_group),
            None => per_group,
        };
        if free_inodes != self.free_inodes {
            return Err(self.wrong("it counts other free inodes than its bitmap"));
        }
        let used = u64::from(self.inodes_used);
        let past = self.inodes.as_ref();
        if past.is_some_and(|inodes| inodes.next(used, per_group, true).is_some()) {
            return Err(self.wrong("an inode is marked used, and counted as never used"));
        }
        let counted = self.blocks.as_ref();
        if counted.is_some_and(|bits| bits.count_clear(self.clusters) != self.free_clusters) {
            return Err(self.wrong("it counts other free blocks than its bitmap"));
        }
        Ok(())
    }

    /// An error of this group.
    pub(super) fn wrong(&self, problem: &'static str) -> crate::Error {
        let group = self.number;
        FreeError::Group { group, problem }.into()
    }

    /// The blocks that its bitmap says are free: all, where there is none.
    pub(super) fn stated_free(&self, shape: &Shape) -> Vec<Range<u64>> {
        let all = Bits::new(&[]);
        let bits = self.blocks.as_ref().unwrap_or(&all);
        let runs = bits.clear_runs(self.clusters);
        runs.map(|run| self.blocks_of(&run, shape)).collect()
    }

    /// The blocks of a run of clusters.
    pub(super) fn blocks_of(&self, run: &Range<u64>, shape: &Shape) -> Range<u64> {
        let block = |cluster: u64| (self.start + cluster * shape.cluster).min(shape.blocks);
        block(run.start)..block(run.end)
    }
}

/// A checksum as a descriptor keeps it: small descriptors have half of it.
struct SumOf {
    kept: u32,
    mask: u32,
}

impl SumOf {
    fn kept(descriptor: &[u8], low: usize, high: usize) -> Self {
        let low = u32::from(le_u16(descriptor, low));
        match descriptor.len() >= 64 {
            true => Self {
                kept: low | u32::from(le_u16(descriptor, high)) << 16,
                mask: u32::MAX,
            },
            false => Self {
                kept: low,
                mask: 0xffff,
            },
        }
    }

    fn is(&self, sum: u32) -> bool {
        sum & self.mask == self.kept
    }
}

//! What a file system has room for, counted as the kernel counts it.

use super::features::{Journal, SIZE};
use super::reader::Reader;
use crate::error::Result;
use crate::tree::Capacity;
use crate::util::bytes::{le_u32, saturating_u32};

const INCOMPAT_EXTENT: u32 = 0x40;
const INCOMPAT_64BIT: u32 = 0x80;
const RO_COMPAT_BIGALLOC: u32 = 0x200;

impl Reader {
    /// What there is room for.
    ///
    /// # Errors
    ///
    /// As [`Reader::place_of`].
    pub(super) fn capacity(&self) -> Result<Capacity> {
        /// The kernel keeps a fiftieth of the clusters for its own needs, and at most so many.
        const KEPT: u64 = 4096;
        let superblock = &self.superblock;
        let mut bytes = [0; SIZE];
        self.volume.read_at(&mut bytes, superblock.place)?;
        let word = |at| le_u32(&bytes, at);
        let (incompat, ro_compat) = (word(96), word(100));
        let is_wide = incompat & INCOMPAT_64BIT != 0;
        let wide = |low, high| {
            let high = if is_wide { word(high) } else { 0 };
            u64::from(word(low)) | u64::from(high) << 32
        };
        let has_clusters = ro_compat & RO_COMPAT_BIGALLOC != 0;
        let per_cluster = match word(28).checked_sub(word(24)) {
            Some(log) if has_clusters && log < 32 => 1u64 << log,
            _ => 1,
        };
        let (mut free, mut free_files) = (0u64, 0u64);
        for group in 0..superblock.groups {
            let (clusters, inodes) = self.free_in(group)?;
            free += clusters;
            free_files += inodes;
        }
        let free = free.saturating_mul(per_cluster);
        let blocks = wide(4, 336);
        // With clusters of several blocks the kernel believes what mke2fs counted.
        let stated = u64::from(word(584)).saturating_mul(per_cluster);
        let taken = if has_clusters && (1..=blocks).contains(&stated) {
            stated
        } else {
            superblock.table_blocks() + self.journal_blocks()
        };
        let kept = match incompat & INCOMPAT_EXTENT != 0 {
            true => (blocks / per_cluster / 50).min(KEPT) * per_cluster,
            false => 0,
        };
        let kept = kept.saturating_add(wide(8, 340));
        Ok(Capacity {
            block_size: saturating_u32(superblock.block_size),
            blocks: blocks.saturating_sub(taken),
            free,
            available: free.saturating_sub(kept),
            files: u64::from(self.features.inodes),
            free_files,
        })
    }

    /// How many blocks a journal inside the file system has; none where it cannot be told.
    fn journal_blocks(&self) -> u64 {
        match self.features.journal {
            Some(Journal::Inode(inode)) => self
                .inode(inode)
                .map_or(0, |inode| inode.metadata.size / self.superblock.block_size),
            _ => 0,
        }
    }
}

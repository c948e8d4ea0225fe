//! How much of a damaged file system may be looked at.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Result;
use crate::ext4::blocks::{BlockPieces, Blocks, Reading};

/// How much may be looked at: a file system that is sound has no more than the disk stores.
#[derive(Debug)]
pub(super) struct Budget {
    /// Bytes that are left; things that are not read count as a few.
    left: AtomicU64,
}

impl Budget {
    /// Asks what is stored of a file system; reads none of it.
    pub(super) fn of(blocks: &dyn Blocks) -> Result<Self> {
        /// Directories are read twice, and small disks get their way.
        const LEAST: u64 = 16 << 20;
        let mut bytes = LEAST;
        for piece in blocks.pieces_in(0..blocks.size()) {
            let piece = piece?;
            // What is a hole of the file costs nothing to make.
            if piece.data {
                bytes = bytes.saturating_add(piece.len.saturating_mul(2));
            }
        }
        Ok(Self::new(bytes))
    }

    fn new(bytes: u64) -> Self {
        Self {
            left: AtomicU64::new(bytes),
        }
    }

    /// Takes some; false where there is not so much left, and then nothing is left.
    pub(super) fn take(&self, bytes: u64) -> bool {
        let less = |left: u64| Some(left.saturating_sub(bytes));
        let left = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        left.is_ok_and(|left| left >= bytes)
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}

/// Blocks that are lost once a budget is spent. Each read is taken from it.
#[derive(Debug)]
pub(super) struct Counted<'a> {
    blocks: &'a dyn Blocks,
    budget: &'a Budget,
}

impl<'a> Counted<'a> {
    pub(super) fn new(blocks: &'a dyn Blocks, budget: &'a Budget) -> Self {
        Self { blocks, budget }
    }
}

impl Blocks for Counted<'_> {
    fn size(&self) -> u64 {
        self.blocks.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<Reading> {
        if self.budget.take(buf.len() as u64) {
            self.blocks.read_at(buf, offset)
        } else {
            Ok(Reading::Lost)
        }
    }

    fn pieces_in(&self, range: Range<u64>) -> BlockPieces<'_> {
        /// What a piece costs: a disk has at least an entry of a table for each.
        const PIECE: u64 = 4;
        let pieces = self.blocks.pieces_in(range);
        Box::new(pieces.take_while(|_| self.budget.take(PIECE)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::{Concat, RawDisk};
    use crate::ext4::blocks::DiskBlocks;

    #[test]
    fn what_is_stored_counts_twice_and_holes_do_not_count() {
        let mut disk = Concat::default();
        disk.zeros(1 << 40).unwrap();
        disk.bytes("bytes", vec![1; 1000]).unwrap();

        let budget = Budget::of(&DiskBlocks::new(&disk)).unwrap();

        assert!(budget.take((16 << 20) + 2000));
        assert!(budget.is_spent());
    }

    #[test]
    fn blocks_are_lost_once_the_budget_is_spent() {
        let disk = RawDisk::over(Arc::new(vec![7; 100]), "memory".as_ref()).unwrap();
        let (disk, budget) = (DiskBlocks::new(&disk), Budget::new(20));
        let counted = Counted::new(&disk, &budget);
        let mut buf = [0; 8];
        assert_eq!(counted.read_at(&mut buf, 0).unwrap(), Reading::Whole);
        assert_eq!(buf, [7; 8]);
        assert_eq!(counted.pieces_in(0..100).count(), 1);
        assert!(!budget.is_spent());

        // Eight bytes are left, less than these.
        let mut buf = [0; 9];
        assert_eq!(counted.read_at(&mut buf, 0).unwrap(), Reading::Lost);

        assert!(budget.is_spent());
        assert_eq!(counted.read_at(&mut [0], 0).unwrap(), Reading::Lost);
        assert_eq!(counted.pieces_in(0..100).count(), 0);
    }
}

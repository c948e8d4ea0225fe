//! Lost ranges and lost inodes, to be asked for by place, and blocks that say what is lost.

use std::ops::Range;

use crate::disk::Loss;
use crate::error::Result;
use crate::ext4::blocks::{BlockPieces, Blocks, Reading};

/// The lost ranges of a disk, in order.
#[derive(Debug)]
pub(super) struct LostRanges {
    /// Each with whether it is doubtful, and not zeros.
    ranges: Vec<(Range<u64>, bool)>,
}

impl LostRanges {
    pub(super) fn new(losses: &[Loss]) -> Self {
        let range = |loss: &Loss| (loss.offset..loss.end(), !loss.kind.is_zeros());
        Self {
            ranges: losses.iter().map(range).collect(),
        }
    }

    /// The parts that lie in `range`, each with whether it is doubtful.
    pub(super) fn within(&self, range: &Range<u64>) -> impl Iterator<Item = (Range<u64>, bool)> {
        let Range { start, end } = *range;
        let first = self.ranges.partition_point(|(lost, _)| lost.end <= start);
        let later = self.ranges.get(first..).unwrap_or_default().iter();
        later
            .take_while(move |(lost, _)| lost.start < end)
            .map(move |(lost, doubtful)| (lost.start.max(start)..lost.end.min(end), *doubtful))
    }

    /// Whether any byte of `range` is lost.
    pub(super) fn touch(&self, range: &Range<u64>) -> bool {
        self.within(range).next().is_some()
    }
}

/// Blocks of which ranges are lost: those are not read, whatever stands for them.
#[derive(Debug)]
pub(super) struct LossyBlocks<'a> {
    blocks: &'a dyn Blocks,
    lost: &'a LostRanges,
}

impl<'a> LossyBlocks<'a> {
    pub(super) fn new(blocks: &'a dyn Blocks, lost: &'a LostRanges) -> Self {
        Self { blocks, lost }
    }
}

impl Blocks for LossyBlocks<'_> {
    fn size(&self) -> u64 {
        self.blocks.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<Reading> {
        let range = offset..offset.saturating_add(buf.len() as u64);
        if self.lost.touch(&range) {
            return Ok(Reading::Lost);
        }
        self.blocks.read_at(buf, offset)
    }

    fn pieces_in(&self, range: Range<u64>) -> BlockPieces<'_> {
        self.blocks.pieces_in(range)
    }
}

/// Inodes whose place in a table is lost; they come in ascending order.
#[derive(Debug, Default)]
pub(super) struct LostInodes {
    ranges: Vec<Range<u64>>,
}

impl LostInodes {
    pub(super) fn add(&mut self, range: Range<u64>) {
        match self.ranges.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => self.ranges.push(range),
        }
    }

    pub(super) fn contain(&self, inode: u32) -> bool {
        let inode = u64::from(inode);
        let at = self.ranges.partition_point(|range| range.end <= inode);
        self.ranges
            .get(at)
            .is_some_and(|range| range.contains(&inode))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::{LossKind, RawDisk};
    use crate::error::ErrorKind;
    use crate::ext4::blocks::DiskBlocks;
    use crate::source::Source;

    /// Bytes of which the first hundred are read, and the others give errors.
    #[derive(Debug)]
    struct Failing;

    impl Source for Failing {
        fn size(&self) -> std::io::Result<u64> {
            Ok(1000)
        }
        fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
            if offset + buf.len() as u64 > 100 {
                return Err(std::io::Error::other("a bad sector"));
            }
            buf.fill(7);
            Ok(())
        }
    }

    #[test]
    fn a_range_with_one_lost_byte_is_lost_and_is_not_read() {
        let disk = RawDisk::over(Arc::new(Failing), "failing".as_ref()).unwrap();
        let kinds = [LossKind::Missing, LossKind::Unreadable, LossKind::Doubtful];
        for kind in kinds {
            let lost = LostRanges::new(&[Loss::of(100..200, kind)]);
            let disk = DiskBlocks::new(&disk);
            let blocks = LossyBlocks::new(&disk, &lost);
            let mut buf = [0; 10];

            assert_eq!(blocks.read_at(&mut buf, 90).unwrap(), Reading::Whole);
            assert_eq!(buf, [7; 10]);
            for offset in [91, 100, 150, 199] {
                assert_eq!(blocks.read_at(&mut buf, offset).unwrap(), Reading::Lost);
            }
            let error = blocks.read_at(&mut buf, 200).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io, "{error:?}");
            assert_eq!(
                (blocks.size(), blocks.pieces_in(0..1000).count()),
                (1000, 1)
            );
        }
    }

    #[test]
    fn lost_inodes_are_found_in_ranges_that_touch_or_overlap() {
        let mut lost = LostInodes::default();
        assert!(lost.is_empty() && !lost.contain(1));
        for range in [3..5, 5..6, 5..8, 20..21] {
            lost.add(range);
        }
        let contained: Vec<_> = (0..30).filter(|&inode| lost.contain(inode)).collect();
        assert_eq!(contained, [3, 4, 5, 6, 7, 20]);
    }
}

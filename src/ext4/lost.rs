//! Lost ranges and lost inodes, to be asked for by place.

use std::ops::Range;

use crate::disk::Loss;

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

    /// How many bytes of `range` are lost.
    pub(super) fn bytes_in(&self, range: &Range<u64>) -> u64 {
        self.within(range)
            .map(|(part, _)| part.end - part.start)
            .sum()
    }

    /// Whether any byte of `range` is lost.
    pub(super) fn touch(&self, range: &Range<u64>) -> bool {
        self.within(range).next().is_some()
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

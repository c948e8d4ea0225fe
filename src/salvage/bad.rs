//! The ranges that a device did not give.

use std::collections::BTreeMap;
use std::ops::Range;

/// Ranges that grow together where they touch.
#[derive(Debug, Default)]
pub(super) struct BadSectors {
    /// Ends by starts; no two touch.
    ranges: BTreeMap<u64, u64>,
}

impl BadSectors {
    /// The most ranges that are remembered: some 50 MiB.
    pub(super) const MOST: usize = 1 << 20;

    /// Adds a range; false where there is no room for it.
    #[must_use]
    pub(super) fn add(&mut self, range: Range<u64>) -> bool {
        let Range { mut start, mut end } = range;
        while let Some((&from, &to)) = self.ranges.range(..=end).next_back() {
            if to < start {
                break;
            }
            self.ranges.remove(&from);
            (start, end) = (start.min(from), end.max(to));
        }
        self.ranges.insert(start, end);
        self.ranges.len() <= Self::MOST
    }

    /// The parts of the ranges that lie in `range`, in order.
    pub(super) fn within(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let before = self.ranges.range(..range.start).next_back();
        let inside = self.ranges.range(range.clone());
        let all = before.into_iter().chain(inside);
        all.map(|(&start, &end)| start.max(range.start)..end.min(range.end))
            .filter(|part| part.start < part.end)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_become_one() {
        let mut bad = BadSectors::default();
        for range in [0..5, 10..20, 30..40, 5..7, 20..30, 12..14] {
            assert!(bad.add(range));
        }
        assert_eq!(bad.within(&(0..100)), [0..7, 10..40]);
        assert_eq!(bad.within(&(6..11)), [6..7, 10..11]);
        assert_eq!(bad.within(&(7..10)), []);
        assert!(bad.add(0..100));
        assert_eq!(bad.within(&(50..60)), [50..60]);
    }
}

//! Sets of ranges of a disk, in bytes.

use std::ops::Range;

/// The most ranges that are kept in a state: more are joined over what lies between them.
const MOST: usize = 1 << 16;

/// All the ranges in order, without overlap; what is empty or past `size` is left out.
pub(super) fn joined(ranges: impl IntoIterator<Item = Range<u64>>, size: u64) -> Vec<Range<u64>> {
    let ranges = ranges.into_iter();
    let ranges = ranges.map(|range| range.start..range.end.min(size));
    let mut sorted: Vec<_> = ranges.filter(|range| range.start < range.end).collect();
    sorted.sort_unstable_by_key(|range| range.start);
    merged(&sorted, 0)
}

/// The same bytes and more, in a number of ranges that can be written down.
pub(super) fn few(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut gap = 1 << 16;
    while ranges.len() > MOST {
        ranges = merged(&ranges, gap);
        gap *= 2;
    }
    ranges
}

/// What both have; each is in order and without overlap.
pub(super) fn common(one: &[Range<u64>], other: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut found = Vec::new();
    let (mut ones, mut others) = (one.iter().peekable(), other.iter().peekable());
    while let (Some(first), Some(second)) = (ones.peek(), others.peek()) {
        let both = first.start.max(second.start)..first.end.min(second.end);
        let ended = if first.end <= second.end {
            &mut ones
        } else {
            &mut others
        };
        ended.next();
        if both.start < both.end {
            found.push(both);
        }
    }
    found
}

/// What of `size` bytes none of them has; they are in order and without overlap.
pub(super) fn between(ranges: &[Range<u64>], size: u64) -> Vec<Range<u64>> {
    let starts = std::iter::once(0).chain(ranges.iter().map(|range| range.end));
    let ends = ranges.iter().map(|range| range.start);
    let gaps = starts.zip(ends.chain(std::iter::once(size)));
    gaps.map(|(start, end)| start..end.min(size))
        .filter(|gap| gap.start < gap.end)
        .collect()
}

/// How many bytes they are.
pub(super) fn bytes(ranges: &[Range<u64>]) -> u64 {
    let lengths = ranges
        .iter()
        .map(|range| range.end.saturating_sub(range.start));
    lengths.fold(0, u64::saturating_add)
}

/// Sorted ranges, joined where at most `gap` bytes lie between them.
fn merged(sorted: &[Range<u64>], gap: u64) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match joined.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(gap) => {
                last.end = last.end.max(range.end);
            }
            _ => joined.push(range.clone()),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_joined_in_order_and_end_with_the_disk() {
        let ranges = [30..40, 0..10, 5..12, 12..14, 90..200, 20..20];
        assert_eq!(joined(ranges, 100), [0..14, 30..40, 90..100]);
        assert_eq!(bytes(&joined([0..10, 20..30], 100)), 20);
    }

    #[test]
    fn what_two_sets_share_and_what_lies_between() {
        let both = common(&[0..10, 20..30, 40..50], &[5..25, 28..29, 50..60]);
        assert_eq!(both, [5..10, 20..25, 28..29]);
        assert_eq!(common(&[0..10], &[10..20]), []);
        assert_eq!(between(&both, 40), [0..5, 10..20, 25..28, 29..40]);
        assert_eq!(between(&both, 29), [0..5, 10..20, 25..28]);
        assert_eq!(between(&both, 7), [0..5]);
        assert_eq!(between(&[], 7), [0..7]);
    }

    #[test]
    fn many_ranges_become_few_and_lose_no_byte() {
        let many: Vec<_> = (0..200_000_u64)
            .map(|at| at << 20..(at << 20) + 4096)
            .collect();
        let kept = few(many.clone());
        assert!(kept.len() <= MOST);
        assert_eq!(joined(many.iter().chain(&kept).cloned(), u64::MAX), kept);
    }
}

//! Ranges in order.

use std::ops::Range;

/// Runs of blocks, in their order, as ranges in bytes that do not touch.
pub(super) fn in_bytes(runs: impl Iterator<Item = Range<u64>>, block_size: u64) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for run in runs.filter(|run| run.start < run.end) {
        let start = run.start.saturating_mul(block_size);
        let end = run.end.saturating_mul(block_size);
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => ranges.push(start..end),
        }
    }
    ranges
}

/// What two lists of ranges have in common; both are in order, and so is the result.
pub(super) fn common(one: &[Range<u64>], other: &[Range<u64>]) -> Vec<Range<u64>> {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    let mut found = Vec::new();
    while let (Some(a), Some(b)) = (one.peek(), other.peek()) {
        let both = a.start.max(b.start)..a.end.min(b.end);
        let first_ends = a.end <= b.end;
        if both.start < both.end {
            found.push(both);
        }
        if first_ends {
            one.next();
        } else {
            other.next();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_both_have_is_common() {
        let one = [0..10, 20..30, 40..50];
        let other = [5..25, 26..27, 29..45];
        assert_eq!(
            common(&one, &other),
            [5..10, 20..25, 26..27, 29..30, 40..45]
        );
        assert_eq!(common(&one, &[]), []);
    }

    #[test]
    fn runs_that_touch_are_one_range() {
        let runs = [1..2, 2..4, 4..4, 6..7];
        assert_eq!(in_bytes(runs.into_iter(), 1024), [1024..4096, 6144..7168]);
    }
}

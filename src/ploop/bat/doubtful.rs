//! Clusters that are stored, and may hold another cluster's bytes.

use std::ops::Range;

use super::Bat;
use crate::util::bytes::saturating_u32;

impl Bat {
    /// The ranges of the disk inside `range` that this image stores and that cannot be trusted:
    /// their cluster lies on another one, or in the middle of two. In order, joined where they
    /// touch; nothing where the table was not read for salvage.
    #[must_use]
    pub fn doubtful_in(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let cluster = self.rules.cluster;
        let first = self.doubtful.partition_point(|&index| {
            (u64::from(index) + 1).saturating_mul(cluster) <= range.start
        });
        let later = self.doubtful.get(first..).unwrap_or_default();
        let mut found: Vec<Range<u64>> = Vec::new();
        for start in later.iter().map(|&index| u64::from(index) * cluster) {
            if start >= range.end {
                break;
            }
            let start = start.max(range.start);
            let end = (start / cluster + 1).saturating_mul(cluster);
            let end = end.min(range.end).min(self.rules.virtual_size);
            match found.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ if start < end => found.push(start..end),
                _ => {}
            }
        }
        found
    }

    /// Looks for all entries that share a place or count to the middle of a cluster. Takes up to
    /// twice the room of the entries in use, for as long as it looks.
    pub(super) fn find_doubtful(&mut self) {
        let rules = self.rules;
        let in_file = |&(_, entry): &(u64, u32)| rules.available(rules.host_offset(entry)) > 0;
        // Both are what the table counts with, so both fit.
        let mut places: Vec<(u32, u32)> = self
            .pages
            .used_entries()
            .filter(in_file)
            .map(|(index, entry)| (entry, saturating_u32(index)))
            .collect();
        places.sort_unstable();
        let host_offset =
            |place: Option<&(u32, u32)>| place.map(|&(entry, _)| rules.host_offset(entry));
        // Clusters are all of one size: one that lies on any other lies on a neighbour.
        let doubtful = places.iter().enumerate().filter(|&(at, place)| {
            let here = rules.host_offset(place.0);
            let before = host_offset(at.checked_sub(1).and_then(|at| places.get(at)));
            let next = host_offset(places.get(at + 1));
            before.is_some_and(|before| here - before < rules.cluster)
                || next.is_some_and(|next| next - here < rules.cluster)
                || rules.is_misaligned(here)
        });
        let mut indexes: Vec<u32> = doubtful.map(|(_, &(_, index))| index).collect();
        indexes.sort_unstable();
        self.doubtful = indexes;
    }
}

//! Looking up one run of the disk after the other.

use std::ops::ControlFlow;

use super::pages::{Entries, PAGE_ENTRIES};
use super::{Bat, Rules, Slot, WholeEntries};
use crate::util::bytes::to_usize;

/// Looks a table up from one run to the next. Where clusters lie in no order every cluster is a
/// run, and a large disk has millions: this one keeps the page that it is in.
#[derive(Debug, Clone)]
pub(in crate::ploop) struct Cursor<'a> {
    bat: &'a Bat,
    /// The number of the page that was met last.
    page: u64,
    /// Its entries, if they are listed.
    entries: Option<&'a [u32; PAGE_ENTRIES]>,
    /// Those whose clusters are whole.
    whole: Option<WholeEntries>,
}

impl Bat {
    /// Something that looks up one run after the other.
    pub(in crate::ploop) fn cursor(&self) -> Cursor<'_> {
        Cursor {
            bat: self,
            page: u64::MAX,
            entries: None,
            whole: self.rules.whole_entries(),
        }
    }
}

impl Cursor<'_> {
    /// What [`Bat::lookup`] says.
    #[inline]
    pub(in crate::ploop) fn lookup(&mut self, offset: u64, max: u64) -> Slot {
        match self.lone(offset, max) {
            Some((host_offset, len)) => Slot::Stored { host_offset, len },
            None => self.bat.lookup(offset, max),
        }
    }

    /// Where a run of one whole cluster that begins at `offset` is stored, and its length in bytes;
    /// `None` where it is not known here that there is one.
    #[inline]
    pub(in crate::ploop) fn lone(&mut self, offset: u64, max: u64) -> Option<(u64, u64)> {
        let (index, within) = self.bat.rules.grid.split(offset);
        let cluster = self.bat.rules.cluster;
        self.turn_to(index);
        let host_offset = self.lone_cluster(index)?;
        (within == 0 && max >= cluster).then_some((host_offset, cluster))
    }

    /// As [`Cursor::lone`], for one such run after the other from `offset` on, within `max` bytes
    /// and one page: gives `found` where each is stored and its length, until that breaks off.
    #[inline]
    pub(in crate::ploop) fn each_lone(
        &mut self,
        offset: u64,
        max: u64,
        mut found: impl FnMut(u64, u64) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let rules = &self.bat.rules;
        let (index, within) = rules.grid.split(offset);
        let cluster = rules.cluster;
        self.turn_to(index);
        let (Some(entries), Some(whole), 0) = (self.entries, self.whole, within) else {
            return ControlFlow::Continue(());
        };
        // The last cluster of the disk may be a part of one.
        let clusters = rules.grid.split(max).0;
        let clusters = clusters.min(rules.clusters.saturating_sub(index + 1));
        let slot = to_usize(index % PAGE_ENTRIES as u64);
        let rest = entries.get(slot..).unwrap_or_default();
        let pairs = rest.windows(2).take(to_usize(clusters));
        for pair in pairs {
            let &[entry, next] = pair else { break };
            if !is_lone(rules, whole, entry, next) {
                break;
            }
            found(u64::from(entry) * rules.unit, cluster)?;
        }
        ControlFlow::Continue(())
    }

    /// Turns to the page that has an entry.
    #[inline]
    fn turn_to(&mut self, index: u64) {
        let page = index / PAGE_ENTRIES as u64;
        if page != self.page {
            self.turn_over(page);
        }
    }

    // Once in a thousand entries.
    #[cold]
    #[inline(never)]
    fn turn_over(&mut self, page: u64) {
        self.page = page;
        self.entries = match self.bat.pages.of_entry(page * PAGE_ENTRIES as u64) {
            Entries::Listed(entries) => Some(entries),
            Entries::Empty | Entries::Run(_) => None,
        };
    }

    /// Where a whole cluster of the page is stored that does not go on in the next one; `None`
    /// where that is not known here.
    #[inline]
    fn lone_cluster(&self, index: u64) -> Option<u64> {
        let rules = &self.bat.rules;
        let slot = to_usize(index % PAGE_ENTRIES as u64);
        let entries = self.entries?;
        let (entry, next) = (*entries.get(slot)?, *entries.get(slot + 1)?);
        // The last cluster of the disk may be a part of one.
        let is_lone = index + 1 < rules.clusters && is_lone(rules, self.whole?, entry, next);
        is_lone.then(|| u64::from(entry) * rules.unit)
    }
}

/// Whether the cluster of an entry is whole and does not go on in that of the next one.
#[inline]
fn is_lone(rules: &Rules, whole: WholeEntries, entry: u32, next: u32) -> bool {
    next.wrapping_sub(entry) != rules.step() && whole.contains(entry)
}

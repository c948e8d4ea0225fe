//! Looking up one run of the disk after the other.

use super::pages::{Entries, PAGE_ENTRIES};
use super::{Bat, Slot};
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
}

impl Bat {
    /// Something that looks up one run after the other.
    pub(in crate::ploop) fn cursor(&self) -> Cursor<'_> {
        Cursor {
            bat: self,
            page: u64::MAX,
            entries: None,
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
        let page = index / PAGE_ENTRIES as u64;
        if page != self.page {
            self.turn_to(page);
        }
        let cluster = self.bat.rules.cluster;
        let host_offset = self.lone_cluster(index)?;
        (within == 0 && max >= cluster).then_some((host_offset, cluster))
    }

    // Once in a thousand entries.
    #[cold]
    #[inline(never)]
    fn turn_to(&mut self, page: u64) {
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
        let host_offset = rules.host_offset(entry);
        // The last cluster of the disk may be a part of one.
        let is_lone = entry != 0
            && next.wrapping_sub(entry) != rules.step()
            && index + 1 < rules.clusters
            && rules.is_whole(host_offset);
        is_lone.then_some(host_offset)
    }
}

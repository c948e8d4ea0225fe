//! The entries of a table, in pages that take no more memory than what they say.

use crate::util::bytes::{saturating_u32, to_usize};
use rayon::prelude::*;

/// Entries in a page of the table: 4 KiB, so that a page which is not all hole in the file does not
/// take more memory than it takes room there.
pub(super) const PAGE_ENTRIES: usize = 1024;
/// Bytes of the file that a page stands for.
pub(super) const PAGE_BYTES: usize = PAGE_ENTRIES * 4;

/// A page of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    /// No entry in use.
    Empty,
    /// All entries in use and whole in the file, each cluster right after the one before: what
    /// most of an image is that was written in order. Given is the first entry.
    Run(u32),
    /// Anything else: the place of its entries in the [`Slab`] that it was read with.
    Listed(u8),
}

/// The entries of listed pages that were read together: one piece of memory for all of them.
#[derive(Debug, Default)]
pub(super) struct Slab(Vec<[u32; PAGE_ENTRIES]>);

impl Slab {
    /// Keeps the entries of a page; no more than 256 in one slab.
    pub(super) fn list(&mut self, entries: [u32; PAGE_ENTRIES]) -> Page {
        let place = u8::try_from(self.0.len()).expect("no more than 256 pages in one slab");
        self.0.push(entries);
        Page::Listed(place)
    }
}

/// What a page holds.
pub(super) enum Entries<'a> {
    Empty,
    Run(u32),
    Listed(&'a [u32; PAGE_ENTRIES]),
}

/// A page and the number of its slab, in one word. A page without an entry is 0, so that a table of
/// which nothing was read is memory that the system gives when it is first written.
#[derive(Debug, Clone, Copy)]
struct Packed(u64);

impl Packed {
    const RUN: u64 = 1 << 63;
    const LISTED: u64 = 1 << 62;

    fn new(page: Page, slab: u32) -> Self {
        Self(match page {
            Page::Empty => 0,
            Page::Run(first) => Self::RUN | u64::from(first),
            Page::Listed(place) => Self::LISTED | u64::from(slab) << 8 | u64::from(place),
        })
    }

    /// The first entry of a run.
    fn run(self) -> Option<u32> {
        let first = u32::try_from(self.0 & !Self::RUN).ok();
        first.filter(|_| self.0 & Self::RUN != 0)
    }

    /// The number of a slab and the place in it.
    fn listed(self) -> Option<(usize, usize)> {
        let place = self.0 & !Self::LISTED;
        (self.0 & Self::LISTED != 0).then(|| (to_usize(place >> 8), to_usize(place & 0xff)))
    }
}

/// All pages of a table.
#[derive(Debug)]
pub(super) struct Pages {
    /// As [`Packed`].
    pages: Vec<u64>,
    slabs: Vec<Slab>,
    /// What entries count up by from one cluster of the file to the next.
    step: u32,
}

impl Pages {
    /// Room for `count` entries, none of them in use. `step` is what entries count up by from one
    /// cluster of the file to the next.
    pub(super) fn new(count: u64, step: u32) -> Self {
        let pages = to_usize(count.div_ceil(PAGE_ENTRIES as u64));
        Self {
            pages: vec![0; pages],
            slabs: Vec::new(),
            step,
        }
    }

    /// Stores `pages`; listed pages refer to `slab`. Pages past the end are ignored.
    pub(super) fn set(&mut self, pages: impl Iterator<Item = (u64, Page)>, mut slab: Slab) {
        let number = saturating_u32(self.slabs.len() as u64);
        slab.0.shrink_to_fit();
        self.slabs.push(slab);
        for (at, page) in pages {
            if let Some(place) = self.pages.get_mut(to_usize(at)) {
                *place = Packed::new(page, number).0;
            }
        }
    }

    /// The page that has the entry of a cluster.
    pub(super) fn of_entry(&self, index: u64) -> Entries<'_> {
        self.page(place(index).0)
    }

    fn page(&self, number: usize) -> Entries<'_> {
        self.pages
            .get(number)
            .map_or(Entries::Empty, |page| self.entries(page))
    }

    fn entries(&self, page: &u64) -> Entries<'_> {
        let page = Packed(*page);
        if let Some(first) = page.run() {
            return Entries::Run(first);
        }
        let listed = page
            .listed()
            .and_then(|(slab, place)| self.slabs.get(slab)?.0.get(place));
        listed.map_or(Entries::Empty, Entries::Listed)
    }

    /// The entry at `index` and how many clusters from there on are known to follow each other in
    /// the file, whole; `None` where the entry is not in use.
    pub(super) fn run_at(&self, index: u64) -> Option<(u32, u64)> {
        let (page, slot) = place(index);
        match self.page(page) {
            Entries::Empty => None,
            Entries::Run(first) => {
                let passed = u32::try_from(slot).ok()?;
                Some((nth(first, self.step, passed), (PAGE_ENTRIES - slot) as u64))
            }
            Entries::Listed(entries) => match entries.get(slot)? {
                0 => None,
                &entry => Some((entry, 1)),
            },
        }
    }

    /// The first entry in use at or after `index`, or `end` where there is none before.
    pub(super) fn next_used(&self, index: u64, end: u64) -> u64 {
        let first_of = |page: usize| page as u64 * PAGE_ENTRIES as u64;
        let used = |page: usize, slot: usize| match self.page(page) {
            Entries::Run(_) => Some(slot),
            Entries::Listed(entries) => (slot..PAGE_ENTRIES)
                .zip(entries.iter().skip(slot))
                .find_map(|(slot, &entry)| (entry != 0).then_some(slot)),
            Entries::Empty => None,
        };
        let (mut page, mut slot) = place(index);
        while first_of(page) < end {
            if let Some(found) = used(page, slot) {
                return end.min(first_of(page) + found as u64);
            }
            let last = place(end - 1).0.min(self.pages.len().saturating_sub(1));
            let later = self.pages.get(page + 1..=last).unwrap_or_default();
            let Some(empty) = later.iter().position(|&page| page != 0) else {
                break;
            };
            (page, slot) = (page + 1 + empty, 0);
        }
        end
    }

    /// All pages, in as many parts as there are `lanes`, or less.
    pub(super) fn parts(
        &self,
        lanes: usize,
    ) -> impl IndexedParallelIterator<Item = impl Iterator<Item = Entries<'_>>> {
        let len = self.pages.len().div_ceil(lanes).max(1);
        let parts = self.pages.par_chunks(len);
        parts.map(|part| part.iter().map(|page| self.entries(page)))
    }

    /// Every entry in use with its cluster, in the order of the table.
    pub(super) fn used_entries(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        let pages = (0u64..).zip(&self.pages).filter(|&(_, page)| *page != 0);
        pages.flat_map(|(number, page)| {
            let (listed, run) = match self.entries(page) {
                Entries::Empty => (None, None),
                Entries::Listed(entries) => (Some(entries), None),
                Entries::Run(first) => (None, Some(counted(first, self.step))),
            };
            let listed = listed
                .into_iter()
                .flat_map(|entries| entries.iter().copied());
            let entries = listed.chain(run.into_iter().flatten());
            let indexes = number * PAGE_ENTRIES as u64..;
            indexes.zip(entries).filter(|&(_, entry)| entry != 0)
        })
    }
}

/// An entry of a run. None is too large to be counted: all were compared with words of a file.
fn nth(first: u32, step: u32, passed: u32) -> u32 {
    first.wrapping_add(passed.wrapping_mul(step))
}

/// The entries of a run.
pub(super) fn counted(first: u32, step: u32) -> impl Iterator<Item = u32> {
    // A constant: the compiler compares many entries at a time where it knows how many there are.
    const COUNT: u32 = saturating_u32(PAGE_ENTRIES as u64);
    (0..COUNT).map(move |passed| nth(first, step, passed))
}

/// The page that holds the entry of a cluster, and its place there.
fn place(index: u64) -> (usize, usize) {
    let page = index / PAGE_ENTRIES as u64;
    let slot = index % PAGE_ENTRIES as u64;
    (to_usize(page), to_usize(slot))
}

//! The entries of a table, in pages that take no more memory than what they say.

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
    /// All entries in use and whole in the file, each cluster right behind the one before: what
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
        let place = u8::try_from(self.0.len()).unwrap_or(u8::MAX);
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

/// All pages of a table.
#[derive(Debug)]
pub(super) struct Pages {
    /// Each page, and the number of its slab.
    pages: Vec<(Page, u32)>,
    slabs: Vec<Slab>,
    /// What entries count up by from one cluster of the file to the next.
    step: u32,
}

impl Pages {
    /// Room for `count` entries, none of them in use. `step` is what entries count up by from one
    /// cluster of the file to the next.
    pub(super) fn new(count: u64, step: u32) -> Self {
        let pages = usize::try_from(count.div_ceil(PAGE_ENTRIES as u64)).unwrap_or(usize::MAX);
        Self {
            pages: vec![(Page::Empty, 0); pages],
            slabs: Vec::new(),
            step,
        }
    }

    /// Puts pages in their places, with the slab that those of them are in which are listed; one
    /// behind the last is left out.
    pub(super) fn set(&mut self, pages: impl Iterator<Item = (u64, Page)>, mut slab: Slab) {
        let number = u32::try_from(self.slabs.len()).unwrap_or(u32::MAX);
        slab.0.shrink_to_fit();
        self.slabs.push(slab);
        for (at, page) in pages {
            let place = usize::try_from(at).ok();
            if let Some(place) = place.and_then(|at| self.pages.get_mut(at)) {
                *place = (page, number);
            }
        }
    }

    fn page(&self, number: usize) -> Entries<'_> {
        self.pages
            .get(number)
            .map_or(Entries::Empty, |page| self.entries(page))
    }

    fn entries(&self, &(page, slab): &(Page, u32)) -> Entries<'_> {
        match page {
            Page::Empty => Entries::Empty,
            Page::Run(first) => Entries::Run(first),
            Page::Listed(place) => {
                let slab = self.slabs.get(slab as usize);
                let entries = slab.and_then(|slab| slab.0.get(usize::from(place)));
                entries.map_or(Entries::Empty, Entries::Listed)
            }
        }
    }

    /// The entry at `index` and how many clusters from there on are known to follow each other in
    /// the file, whole; `None` where the entry is not in use.
    pub(super) fn run_at(&self, index: u64) -> Option<(u32, u64)> {
        let (page, slot) = place(index);
        match self.page(page) {
            Entries::Empty => None,
            Entries::Run(first) => {
                let entry = counted(first, self.step).nth(slot)?;
                Some((entry, (PAGE_ENTRIES - slot) as u64))
            }
            Entries::Listed(entries) => match entries.get(slot)? {
                0 => None,
                &entry => Some((entry, 1)),
            },
        }
    }

    /// The first entry in use at or after `index` in its page, or the first of the next page,
    /// used or not.
    pub(super) fn skip_unused(&self, index: u64) -> u64 {
        let (page, slot) = place(index);
        let skip = match self.page(page) {
            Entries::Run(_) => Some(0),
            Entries::Listed(entries) => entries.iter().skip(slot).position(|&entry| entry != 0),
            Entries::Empty => None,
        };
        index + skip.unwrap_or(PAGE_ENTRIES - slot) as u64
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
        (0u64..).zip(&self.pages).flat_map(|(number, page)| {
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

/// The entries of a run. None is too large to be counted: all were compared with words of a file.
pub(super) fn counted(first: u32, step: u32) -> impl Iterator<Item = u32> {
    let count = u32::try_from(PAGE_ENTRIES).unwrap_or(u32::MAX);
    (0..count).map(move |passed| first.wrapping_add(passed.wrapping_mul(step)))
}

/// The page that holds the entry of a cluster, and its place there.
fn place(index: u64) -> (usize, usize) {
    let page = index / PAGE_ENTRIES as u64;
    let slot = index % PAGE_ENTRIES as u64;
    let narrow = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    (narrow(page), narrow(slot))
}

//! Clusters of the disk that are stored in the same place.

use std::collections::BTreeMap;
use std::ops::Range;

use rayon::prelude::*;

use super::marks::Marks;
use super::pages::{Entries, PAGE_ENTRIES};
use super::{BadEntries, BadEntry, Bat, KEPT, NOWHERE};
use crate::ploop::header::SECTOR;
use crate::util::bytes::to_usize;

/// Up to this many entries may be sorted to find pairs (16 MiB); more are marked in a bit map.
const SORTED: u64 = 1 << 20;
/// Bits of the map that cost no more than to sort an entry.
const WORTH_AN_ENTRY: u64 = 64;
/// Bits of all maps together: 32 MiB at a time, whatever the image.
const WINDOW: u64 = 1 << 28;
/// The most maps that are filled beside each other.
const LANES: usize = 16;

/// Counts pairs of entries whose clusters lie on each other, and keeps the first few. Memory is
/// bounded whatever the table holds; `misaligned` says whether clusters may overlap in part.
pub(super) fn duplicates(bat: &Bat, allocated: u64, misaligned: bool) -> BadEntries {
    if allocated < 2 {
        return BadEntries::default();
    }
    // Where little of a large file is used, a map of all its clusters would be mostly empty.
    let is_sparse = slots(bat) > allocated.saturating_mul(WORTH_AN_ENTRY);
    if allocated <= SORTED && (is_sparse || misaligned) {
        sorted(bat)
    } else if misaligned {
        overlapping(bat)
    } else {
        marked(bat)
    }
}

/// Where an entry points to, if that is a place where data may lie.
fn in_file(bat: &Bat, entry: u32) -> Option<u64> {
    let host_offset = bat.rules.host_offset(entry);
    let data = bat.rules.data_start..bat.rules.file_len;
    data.contains(&host_offset).then_some(host_offset)
}

/// The clusters that a file has place for after its table, the last one possibly partial.
fn slots(bat: &Bat) -> u64 {
    let len = bat.rules.file_len.saturating_sub(bat.rules.data_start);
    bat.rules.grid.split(len).0.saturating_add(1)
}

/// Sorts all entries by place and compares neighbours.
fn sorted(bat: &Bat) -> BadEntries {
    let mut places: Vec<(u64, u64)> = bat
        .pages
        .used_entries()
        .filter_map(|(index, entry)| Some((in_file(bat, entry)?, index)))
        .collect();
    places.sort_unstable();
    let mut found = First::default();
    for pair in places.windows(2) {
        if let [(a, one), (b, other)] = *pair
            && b - a < bat.rules.cluster
        {
            found.add(BadEntry {
                index: one.max(other),
                host_offset: b,
                other: Some(one.min(other)),
            });
        }
    }
    found.into()
}

/// Marks every place in a bit map; a place that is marked already is a pair. Only an image that has
/// pairs pays for finding out which they are.
fn marked(bat: &Bat) -> BadEntries {
    let lanes = rayon::current_num_threads().clamp(1, LANES);
    let window = WINDOW / lanes as u64;
    let slots = Slots::of(bat, window, lanes);
    let mut found = First::default();
    // One map is filled here, and several beside each other to find out whether it has to be.
    for large in slots.windows(0..slots.count, WINDOW) {
        let mut windows = slots.windows(large.clone(), window);
        if !windows.any(|window| slots.are_marked_twice(&window, lanes)) {
            continue;
        }
        let mut map = Marks::new(large.end - large.start);
        for (index, entry) in bat.pages.used_entries() {
            let slot = slots.of_entry(entry).filter(|slot| large.contains(slot));
            let slot = slot.map(|slot| slot - large.start);
            if slot.is_some_and(|slot| map.mark(slot..slot + 1).is_some()) {
                found.add(BadEntry {
                    index,
                    host_offset: bat.rules.host_offset(entry),
                    other: None,
                });
            }
        }
    }
    if found.count > 0 {
        let mut firsts: BTreeMap<u64, Option<u64>> = BTreeMap::new();
        firsts.extend(found.kept.iter().map(|bad| (bad.host_offset, None)));
        for (index, entry) in bat.pages.used_entries() {
            if let Some(first) = firsts.get_mut(&bat.rules.host_offset(entry)) {
                first.get_or_insert(index);
            }
        }
        for bad in &mut found.kept {
            bad.other = firsts.get(&bad.host_offset).copied().flatten();
        }
    }
    found.into()
}

/// The places for clusters that entries point to.
struct Slots<'a> {
    bat: &'a Bat,
    count: u64,
    /// Where entries count clusters, those that lie in the file: their places need no division.
    counted: Option<Range<u64>>,
}

impl<'a> Slots<'a> {
    /// The places are marked so many at a time, on so many threads.
    fn of(bat: &'a Bat, window: u64, lanes: usize) -> Self {
        let rules = &bat.rules;
        let lowest = rules.data_start.div_ceil(rules.cluster);
        let end = rules
            .file_len
            .div_ceil(rules.cluster)
            .min(u64::from(NOWHERE));
        let mut slots = Self {
            bat,
            count: slots(bat),
            counted: (rules.unit == rules.cluster).then_some(lowest..end),
        };
        if slots.count > window {
            // A file may be large and hold little, and then there are fewer to mark.
            let last = bat.pages.parts(lanes).map(|part| slots.last(part));
            slots.count = last.max().flatten().map_or(0, |last| last + 1);
        }
        slots
    }

    /// The last place that a part of the table points to.
    fn last<'b>(&self, part: impl Iterator<Item = Entries<'b>>) -> Option<u64> {
        let of_page = |page| match page {
            Entries::Empty => None,
            Entries::Run(first) => Some(self.of_entry(first)? + PAGE_ENTRIES as u64 - 1),
            Entries::Listed(entries) => {
                let places = entries.iter().filter_map(|&entry| self.of_entry(entry));
                places.max()
            }
        };
        part.filter_map(of_page).max()
    }

    /// The place that an entry points to, if it lies in the file.
    fn of_entry(&self, entry: u32) -> Option<u64> {
        if let Some(counted) = &self.counted {
            let entry = u64::from(entry);
            return counted.contains(&entry).then(|| entry - counted.start);
        }
        let rules = &self.bat.rules;
        let at = in_file(self.bat, entry)?;
        Some(rules.grid.split(at - rules.data_start).0)
    }

    /// Some of the places, so many at a time.
    fn windows(&self, all: Range<u64>, len: u64) -> impl Iterator<Item = Range<u64>> + use<> {
        let step = to_usize(len);
        let end = all.end;
        all.step_by(step)
            .map(move |start| start..end.min(start + len))
    }

    /// Whether two entries point to the same place in `window`. Each of `lanes` threads has a part
    /// of the table and a map of its own: in a shared one every mark would be an atomic operation.
    fn are_marked_twice(&self, window: &Range<u64>, lanes: usize) -> bool {
        let parts = self.bat.pages.parts(lanes);
        let maps: Option<Vec<Marks>> = parts.map(|part| self.mark(part, window)).collect();
        let Some(maps) = maps else {
            return true;
        };
        let mut maps = maps.into_iter();
        let first = maps.next();
        first.is_some_and(|mut all| maps.any(|map| all.join(&map)))
    }

    /// The entry that points to the first place of `window`, where entries count places. No entry
    /// outside of the window has its number less this one in the window's map.
    fn first_counted(&self, window: &Range<u64>) -> Option<u32> {
        let first = self.counted.as_ref()?.start + window.start;
        let end = first + (window.end - window.start).next_multiple_of(64);
        let is_apart = first > 0 && end <= u64::from(u32::MAX);
        u32::try_from(first).ok().filter(|_| is_apart)
    }

    /// A map of the places in `window` that a part of the table points to; `None` where two of
    /// its entries point to the same one.
    fn mark<'b>(
        &self,
        part: impl Iterator<Item = Entries<'b>>,
        window: &Range<u64>,
    ) -> Option<Marks> {
        let mut map = Marks::new(window.end - window.start);
        let first = self.first_counted(window);
        let within = |slots: Range<u64>| {
            let cut = |at: u64| at.clamp(window.start, window.end) - window.start;
            cut(slots.start)..cut(slots.end)
        };
        for page in part {
            match page {
                Entries::Empty => {}
                Entries::Run(first) => {
                    let first = self.of_entry(first)?;
                    let again = map.mark(within(first..first + PAGE_ENTRIES as u64));
                    if again.is_some() {
                        return None;
                    }
                }
                Entries::Listed(entries) => {
                    // No branch for each of them: whether one was marked is asked at the end.
                    let again = match first {
                        Some(first) => map.set_all(entries, first),
                        None => {
                            let used = entries.iter().filter(|&&entry| entry != 0);
                            let slots = used.filter_map(|&entry| self.of_entry(entry));
                            let slots = slots.filter(|slot| window.contains(slot));
                            slots.fold(0, |again, slot| again | map.set(slot - window.start))
                        }
                    };
                    if again != 0 {
                        return None;
                    }
                }
            }
        }
        Some(map)
    }
}

/// Marks every sector of the file that a cluster covers, and counts clusters that meet a sector
/// which is marked already. Only for damaged images: one pass over the table for each 128 GiB.
///
/// A cluster is marked only up to the first such sector. So no more is marked than the file has,
/// however the entries pile up, and some overlaps of three clusters are counted once.
fn overlapping(bat: &Bat) -> BadEntries {
    let (sectors, last) = (bat.rules.cluster / SECTOR, u64::from(u32::MAX));
    let places = || {
        let in_file = |(index, entry)| in_file(bat, entry).map(|at| (index, at / SECTOR));
        bat.pages.used_entries().filter_map(in_file)
    };
    let end = places()
        .map(|(_, first)| first + sectors)
        .max()
        .unwrap_or(0)
        .min(last + sectors);
    let mut found = First::default();
    for start in (0..end).step_by(to_usize(WINDOW)) {
        let stop = end.min(start + WINDOW);
        let mut map = Marks::new(stop - start);
        for (index, first) in places().filter(|&(_, at)| at < stop && at + sectors > start) {
            let range = first.max(start) - start..(first + sectors).min(stop) - start;
            if let Some(sector) = map.mark(range) {
                found.add(BadEntry {
                    index,
                    host_offset: (start + sector) * SECTOR,
                    other: None,
                });
            }
        }
    }
    for bad in &mut found.kept {
        let meets = |&(index, first): &(u64, u64)| {
            let sector = bad.host_offset / SECTOR;
            index != bad.index && (first..first + sectors).contains(&sector)
        };
        bad.other = places().find(meets).map(|(index, _)| index);
    }
    found.into()
}

/// Counts bad entries, and keeps those that come first in the table.
#[derive(Default)]
struct First {
    count: u64,
    /// Sorted by index, at most [`KEPT`].
    kept: Vec<BadEntry>,
}

impl First {
    fn add(&mut self, bad: BadEntry) {
        self.count += 1;
        let place = self.kept.partition_point(|kept| kept.index < bad.index);
        if place < KEPT {
            self.kept.insert(place, bad);
            self.kept.truncate(KEPT);
        }
    }
}

impl From<First> for BadEntries {
    fn from(found: First) -> Self {
        Self {
            count: found.count,
            first: found.kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ploop::bat::IfUnreadable;
    use crate::ploop::header::Header;

    /// An image of `entries` clusters of 512 bytes, with room for `places` in its file, and the
    /// entries that a simple generator gives: about a third of them unused.
    fn image(entries: u32, places: u32, seed: u64) -> Vec<u8> {
        let start = (64 + 4 * entries).next_multiple_of(512);
        let mut bytes = vec![0; (start + places * 512) as usize];
        bytes[..16].copy_from_slice(b"WithouFreSpacExt");
        let fields = [
            (16, 2),
            (28, 1),
            (32, entries),
            (36, entries),
            (48, start / 512),
        ];
        for (at, value) in fields {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        let mut state = seed;
        for index in 0..entries as usize {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let random = (state >> 33) as u32;
            if !random.is_multiple_of(3) {
                let entry = start / 512 + random / 3 % places;
                bytes[64 + 4 * index..][..4].copy_from_slice(&entry.to_le_bytes());
            }
        }
        bytes
    }

    #[test]
    fn every_way_of_looking_finds_the_same_entries() {
        for seed in 0..200 {
            let places = [1, 3, 40, 500, 5000][seed as usize % 5];
            let mut bytes = image(50 + seed as u32 % 7 * 700, places, seed);
            if seed % 3 == 0 {
                // Clusters that follow each other for more than a page.
                let start = u32::from_le_bytes(bytes[48..52].try_into().unwrap());
                let entries = u32::from_le_bytes(bytes[32..36].try_into().unwrap());
                for index in 1000..entries.min(2500).min(1000 + places) {
                    let at = 64 + 4 * index as usize;
                    bytes[at..at + 4].copy_from_slice(&(start + index - 1000).to_le_bytes());
                }
            }
            let len = bytes.len() as u64;
            let header = Header::parse(bytes.first_chunk().unwrap(), len).unwrap();
            let (bat, _) = Bat::read(&bytes, &header, len, IfUnreadable::Fail).unwrap();
            let mut seen = std::collections::HashSet::new();
            let entries = bat.pages.used_entries();
            let again: Vec<u64> = entries
                .filter_map(|(index, entry)| (!seen.insert(entry)).then_some(index))
                .collect();
            for found in [sorted(&bat), marked(&bat), overlapping(&bat)] {
                assert_eq!(found.count, again.len() as u64, "seed {seed}");
                let first: Vec<u64> = found.first.iter().map(|bad| bad.index).collect();
                assert_eq!(first, again[..again.len().min(KEPT)], "seed {seed}");
            }
        }
    }
}

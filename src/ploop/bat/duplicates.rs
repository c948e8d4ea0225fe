//! Clusters of the disk that are stored in the same place.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::{BadEntries, BadEntry, Bat, KEPT};
use crate::ploop::header::SECTOR;

/// Up to this many entries may be sorted to find pairs (16 MiB); more are marked in a bit map.
const SORTED: u64 = 1 << 20;
/// Bits of the map that cost no more than to sort an entry.
const WORTH_AN_ENTRY: u64 = 64;
/// Bits of the map: 32 MiB at a time, whatever the image.
const WINDOW: u64 = 1 << 28;

/// Counts pairs of entries whose clusters lie on each other, and keeps the first few. Memory is
/// bounded whatever the table holds; `misaligned` says whether clusters may overlap in part.
pub(super) fn duplicates(bat: &Bat, allocated: u64, misaligned: bool) -> BadEntries {
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

/// The clusters that a file has place for behind its table, the last one possibly partial.
fn slots(bat: &Bat) -> u64 {
    let len = bat.rules.file_len.saturating_sub(bat.rules.data_start);
    bat.rules.grid.split(len).0.saturating_add(1)
}

/// Sorts all entries by place and compares neighbours.
fn sorted(bat: &Bat) -> BadEntries {
    let mut places: Vec<(u64, u64)> = bat
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

/// Marks every place in a bit map, in parallel; a place that is marked already is a pair.
fn marked(bat: &Bat) -> BadEntries {
    let rules = &bat.rules;
    let number = |distance| rules.grid.split(distance).0;
    let slot_of = |&entry: &u32| in_file(bat, entry).map(|at| number(at - rules.data_start));
    let pages = || bat.pages.par_iter().flatten();
    let mut slots = slots(bat);
    if slots > WINDOW {
        // A file may be large and hold little.
        let last = pages().filter_map(|page| page.iter().filter_map(slot_of).max());
        slots = last.max().map_or(0, |last| last + 1);
    }
    let count = AtomicU64::new(0);
    let twice: Mutex<Vec<u64>> = Mutex::default();
    for start in (0..slots).step_by(usize::try_from(WINDOW).unwrap_or(usize::MAX)) {
        let size = (slots - start).min(WINDOW);
        let words = usize::try_from(size.div_ceil(64)).unwrap_or(usize::MAX);
        let map: Vec<AtomicU64> = std::iter::repeat_with(AtomicU64::default)
            .take(words)
            .collect();
        pages().for_each(|page| {
            let slots = page.iter().filter_map(slot_of);
            for slot in slots.filter(|slot| (start..start + size).contains(slot)) {
                let (word, bit) = ((slot - start) / 64, 1 << (slot % 64));
                let word = usize::try_from(word).ok().and_then(|word| map.get(word));
                if word.is_some_and(|word| word.fetch_or(bit, Ordering::Relaxed) & bit != 0)
                    && count.fetch_add(1, Ordering::Relaxed) < KEPT as u64
                {
                    twice
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(slot);
                }
            }
        });
    }
    let mut twice = twice.into_inner().unwrap_or_else(PoisonError::into_inner);
    twice.sort_unstable();
    twice.dedup();
    let mut found = First::default();
    // Only a damaged image pays for finding out which entries they are.
    let mut seen: Vec<Option<u64>> = vec![None; twice.len()];
    let entries = if twice.is_empty() {
        None
    } else {
        Some(bat.used_entries())
    };
    for (index, entry) in entries.into_iter().flatten() {
        let place = slot_of(&entry).and_then(|slot| twice.binary_search(&slot).ok());
        match place.and_then(|place| seen.get_mut(place)) {
            Some(first @ None) => *first = Some(index),
            Some(&mut Some(first)) => found.add(BadEntry {
                index,
                host_offset: rules.host_offset(entry),
                other: Some(first),
            }),
            None => {}
        }
    }
    BadEntries {
        count: count.into_inner(),
        ..found.into()
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
        bat.used_entries().filter_map(in_file)
    };
    let end = places()
        .map(|(_, first)| first + sectors)
        .max()
        .unwrap_or(0)
        .min(last + sectors);
    let mut found = First::default();
    for start in (0..end).step_by(usize::try_from(WINDOW).unwrap_or(usize::MAX)) {
        let stop = end.min(start + WINDOW);
        let mut map = SectorMap::new(stop - start);
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

/// One bit a sector.
struct SectorMap(Vec<u64>);

impl SectorMap {
    fn new(sectors: u64) -> Self {
        Self(vec![
            0;
            usize::try_from(sectors.div_ceil(64))
                .unwrap_or(usize::MAX)
        ])
    }

    /// Marks sectors up to the first one that is marked already, and gives that one.
    fn mark(&mut self, range: std::ops::Range<u64>) -> Option<u64> {
        let mut at = range.start;
        while at < range.end {
            let word = usize::try_from(at / 64)
                .ok()
                .and_then(|word| self.0.get_mut(word))?;
            let len = (64 - at % 64).min(range.end - at);
            let mask = (u64::MAX >> (64 - len)) << (at % 64);
            if *word & mask != 0 {
                return Some(at + u64::from(((*word & mask) >> (at % 64)).trailing_zeros()));
            }
            *word |= mask;
            at += len;
        }
        None
    }
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
            let bytes = image(50 + seed as u32, places, seed);
            let len = bytes.len() as u64;
            let header = Header::parse(bytes.first_chunk().unwrap(), len).unwrap();
            let (bat, _) = Bat::read(&bytes, &header, len, false).unwrap();
            let mut seen = std::collections::HashSet::new();
            let entries = bat.used_entries();
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

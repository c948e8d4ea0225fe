//! The block allocation table: where each cluster of a disk is stored in its image.
//!
//! This is the only place that knows that version 1 counts sectors and version 2 clusters; what
//! comes out is bytes from the start of the file. The table is kept in pages, and a page without
//! an entry takes no memory: what a sparse file claims costs nothing until it is there.

mod doubtful;
mod duplicates;
mod grid;
mod read;

use self::grid::Grid;
use super::header::{Header, SECTOR, Version};

/// Entries in a page of the table: 4 KiB, so that a page which is not all hole in the file does not
/// take more memory than it takes room there.
const PAGE_ENTRIES: usize = 1024;
const PAGE_BYTES: u64 = PAGE_ENTRIES as u64 * 4;
/// How many faults of a kind are kept; the rest are only counted.
const KEPT: usize = 16;
/// An entry that points nowhere, whatever the file's length: no writer makes it, and it stands for
/// entries that could not be read.
const NOWHERE: u32 = u32::MAX;

/// Where a run of the disk is stored in one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// In this image, `len` bytes from `host_offset` on.
    Stored {
        /// Bytes from the start of the image file.
        host_offset: u64,
        /// Bytes that lie there one after the other.
        len: u64,
    },
    /// Not in this image: the parent must be asked.
    Absent {
        /// How many bytes are absent.
        len: u64,
    },
    /// The image says that it stores the run, and it cannot be there.
    Lost {
        /// How many bytes are lost.
        len: u64,
    },
}

impl Slot {
    /// The length of the run in bytes, never zero.
    #[must_use]
    pub fn len(&self) -> u64 {
        match *self {
            Self::Stored { len, .. } | Self::Absent { len } | Self::Lost { len } => len,
        }
    }

    /// Never true: a slot holds at least one byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// The table of one image.
#[derive(Debug)]
pub struct Bat {
    /// `None` for a page without an entry. Entries past the virtual size are left out.
    pages: Vec<Option<Box<[u32; PAGE_ENTRIES]>>>,
    rules: Rules,
    /// The clusters that are stored and cannot be trusted, ascending; only looked for on request.
    doubtful: Vec<u32>,
}

/// What an entry is judged by.
#[derive(Debug, Clone, Copy)]
struct Rules {
    /// What an entry counts, in bytes.
    unit: u64,
    cluster: u64,
    grid: Grid,
    virtual_size: u64,
    /// Number of clusters in the disk, the last one possibly partial.
    clusters: u64,
    /// First byte of the file that may hold data.
    data_start: u64,
    file_len: u64,
    /// Only version 1 can count to the middle of a cluster.
    may_misalign: bool,
}

impl Rules {
    fn new(header: &Header, file_len: u64) -> Self {
        let cluster = header.cluster_size().bytes();
        Self {
            unit: match header.version() {
                Version::V1 => SECTOR,
                Version::V2 => cluster,
            },
            cluster,
            grid: Grid::new(cluster),
            virtual_size: header.virtual_size(),
            clusters: header.virtual_size().div_ceil(cluster),
            data_start: header.data_start(),
            file_len,
            may_misalign: header.version() == Version::V1,
        }
    }

    /// Where an entry points to, in bytes from the start of the file: below 2^63.
    fn host_offset(&self, entry: u32) -> u64 {
        match entry {
            NOWHERE => i64::MAX.unsigned_abs(),
            entry => u64::from(entry).saturating_mul(self.unit),
        }
    }

    /// Bytes of the disk in cluster `index`: fewer than a cluster only for the last.
    fn used(&self, index: u64) -> u64 {
        let start = index.saturating_mul(self.cluster);
        self.virtual_size.saturating_sub(start).min(self.cluster)
    }

    /// Whether a whole cluster lies here, among the data: what is right about nearly every entry.
    fn is_whole(&self, host_offset: u64) -> bool {
        let end = host_offset.saturating_add(self.cluster);
        host_offset >= self.data_start && end <= self.file_len
    }

    /// How many bytes of a cluster the file holds.
    fn available(&self, host_offset: u64) -> u64 {
        if host_offset < self.data_start {
            return 0;
        }
        self.file_len.saturating_sub(host_offset).min(self.cluster)
    }

    fn is_misaligned(&self, host_offset: u64) -> bool {
        let rest = |distance| self.grid.split(distance).1;
        let distance = host_offset.checked_sub(self.data_start);
        self.may_misalign && distance.map(rest).is_some_and(|rest| rest != 0)
    }
}

/// One entry that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadEntry {
    /// Which cluster of the disk it stands for.
    pub index: u64,
    /// Where it points to, in bytes from the start of the file.
    pub host_offset: u64,
    /// The other entry of a pair, where the fault needs two.
    pub other: Option<u64>,
}

/// Entries that break the same rule: all are counted, the first few are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BadEntries {
    /// How many there are.
    pub count: u64,
    /// The first ones, in the order of the table.
    pub first: Vec<BadEntry>,
}

impl BadEntries {
    fn push(&mut self, bad: BadEntry) {
        self.count = self.count.saturating_add(1);
        if self.first.len() < KEPT {
            self.first.push(bad);
        }
    }

    fn append(&mut self, later: Self) {
        self.count = self.count.saturating_add(later.count);
        let room = KEPT.saturating_sub(self.first.len());
        self.first.extend(later.first.into_iter().take(room));
    }
}

/// What reading the whole table found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatFindings {
    /// Entries that are in use.
    pub allocated: u64,
    /// Entries that point behind the end of the file.
    pub past_end: BadEntries,
    /// Entries whose cluster the file ends in, with bytes of the disk missing.
    pub truncated: BadEntries,
    /// The same for a last cluster of which only bytes behind the disk's end are missing.
    pub last_short: BadEntries,
    /// Entries that point into the header or the table.
    pub in_table: BadEntries,
    /// Version 1: entries that point into the middle of a cluster.
    pub misaligned: BadEntries,
    /// Pairs of entries whose clusters lie on each other.
    pub duplicate: BadEntries,
    /// Where salvaging: entries that could not be read, and are taken for lost.
    pub unreadable: BadEntries,
    /// Entries in use behind the end of the disk.
    pub beyond_disk: u64,
    /// Words in use behind the last entry, before the data.
    pub beyond_table: u64,
}

impl BatFindings {
    fn append(&mut self, later: Self) {
        self.allocated = self.allocated.saturating_add(later.allocated);
        self.past_end.append(later.past_end);
        self.truncated.append(later.truncated);
        self.last_short.append(later.last_short);
        self.in_table.append(later.in_table);
        self.misaligned.append(later.misaligned);
        self.duplicate.append(later.duplicate);
        self.unreadable.append(later.unreadable);
        self.beyond_disk = self.beyond_disk.saturating_add(later.beyond_disk);
        self.beyond_table = self.beyond_table.saturating_add(later.beyond_table);
    }
}

impl Bat {
    fn without_entries(rules: Rules) -> Self {
        let count = rules.clusters.div_ceil(PAGE_ENTRIES as u64);
        let mut pages = Vec::new();
        pages.resize_with(usize::try_from(count).unwrap_or(usize::MAX), || None);
        Self {
            pages,
            rules,
            doubtful: Vec::new(),
        }
    }

    /// Says where the disk's bytes from `offset` on are stored, as one run of at most `max` bytes.
    ///
    /// A run is as long as it can be, over clusters that continue each other, and ends with the
    /// disk at the latest. The table is looked through no further than `max` needs.
    ///
    /// `offset` must lie inside the disk and `max` be more than zero; whatever lies outside is
    /// absent.
    #[must_use]
    pub fn lookup(&self, offset: u64, max: u64) -> Slot {
        let rules = &self.rules;
        let (index, within) = rules.grid.split(offset);
        let Some(host_offset) = self.host_offset(index) else {
            let end = self.absent_until(index, offset.saturating_add(max));
            return Slot::Absent {
                len: end.saturating_sub(offset).clamp(1, max),
            };
        };
        let used = rules.used(index);
        let stored = rules.available(host_offset).min(used);
        if within >= stored {
            return Slot::Lost {
                len: used.saturating_sub(within).clamp(1, max),
            };
        }
        let mut len = stored - within;
        let mut last = index;
        // `len` is a multiple of the cluster past the first, so the next cluster must lie here.
        while len < max && stored == used {
            let (next, expected) = (last + 1, host_offset + within + len);
            if self.host_offset(next) != Some(expected)
                || rules.available(expected) < rules.used(next)
            {
                break;
            }
            len += rules.used(next);
            last = next;
        }
        Slot::Stored {
            host_offset: host_offset + within,
            len: len.min(max),
        }
    }

    /// Where cluster `index` is stored, in bytes from the start of the image file; `None` where
    /// this image does not store it and its parent must be asked.
    fn host_offset(&self, index: u64) -> Option<u64> {
        let (page, slot) = place(index);
        match self.pages.get(page)?.as_ref()?.get(slot)? {
            0 => None,
            &entry => Some(self.rules.host_offset(entry)),
        }
    }

    /// The first byte of the disk after cluster `index` that is not absent; looks no further
    /// than `limit`.
    fn absent_until(&self, index: u64, limit: u64) -> u64 {
        let rules = &self.rules;
        let mut index = index + 1;
        while index < rules.clusters && index.saturating_mul(rules.cluster) < limit {
            let (page, slot) = place(index);
            let entries = self.pages.get(page).and_then(Option::as_ref);
            let used = entries.map(|entries| entries.iter().skip(slot).position(|&e| e != 0));
            match used {
                Some(Some(0)) => break,
                Some(Some(skip)) => index += skip as u64,
                // Nothing in the rest of the page.
                Some(None) | None => index += (PAGE_ENTRIES - slot) as u64,
            }
        }
        index.saturating_mul(rules.cluster).min(rules.virtual_size)
    }

    /// Every entry in use with its cluster, in the order of the table.
    fn used_entries(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        (0u64..).zip(&self.pages).flat_map(|(page, entries)| {
            let first = page * PAGE_ENTRIES as u64;
            let entries = entries.iter().flat_map(|entries| entries.iter().copied());
            (first..).zip(entries).filter(|&(_, entry)| entry != 0)
        })
    }
}

/// The page that holds the entry of a cluster, and its place there.
fn place(index: u64) -> (usize, usize) {
    let page = index / PAGE_ENTRIES as u64;
    let slot = index % PAGE_ENTRIES as u64;
    let narrow = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    (narrow(page), narrow(slot))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: u64 = 1024;

    /// An image with 1 KiB clusters and data from 1024 on; `entries` as they stand in the file.
    fn image(version: Version, clusters: u32, entries: &[u32], file_clusters: usize) -> Vec<u8> {
        let mut bytes = vec![0; file_clusters * 1024];
        bytes[..16].copy_from_slice(version.signature());
        let fields = [
            (16, 2),
            (28, 2),
            (32, entries.len() as u32),
            (36, clusters * 2),
            (48, 2),
        ];
        let table = (64..).step_by(4).zip(entries.iter().copied());
        for (at, value) in fields.into_iter().chain(table) {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    fn read(image: &Vec<u8>) -> (Bat, BatFindings) {
        let len = image.len() as u64;
        let header = Header::parse(image.first_chunk().unwrap(), len).unwrap();
        Bat::read(image, &header, len, false).unwrap()
    }

    #[test]
    fn version_1_counts_sectors_and_version_2_clusters() {
        for (version, entry) in [(Version::V1, 4), (Version::V2, 2)] {
            let (bat, findings) = read(&image(version, 2, &[0, entry], 3));
            assert_eq!(
                findings,
                BatFindings {
                    allocated: 1,
                    ..BatFindings::default()
                }
            );
            assert_eq!(bat.lookup(0, 4096), Slot::Absent { len: CLUSTER });
            let stored = Slot::Stored {
                host_offset: 2048 + 5,
                len: CLUSTER - 5,
            };
            assert_eq!(bat.lookup(CLUSTER + 5, 4096), stored);
        }
    }

    #[test]
    fn clusters_that_continue_each_other_are_one_run_and_absence_is_not_an_offset() {
        let (bat, _) = read(&image(Version::V2, 6, &[1, 2, 3, 0, 0, 4], 5));
        assert_eq!(
            bat.lookup(0, u64::MAX),
            Slot::Stored {
                host_offset: 1024,
                len: 3 * CLUSTER
            }
        );
        assert_eq!(
            bat.lookup(0, 1500),
            Slot::Stored {
                host_offset: 1024,
                len: 1500
            }
        );
        assert_eq!(
            bat.lookup(3 * CLUSTER, u64::MAX),
            Slot::Absent { len: 2 * CLUSTER }
        );
        assert_eq!(bat.lookup(3 * CLUSTER, 7), Slot::Absent { len: 7 });
        let last = Slot::Stored {
            host_offset: 4096,
            len: CLUSTER,
        };
        assert_eq!(bat.lookup(5 * CLUSTER, u64::MAX), last);
    }

    #[test]
    fn each_rule_names_its_entry() {
        let (bat, findings) = read(&image(Version::V2, 4, &[9, 0, 2, 0xffff_ffff], 3));
        assert_eq!(findings.past_end.count, 2);
        assert_eq!(findings.past_end.first[0].index, 0);
        assert_eq!(findings.past_end.first[0].host_offset, 9 * CLUSTER);
        assert_eq!(bat.lookup(0, u64::MAX), Slot::Lost { len: CLUSTER });

        let mut roomy = image(Version::V2, 2, &[1, 2], 4);
        roomy[48] = 4; // data starts at cluster 2
        let (bat, findings) = read(&roomy);
        assert_eq!(findings.in_table.first[0].index, 0);
        assert_eq!(bat.lookup(0, 10), Slot::Lost { len: 10 });

        let (_, findings) = read(&image(Version::V1, 2, &[2, 5], 5));
        assert_eq!(findings.misaligned.first[0].index, 1);
        assert_eq!(findings.duplicate.count, 0);
        let (_, findings) = read(&image(Version::V1, 2, &[2, 3], 5));
        assert_eq!(findings.duplicate.first[0].other, Some(0));
    }

    #[test]
    fn a_cut_cluster_is_stored_as_far_as_the_file_goes_and_lost_from_there() {
        let mut cut = image(Version::V2, 2, &[1, 2], 3);
        cut.truncate(2048 + 100);
        let (bat, findings) = read(&cut);
        assert_eq!(findings.truncated.first[0].index, 1);
        assert_eq!(
            bat.lookup(0, u64::MAX),
            Slot::Stored {
                host_offset: 1024,
                len: CLUSTER
            }
        );
        assert_eq!(
            bat.lookup(CLUSTER, u64::MAX),
            Slot::Stored {
                host_offset: 2048,
                len: 100
            }
        );
        assert_eq!(
            bat.lookup(CLUSTER + 100, u64::MAX),
            Slot::Lost { len: CLUSTER - 100 }
        );
    }

    #[test]
    fn a_last_cluster_may_end_early_only_where_the_disk_does() {
        let mut short = image(Version::V2, 2, &[1, 2], 3);
        short[36] = 3; // sectors: the last cluster is half used
        short.truncate(2048 + 512);
        let (bat, findings) = read(&short);
        assert_eq!(findings.truncated.count, 0);
        assert_eq!(findings.last_short.count, 1);
        assert_eq!(
            bat.lookup(0, u64::MAX),
            Slot::Stored {
                host_offset: 1024,
                len: 1536
            }
        );
    }

    #[test]
    fn words_behind_the_disk_and_behind_the_table_are_counted_and_never_looked_up() {
        let mut image = image(Version::V2, 1, &[1, 5], 2);
        image[72] = 1; // the third word, behind both entries
        let (bat, findings) = read(&image);
        assert_eq!((findings.beyond_disk, findings.beyond_table), (1, 1));
        assert_eq!(findings.allocated, 1);
        assert_eq!(
            bat.lookup(0, u64::MAX),
            Slot::Stored {
                host_offset: 1024,
                len: CLUSTER
            }
        );
    }

    /// A table too large to sort: `clusters` entries that count up, with `spoil` applied.
    fn large(clusters: u32, spoil: impl Fn(&mut Vec<u32>)) -> BatFindings {
        let first = (64 + u64::from(clusters) * 4).div_ceil(512) as u32;
        let mut entries: Vec<u32> = (first..first + clusters).collect();
        spoil(&mut entries);
        let mut bytes = vec![0; 64];
        bytes[..16].copy_from_slice(Version::V2.signature());
        for (at, value) in [
            (16, 2),
            (28, 1),
            (32, clusters),
            (36, clusters),
            (48, first),
        ] {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        bytes.extend(entries.iter().flat_map(|entry| entry.to_le_bytes()));
        let len = u64::from(first + clusters) * 512;
        let header = Header::parse(bytes.first_chunk().unwrap(), len).unwrap();
        Bat::read(
            &bytes_padded(bytes, u64::from(first) * 512),
            &header,
            len,
            false,
        )
        .unwrap()
        .1
    }

    fn bytes_padded(mut bytes: Vec<u8>, len: u64) -> Vec<u8> {
        bytes.resize(len as usize, 0);
        bytes
    }

    #[test]
    fn pairs_are_found_in_a_table_too_large_to_sort() {
        let clusters = (1 << 20) + 5; // one more than are sorted, and some
        assert_eq!(large(clusters, |_| ()).duplicate.count, 0);
        let findings = large(clusters, |entries| entries[1_000_000] = entries[17]);
        assert_eq!(findings.duplicate.count, 1);
        assert_eq!(findings.duplicate.first[0].index, 1_000_000);
        assert_eq!(findings.duplicate.first[0].other, Some(17));
    }
}

//! The block allocation table: where each cluster of a disk is stored in its image.
//!
//! This is the only place that knows that version 1 counts sectors and version 2 clusters; what
//! comes out is bytes from the start of the file. The table is kept in pages, and a page without
//! an entry takes no memory: what a sparse file claims costs nothing until it is there. Nor does
//! one whose clusters follow each other.

mod cursor;
mod doubtful;
mod duplicates;
mod grid;
mod marks;
mod pages;
mod read;

pub(super) use self::cursor::Cursor;
use self::grid::Grid;
use self::pages::Pages;
use super::header::{Header, SECTOR, Version};
use crate::util::bytes::saturating_u32;

/// How many faults of a kind are kept; the rest are only counted.
const KEPT: usize = 16;
/// An entry that points nowhere, whatever the file's length: no writer makes it, and it stands for
/// entries that could not be read.
const NOWHERE: u32 = u32::MAX;

/// What becomes of entries in sectors that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfUnreadable {
    /// The table is not read.
    Fail,
    /// They are lost, the rest is read, and what may be wrong is doubtful.
    Salvage,
}

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
    /// Entries past the virtual size are left out.
    pages: Pages,
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
        self.used_by(index, 1)
    }

    /// Bytes of the disk in so many clusters from `index` on.
    fn used_by(&self, index: u64, clusters: u64) -> u64 {
        let start = index.saturating_mul(self.cluster);
        let len = clusters.saturating_mul(self.cluster);
        self.virtual_size.saturating_sub(start).min(len)
    }

    /// What entries count up by from one cluster of the file to the next.
    fn step(&self) -> u32 {
        saturating_u32(self.cluster / self.unit)
    }

    /// Whether a whole cluster lies here, among the data: what is right about nearly every entry.
    fn is_whole(&self, host_offset: u64) -> bool {
        let end = host_offset.saturating_add(self.cluster);
        host_offset >= self.data_start && end <= self.file_len
    }

    /// The entries whose cluster lies whole in the file, among the data; `None` where there are
    /// none. Neither an unused entry nor [`NOWHERE`] is among them.
    fn whole_entries(&self) -> Option<WholeEntries> {
        let lowest = self.data_start.div_ceil(self.unit);
        let highest = self.file_len.checked_sub(self.cluster)? / self.unit;
        let highest = saturating_u32(highest).min(NOWHERE - 1);
        let lowest = u32::try_from(lowest).ok()?;
        let span = highest.checked_sub(lowest)?;
        Some(WholeEntries { lowest, span })
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

/// A range of entries.
#[derive(Debug, Clone, Copy)]
struct WholeEntries {
    lowest: u32,
    /// The highest less the lowest.
    span: u32,
}

impl WholeEntries {
    fn highest(self) -> u32 {
        self.lowest + self.span
    }

    #[inline]
    fn contains(self, entry: u32) -> bool {
        // One comparison: what lies below wraps around.
        entry.wrapping_sub(self.lowest) <= self.span
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
    /// Entries that point past the end of the file.
    pub past_end: BadEntries,
    /// Entries whose cluster the file ends in, with bytes of the disk missing.
    pub truncated: BadEntries,
    /// The same for a last cluster of which only bytes past the disk's end are missing.
    pub last_short: BadEntries,
    /// Entries that point into the header or the table.
    pub in_table: BadEntries,
    /// Version 1: entries that point into the middle of a cluster.
    pub misaligned: BadEntries,
    /// Pairs of entries whose clusters lie on each other.
    pub duplicate: BadEntries,
    /// Where salvaging: entries that could not be read, and are taken for lost.
    pub unreadable: BadEntries,
    /// Entries in use past the end of the disk.
    pub beyond_disk: u64,
    /// Words in use after the last entry, before the data.
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
        Self {
            pages: Pages::new(rules.clusters, rules.step()),
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
        let Some((host_offset, _)) = self.run_at(index) else {
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
        let mut next = index + 1;
        // `len` is a multiple of the cluster past the first, so the next cluster must lie here.
        while len < max && stored == used {
            let expected = host_offset + within + len;
            let Some((found, clusters)) = self.run_at(next) else {
                break;
            };
            if found != expected || rules.available(expected) < rules.used(next) {
                break;
            }
            len += rules.used_by(next, clusters);
            next += clusters;
        }
        Slot::Stored {
            host_offset: host_offset + within,
            len: len.min(max),
        }
    }

    /// Where cluster `index` is stored, in bytes from the start of the image file, and how many
    /// clusters from there on are known to follow each other, whole; `None` where this image does
    /// not store it and its parent must be asked.
    fn run_at(&self, index: u64) -> Option<(u64, u64)> {
        let (entry, clusters) = self.pages.run_at(index)?;
        Some((self.rules.host_offset(entry), clusters))
    }

    /// The first byte of the disk after cluster `index` that is not absent; looks no further
    /// than `limit`.
    fn absent_until(&self, index: u64, limit: u64) -> u64 {
        let rules = &self.rules;
        let end = limit.div_ceil(rules.cluster).min(rules.clusters);
        let index = self.pages.next_used(index + 1, end.max(index + 1));
        index.saturating_mul(rules.cluster).min(rules.virtual_size)
    }
}

#[cfg(test)]
mod tests;

//! Where everything goes in the file, decided before a byte of data is read.
//!
//! # The places of clusters
//!
//! Every cluster of the disk that a stored range touches gets a host cluster, in the order of the
//! disk. So a worker that has bytes for the disk knows where they go without asking anybody, the
//! data lies in the file as it does on the disk, and only the L2 tables that are needed exist.
//!
//! # A planned cluster that proves to be zeros
//!
//! With zero detection a worker may find nothing but zeros for a planned cluster. The place is not
//! given to another cluster, for that would move everything after it. Instead the cluster gets
//! no L2 entry and its host cluster the refcount 0: it was never written, so it is a hole of the
//! file and takes no room, and a checker sees a free cluster and no leak. QEMU takes it when it
//! needs one. One bit for every planned cluster says whether it was written. An L2 table that
//! became empty stays, as a hole too.
//!
//! # The place of the tables
//!
//! They lie after the clusters, where the plan ends, whatever becomes of the clusters. So
//! everything in the file is known by the time its turn comes in the order of the file: the header
//! at once, the clusters as they are copied, the tables after the last one. That is what a
//! checksum of the file needs which is computed on the way.
//!
//! # Compression
//!
//! How large a compressed cluster is shows only when it is there, so it is packed after those
//! that came before it (see `packed.rs`). Planned are then the tables alone, which lie in front:
//! the end of the clusters is unknown, and with it the content of the header.
//!
//! # Memory
//!
//! 8 bytes for every run of planned clusters, cut at the borders of L2 tables, 24 bytes for every
//! L2 table, and a bit for every planned cluster. What is not stored costs nothing.

mod planner;

use std::ops::Range;

use super::options::{Qcow2ClusterSize, Qcow2Options};
use super::refcount::Section;
use super::tables::BLOCK;
use crate::error::{Detail, Error, ErrorKind, Result};
use crate::util::bytes::saturating_u32;

/// Why there is no layout for a disk.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayoutError {
    /// The tables of the format do not reach so far.
    #[error(
        "{what} of {bytes} bytes is too large for clusters of {cluster_size}{}", advice(*enough)
    )]
    TooLarge {
        /// What is too large, with its article: the disk or the file.
        what: &'static str,
        /// Its size.
        bytes: u64,
        /// The size of the clusters.
        cluster_size: Qcow2ClusterSize,
        /// The smallest clusters that would do.
        enough: Option<Qcow2ClusterSize>,
    },
}

impl Detail for LayoutError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Target
    }

    fn code(&self) -> &'static str {
        "qcow2-plan"
    }
}

fn advice(enough: Option<Qcow2ClusterSize>) -> String {
    enough.map_or_else(String::new, |size| format!("; clusters of {size} would do"))
}

/// A range of the disk and where it begins in the file; `None` where no place is planned for it.
pub(super) type Placed = (Range<u64>, Option<u64>);

/// The plan of a qcow2 file.
#[derive(Debug)]
pub struct Qcow2Layout {
    options: Qcow2Options,
    /// The size of the disk as the file tells it: a multiple of 512.
    virtual_size: u64,
    /// The L2 tables that are needed, in the order of the disk.
    tables: Vec<Table>,
    /// The runs of planned clusters in all tables; empty where clusters are compressed.
    runs: Vec<Run>,
    /// How many clusters are planned.
    clusters: u64,
    /// Bytes of the disk that are stored in them.
    stored_bytes: u64,
    /// Blocks of 4 KiB in the L1 table and in the L2 tables that get an entry.
    table_blocks: u64,
}

#[derive(Debug)]
struct Table {
    /// Its entry in the L1 table, which has 4 Mi entries at most.
    l1_index: u32,
    /// Where its runs begin.
    first_run: usize,
    /// How many clusters are planned before its first one.
    first_rank: u64,
}

/// Clusters of one table that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// The first one's entry in the table, which has 256 Ki entries at most.
    pub(super) first: u32,
    /// How many of the table's clusters are planned before it.
    rank: u32,
}

/// Clusters from a given one on that are all planned, one after the other, or all not.
struct Span {
    clusters: u64,
    rank: Option<u64>,
}

const SECTOR: u64 = 512;

impl Qcow2Layout {
    /// Makes sure that the format can name and count every byte of a file of `len` bytes.
    pub(super) fn check_file_len(&self, len: u64) -> Result<()> {
        let compressed = self.is_packed();
        let cluster_size = self.cluster_size();
        if len <= cluster_size.largest_file(compressed) {
            return Ok(());
        }
        // Larger clusters can be filled worse.
        let enough = Qcow2ClusterSize::all()
            .find(|&larger| larger > cluster_size && len <= larger.largest_file(compressed) / 2);
        Err(too_large("a file", len, cluster_size, enough))
    }

    /// What the file is to look like.
    #[must_use]
    pub fn options(&self) -> Qcow2Options {
        self.options
    }

    /// The size of the disk that the file holds, in bytes.
    #[must_use]
    pub fn virtual_size(&self) -> u64 {
        self.virtual_size
    }

    /// Bytes of the disk that are stored.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.stored_bytes
    }

    /// The most room that the file takes, in bytes: what is stored and all tables. Where clusters
    /// are compressed, it may be far less.
    #[must_use]
    pub fn needed_bytes(&self) -> u64 {
        let data = if self.is_packed() {
            self.clusters * self.cluster_size().bytes()
        } else {
            self.stored_bytes
        };
        // The last part of a block takes a block.
        let refcounts = (self.file_len() / self.cluster_size().bytes() * 2).div_ceil(BLOCK) + 2;
        let blocks = 1 + self.table_blocks + refcounts;
        data.saturating_add(blocks * BLOCK)
    }

    /// The length of the file if no planned cluster proves to be zeros and none is compressed.
    #[must_use]
    pub fn file_len(&self) -> u64 {
        self.refcounts().file_len()
    }

    pub(super) fn cluster_size(&self) -> Qcow2ClusterSize {
        self.options.cluster_size
    }

    pub(super) fn clusters(&self) -> u64 {
        self.clusters
    }

    /// The number of entries in the L1 table; the table of a disk without bytes has one too.
    pub(super) fn l1_entries(&self) -> u32 {
        let cluster_size = self.cluster_size();
        let covered = cluster_size.per_table() * cluster_size.bytes();
        saturating_u32(self.virtual_size.div_ceil(covered).max(1))
    }

    /// Where the L1 table is in the file.
    pub(super) fn l1_offset(&self) -> u64 {
        if self.is_packed() {
            self.cluster_size().bytes()
        } else {
            self.tables_offset() + self.tables_bytes()
        }
    }

    /// Where the L2 tables begin in the file.
    pub(super) fn tables_offset(&self) -> u64 {
        if self.is_packed() {
            self.l1_offset() + self.l1_bytes()
        } else {
            self.data_offset() + self.clusters * self.cluster_size().bytes()
        }
    }

    /// Where the clusters of the disk begin in the file.
    pub(super) fn data_offset(&self) -> u64 {
        if self.is_packed() {
            self.tables_offset() + self.tables_bytes()
        } else {
            self.cluster_size().bytes()
        }
    }

    /// Whether places are only known once clusters are compressed.
    fn is_packed(&self) -> bool {
        self.options.compression.is_some()
    }

    fn l1_bytes(&self) -> u64 {
        (u64::from(self.l1_entries()) * 8).next_multiple_of(self.cluster_size().bytes())
    }

    fn tables_bytes(&self) -> u64 {
        self.tables.len() as u64 * self.cluster_size().bytes()
    }

    /// The refcounts, after everything that is planned.
    pub(super) fn refcounts(&self) -> Section {
        let bytes = self.cluster_size().bytes();
        let body = bytes + self.l1_bytes() + self.tables_bytes() + self.clusters * bytes;
        Section::after(body / bytes, self.cluster_size())
    }

    /// Every L2 table: its entry in the L1 table, and where it is in the file.
    pub(super) fn tables(&self) -> impl Iterator<Item = (u32, u64)> {
        let places = (0u64..).map(|number| self.table_offset(number));
        self.tables.iter().map(|table| table.l1_index).zip(places)
    }

    fn table_offset(&self, number: u64) -> u64 {
        self.tables_offset() + number * self.cluster_size().bytes()
    }

    /// The planned clusters of the L2 table numbered so in the file: the entry of each, and how
    /// many are planned before it on the whole disk.
    pub(super) fn planned_in(&self, number: usize) -> impl Iterator<Item = (u32, u64)> {
        let (first_rank, planned, runs) = self.runs_of(number);
        let ends = runs.iter().skip(1).map(|run| run.rank).chain([planned]);
        runs.iter().zip(ends).flat_map(move |(run, end)| {
            (run.rank..end).map(move |rank| {
                let entry = run.first + (rank - run.rank);
                (entry, first_rank + u64::from(rank))
            })
        })
    }

    /// Of a table: the clusters planned before it, those in it, and its runs.
    fn runs_of(&self, number: usize) -> (u64, u32, &[Run]) {
        let Some(table) = self.tables.get(number) else {
            return (0, 0, &[]);
        };
        let next = self.tables.get(number + 1);
        let runs_end = next.map_or(self.runs.len(), |next| next.first_run);
        let rank_end = next.map_or(self.clusters, |next| next.first_rank);
        let planned = saturating_u32(rank_end - table.first_rank);
        let runs = self.runs.get(table.first_run..runs_end);
        (table.first_rank, planned, runs.unwrap_or_default())
    }

    /// Where the L2 entry of a cluster of the disk is in the file; `None` without a table for it.
    pub(super) fn entry_offset(&self, cluster: u64) -> Option<u64> {
        let (l1_index, entry) = self.indexes(cluster);
        let number = self
            .tables
            .binary_search_by_key(&l1_index, |table| u64::from(table.l1_index))
            .ok()?;
        Some(self.table_offset(number as u64) + entry * 8)
    }

    fn indexes(&self, cluster: u64) -> (u64, u64) {
        let per_table = self.cluster_size().per_table();
        (cluster / per_table, cluster % per_table)
    }

    /// Where a planned cluster is in the file, by how many are planned before it.
    pub(super) fn place(&self, rank: u64) -> u64 {
        self.data_offset() + rank * self.cluster_size().bytes()
    }

    /// Cuts a range of the disk into parts that lie in the file in one piece, or not at all.
    pub(super) fn placed(&self, range: Range<u64>) -> impl Iterator<Item = Placed> {
        let bytes = self.cluster_size().bytes();
        let mut at = range.start;
        std::iter::from_fn(move || {
            if at >= range.end {
                return None;
            }
            let (cluster, within) = (at / bytes, at % bytes);
            let span = self.span(cluster);
            let end = cluster.saturating_add(span.clusters).saturating_mul(bytes);
            let part = at..end.min(range.end);
            at = part.end;
            Some((part, span.rank.map(|rank| self.place(rank) + within)))
        })
    }

    /// How many clusters are planned before the one with this host offset.
    pub(super) fn rank_of(&self, host_offset: u64) -> u64 {
        host_offset.saturating_sub(self.data_offset()) / self.cluster_size().bytes()
    }

    fn span(&self, cluster: u64) -> Span {
        let (l1_index, entry) = self.indexes(cluster);
        let none_until = |end: u64| Span {
            clusters: end - entry,
            rank: None,
        };
        let per_table = self.cluster_size().per_table();
        let found = self
            .tables
            .binary_search_by_key(&l1_index, |table| u64::from(table.l1_index));
        let Ok(number) = found else {
            return none_until(per_table);
        };
        let (first_rank, planned, runs) = self.runs_of(number);
        let passed = runs.partition_point(|run| u64::from(run.first) <= entry);
        let next = runs.get(passed);
        let next_first = next.map_or(per_table, |run| u64::from(run.first));
        let Some(run) = passed.checked_sub(1).and_then(|at| runs.get(at)) else {
            return none_until(next_first);
        };
        let len = u64::from(next.map_or(planned, |next| next.rank) - run.rank);
        let into = entry - u64::from(run.first);
        if into >= len {
            return none_until(next_first);
        }
        Span {
            clusters: len - into,
            rank: Some(first_rank + u64::from(run.rank) + into),
        }
    }
}

pub(super) fn too_large(
    what: &'static str,
    bytes: u64,
    cluster_size: Qcow2ClusterSize,
    enough: Option<Qcow2ClusterSize>,
) -> Error {
    let source = LayoutError::TooLarge {
        what,
        bytes,
        cluster_size,
        enough,
    };
    Error::during("planning the qcow2 file", source)
}

#[cfg(test)]
mod tests;

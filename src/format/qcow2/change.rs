//! Plans to bring a file up to date.
//!
//! What is stored already is written over where it lies. Clusters that are new get a place past the
//! end of the file, and so do the tables that name them: copies of the L2 tables that get an
//! entry, and always the L1 table and the refcounts. So the tables as they were stay whole until
//! the header names the new ones, and the same plan is made again from them wherever a change
//! ended. Zeros over a stored cluster make a hole of the file and leave the cluster its place. The
//! places of old tables are free afterwards: their refcount is 0, and QEMU takes them when it needs
//! some. The next change makes holes of them.

use std::ops::Range;

use super::header::Header;
use super::layout::too_large;
use super::options::{Qcow2ClusterSize, Qcow2Options};
use super::reader::Qcow2Disk;
use super::refcount::Section;
use super::used::Used;
use crate::disk::{ExtentKind, RawDisk, VirtualDisk};
use crate::error::Result;
use crate::format::change::{FileBefore, FileChange, PlannedChange};
use crate::util::bytes::{be_u32, be_u64, is_zero, saturating_u32};

/// A change of a file that was planned.
#[derive(Debug)]
pub(super) struct Qcow2Change {
    pub(super) before: FileBefore,
    /// The file as it was: its tables stay until the change is complete.
    pub(super) old: Qcow2Disk,
    pub(super) cluster_size: Qcow2ClusterSize,
    /// The size of the disk as the file will tell it.
    pub(super) virtual_size: u64,
    /// The new clusters, in the order of the disk.
    runs: Vec<Run>,
    clusters: u64,
    /// The entries of the L1 table whose L2 tables are written anew, in order.
    pub(super) tables: Vec<u64>,
    /// The first new cluster of the file.
    pub(super) start: u64,
    /// Which of those before it are in use afterwards.
    pub(super) used: Used,
}

/// New clusters of the disk that follow each other.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: u64,
    len: u64,
    /// How many are new before them.
    rank: u64,
}

/// Where a cluster of the disk is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It was stored there before.
    Old(u64),
    /// It is new.
    New(u64),
    /// Nowhere: it reads as zeros.
    Nowhere,
}

/// Plans a change; see [`Format::change`](crate::format::Format::change).
pub(super) fn plan_change(
    options: Qcow2Options,
    before: FileBefore,
    disk: &dyn VirtualDisk,
    ranges: &[Range<u64>],
) -> Result<FileChange> {
    if options.compression.is_some() {
        return Ok(FileChange::Unknown("a compressed file is not changed"));
    }
    let cluster_size = options.cluster_size;
    if !is_ours(&before.head, cluster_size) {
        return Ok(FileChange::Foreign("its header is not one of this program"));
    }
    let file = RawDisk::open(&before.path)?;
    if file.size() < before.len {
        return Ok(FileChange::Foreign("it is shorter"));
    }
    let old = Qcow2Disk::with_head(file, &before.head, &before.path)?;
    let virtual_size = disk.size().next_multiple_of(512);
    if virtual_size < old.size() {
        return Ok(FileChange::Unknown(
            "a qcow2 file whose disk would get smaller is not brought up to date",
        ));
    }
    if virtual_size > cluster_size.largest_disk() {
        return Err(too_large("a disk", virtual_size, cluster_size, None));
    }
    let start = before.len.div_ceil(cluster_size.bytes());
    let used = match Used::by_data(&old, cluster_size, start)? {
        Ok(used) => used,
        Err(why) => return Ok(FileChange::Foreign(why)),
    };
    let mut change = Qcow2Change {
        before,
        old,
        cluster_size,
        virtual_size,
        runs: Vec::new(),
        clusters: 0,
        tables: Vec::new(),
        start,
        used,
    };
    change.plan_clusters(disk, ranges)?;
    if let Err(why) = change.keep_tables()? {
        return Ok(FileChange::Foreign(why));
    }
    let len = change.file_len();
    if len > cluster_size.largest_file(false) {
        return Err(too_large("a file", len, cluster_size, None));
    }
    Ok(FileChange::Possible(Box::new(change)))
}

/// Whether the header is one that this program writes: every field that is not the disk's.
fn is_ours(head: &[u8], cluster_size: Qcow2ClusterSize) -> bool {
    let header = Header {
        cluster_size,
        virtual_size: be_u64(head, 24),
        l1_entries: be_u32(head, 36),
        l1_offset: be_u64(head, 40),
        refcount_table_offset: be_u64(head, 48),
        refcount_table_clusters: be_u32(head, 56),
        compression: None,
    };
    let ours = header.encode();
    let (start, rest) = head.split_at(ours.len().min(head.len()));
    start == ours && is_zero(rest)
}

impl Qcow2Change {
    /// Finds the clusters that have no place yet and get data.
    fn plan_clusters(&mut self, disk: &dyn VirtualDisk, ranges: &[Range<u64>]) -> Result<()> {
        let bytes = self.cluster_size.bytes();
        // Ranges may meet in a cluster.
        let mut next = 0;
        for range in ranges {
            for extent in disk.extents_in(range.clone()) {
                let extent = extent?;
                if extent.kind == ExtentKind::Hole {
                    continue;
                }
                let first = (extent.offset / bytes).max(next);
                next = extent.end().div_ceil(bytes).max(next);
                for cluster in first..next {
                    self.plan_cluster(cluster)?;
                }
            }
        }
        Ok(())
    }

    fn plan_cluster(&mut self, cluster: u64) -> Result<()> {
        if self.old_place(cluster)?.is_some() {
            return Ok(());
        }
        match self.runs.last_mut() {
            Some(run) if run.first + run.len == cluster => run.len += 1,
            _ => self.runs.push(Run {
                first: cluster,
                len: 1,
                rank: self.clusters,
            }),
        }
        self.clusters += 1;
        let table = cluster / self.cluster_size.per_table();
        if self.tables.last() != Some(&table) {
            self.tables.push(table);
        }
        Ok(())
    }

    /// Counts the tables that stay; the inner error is for a table that something else uses too.
    fn keep_tables(&mut self) -> Result<std::result::Result<(), &'static str>> {
        let bytes = self.cluster_size.bytes();
        for index in 0..self.old.table_count() {
            let stays = self.tables.binary_search(&index).is_err();
            if stays
                && let Some(offset) = self.old.l2_table(index)?
                && !self.used.add(offset / bytes)
            {
                return Ok(Err("a table of it is used twice"));
            }
        }
        Ok(Ok(()))
    }

    fn old_place(&self, cluster: u64) -> Result<Option<u64>> {
        match cluster.saturating_mul(self.cluster_size.bytes()) {
            offset if offset < self.old.size() => self.old.place_of(offset),
            _ => Ok(None),
        }
    }

    /// Where a cluster of the disk is.
    pub(super) fn place(&self, cluster: u64) -> Result<Place> {
        let passed = self.runs.partition_point(|run| run.first <= cluster);
        let run = passed.checked_sub(1).and_then(|at| self.runs.get(at));
        if let Some(run) = run.filter(|run| cluster - run.first < run.len) {
            let rank = run.rank + (cluster - run.first);
            return Ok(Place::New(self.at(rank)));
        }
        let old = self.old_place(cluster)?;
        Ok(old.map_or(Place::Nowhere, Place::Old))
    }

    /// The new clusters of the disk from `first` to before `end`, and where they are in the file.
    pub(super) fn new_clusters(&self, clusters: Range<u64>) -> impl Iterator<Item = (u64, u64)> {
        let ends_before = |run: &Run| run.first + run.len <= clusters.start;
        let runs = self
            .runs
            .iter()
            .skip(self.runs.partition_point(ends_before));
        let runs = runs.take_while({
            let end = clusters.end;
            move |run| run.first < end
        });
        runs.flat_map(move |run| {
            let first = run.first.max(clusters.start);
            let end = (run.first + run.len).min(clusters.end);
            let rank = move |cluster: u64| run.rank + (cluster - run.first);
            (first..end.max(first)).map(move |cluster| (cluster, self.at(rank(cluster))))
        })
    }

    /// Whether tables and header become others: not where all that changes has a place already.
    pub(super) fn has_new_tables(&self) -> bool {
        self.clusters > 0 || self.virtual_size != self.old.size()
    }

    /// Where a new cluster is, by how many are new before it; then the tables, in the same way.
    fn at(&self, rank: u64) -> u64 {
        (self.start + rank).saturating_mul(self.cluster_size.bytes())
    }

    pub(super) fn table_at(&self, number: u64) -> u64 {
        self.at(self.clusters + number)
    }

    pub(super) fn l1_entries(&self) -> u64 {
        let covered = self.cluster_size.per_table() * self.cluster_size.bytes();
        self.virtual_size.div_ceil(covered).max(1)
    }

    pub(super) fn l1_at(&self) -> u64 {
        self.table_at(self.tables.len() as u64)
    }

    pub(super) fn refcounts(&self) -> Section {
        let bytes = self.cluster_size.bytes();
        let l1 = (self.l1_entries() * 8).div_ceil(bytes);
        Section::after(self.l1_at() / bytes + l1, self.cluster_size)
    }

    /// The first bytes of the file when the change is complete.
    pub(super) fn head(&self) -> Vec<u8> {
        if !self.has_new_tables() {
            return self.before.head.clone();
        }
        let (refcount_table_offset, refcount_table_clusters) = self.refcounts().table();
        let header = Header {
            cluster_size: self.cluster_size,
            virtual_size: self.virtual_size,
            l1_entries: saturating_u32(self.l1_entries()),
            l1_offset: self.l1_at(),
            refcount_table_offset,
            refcount_table_clusters,
            compression: None,
        };
        let mut head = header.encode();
        head.resize(self.before.head.len(), 0);
        head
    }

    /// What only the old header names, in bytes of the file; not the L2 tables.
    pub(super) fn old_tables(&self) -> [Range<u64>; 2] {
        let head = &self.before.head;
        let bytes = self.cluster_size.bytes();
        let l1 = be_u64(head, 40);
        let l1_end = l1.saturating_add(u64::from(be_u32(head, 36)) * 8);
        let refcounts = be_u64(head, 48);
        let counted = Section::after(refcounts / bytes, self.cluster_size);
        let old_end = self.start * bytes;
        [
            l1..l1_end.next_multiple_of(bytes).min(old_end),
            refcounts..counted.file_len().min(old_end),
        ]
    }
}

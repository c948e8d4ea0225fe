//! Makes a layout out of the ranges that are stored.

use std::ops::Range;

use super::{Qcow2Layout, Run, SECTOR, Table, too_large};
use crate::error::Result;
use crate::format::qcow2::options::{Qcow2ClusterSize, Qcow2Options};
use crate::format::qcow2::tables::BLOCK;
use crate::util::bytes::saturating_u32;

/// Table entries in a block.
const ENTRIES_IN_BLOCK: u64 = BLOCK / 8;

impl Qcow2Layout {
    /// Plans the file of a disk of `size` bytes, of which `ranges` are stored: in the order of the
    /// disk, without overlap. To give every byte of the disk a place, let there be one range of
    /// all of it.
    ///
    /// The format counts the disk's size in sectors of 512 bytes. A last part of a sector is
    /// filled up with zeros.
    ///
    /// # Errors
    ///
    /// [`LayoutError`](crate::format::qcow2::LayoutError) where the disk is too large for the
    /// cluster size, and the first error of `ranges`.
    pub fn plan(
        size: u64,
        options: Qcow2Options,
        ranges: impl IntoIterator<Item = Result<Range<u64>>>,
    ) -> Result<Self> {
        let cluster_size = options.cluster_size;
        let virtual_size = size.checked_next_multiple_of(SECTOR);
        let virtual_size = virtual_size
            .filter(|&size| size <= cluster_size.largest_disk())
            .ok_or_else(|| {
                let enough = Qcow2ClusterSize::all().find(|larger| size <= larger.largest_disk());
                too_large("a disk", size, cluster_size, enough)
            })?;
        let mut planner = Planner::new(Self {
            options,
            virtual_size,
            tables: Vec::new(),
            runs: Vec::new(),
            clusters: 0,
            stored_bytes: 0,
            table_blocks: 0,
        });
        for range in ranges {
            planner.add(range?);
        }
        let layout = planner.done();
        layout.check_file_len(layout.file_len())?;
        Ok(layout)
    }
}

/// Takes ranges one after the other.
struct Planner {
    layout: Qcow2Layout,
    /// The first cluster after the last planned one.
    next: u64,
    /// The last blocks of the tables that got an entry.
    l1_block: Option<u64>,
    l2_block: Option<u64>,
}

impl Planner {
    /// Begins with a layout that has no clusters.
    fn new(layout: Qcow2Layout) -> Self {
        Self {
            layout,
            next: 0,
            l1_block: None,
            l2_block: None,
        }
    }

    /// The layout of all ranges that were added.
    fn done(self) -> Qcow2Layout {
        self.layout
    }

    /// Gives every cluster that a range touches a place. Ranges come in the order of the disk.
    fn add(&mut self, range: Range<u64>) {
        let end = range.end.min(self.layout.virtual_size);
        if range.start >= end {
            return;
        }
        self.layout.stored_bytes += end - range.start;
        let bytes = self.layout.cluster_size().bytes();
        let end = end.div_ceil(bytes);
        let mut cluster = (range.start / bytes).max(self.next);
        while cluster < end {
            let (l1_index, entry) = self.layout.indexes(cluster);
            let left_in_table = self.layout.cluster_size().per_table() - entry;
            let count = left_in_table.min(end - cluster);
            self.add_run(l1_index, entry, count, cluster == self.next);
            cluster += count;
            self.next = cluster;
        }
    }

    /// Plans clusters of one table. `continues` says that the cluster before them is planned.
    fn add_run(&mut self, l1_index: u64, entry: u64, count: u64, continues: bool) {
        // Both are bounded by the format, which was checked when the planning began.
        let layout = &mut self.layout;
        let same_table = layout
            .tables
            .last()
            .is_some_and(|table| u64::from(table.l1_index) == l1_index);
        if !same_table {
            layout.tables.push(Table {
                l1_index: saturating_u32(l1_index),
                first_run: layout.runs.len(),
                first_rank: layout.clusters,
            });
            let l1_block = Some(l1_index / ENTRIES_IN_BLOCK);
            layout.table_blocks += u64::from(self.l1_block != l1_block);
            self.l1_block = l1_block;
            self.l2_block = None;
        }
        if layout.options.compression.is_none() && !(same_table && continues) {
            let before = layout
                .tables
                .last()
                .map_or(0, |table| layout.clusters - table.first_rank);
            layout.runs.push(Run {
                first: saturating_u32(entry),
                rank: saturating_u32(before),
            });
        }
        layout.clusters += count;
        let first_block = entry / ENTRIES_IN_BLOCK;
        let last_block = (entry + count - 1) / ENTRIES_IN_BLOCK;
        let known = u64::from(self.l2_block == Some(first_block));
        layout.table_blocks += last_block - first_block + 1 - known;
        self.l2_block = Some(last_block);
    }
}

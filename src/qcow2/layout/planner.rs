//! Makes a layout out of the ranges that are stored.

use std::ops::Range;

use super::{BLOCK, Layout, Run, Table};

/// Table entries in a block.
const ENTRIES_IN_BLOCK: u64 = BLOCK / 8;

/// Takes ranges one after the other.
pub(super) struct Planner {
    layout: Layout,
    /// The first cluster behind the last planned one.
    next: u64,
    /// The last blocks of the tables that got an entry.
    l1_block: Option<u64>,
    l2_block: Option<u64>,
}

impl Planner {
    /// Begins with a layout that has no clusters.
    pub(super) fn new(layout: Layout) -> Self {
        Self {
            layout,
            next: 0,
            l1_block: None,
            l2_block: None,
        }
    }

    /// The layout of all ranges that were added.
    pub(super) fn done(self) -> Layout {
        self.layout
    }

    /// Gives every cluster that a range touches a place. Ranges come in the order of the disk.
    pub(super) fn add(&mut self, range: Range<u64>) {
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
        let small = |index: u64| u32::try_from(index).unwrap_or(u32::MAX);
        let layout = &mut self.layout;
        let same_table = layout
            .tables
            .last()
            .is_some_and(|table| u64::from(table.l1_index) == l1_index);
        if !same_table {
            layout.tables.push(Table {
                l1_index: small(l1_index),
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
                first: small(entry),
                rank: small(before),
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

//! Carries a planned change of a file out.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::change::{Place, Qcow2Change};
use super::sink::refuse_data;
use super::tables::{COPIED, Tables, TakesTables};
use crate::disk::VirtualDisk;
use crate::error::Result;
use crate::format::change::{FileBefore, PlannedChange};
use crate::sink::{ExistingSink, Sink};
use crate::util::bytes::to_usize;

/// A qcow2 file that is brought up to date. `file` keeps the first bytes back, so that the file is
/// none of its format until all else is there.
pub(super) struct ChangedQcow2 {
    change: Qcow2Change,
    file: Box<dyn ExistingSink>,
    complete: AtomicBool,
}

impl PlannedChange for Qcow2Change {
    fn before(&self) -> &FileBefore {
        &self.before
    }

    fn file_len(&self) -> u64 {
        match self.has_new_tables() {
            true => self.refcounts().file_len(),
            false => self.before.len,
        }
    }

    fn sink(self: Box<Self>, file: Box<dyn ExistingSink>) -> Box<dyn ExistingSink> {
        Box::new(ChangedQcow2::new(*self, file))
    }
}

impl TakesTables for Box<dyn ExistingSink> {
    fn put(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.write_at(bytes, offset)
    }
}

impl ChangedQcow2 {
    pub(super) fn new(change: Qcow2Change, file: Box<dyn ExistingSink>) -> Self {
        Self {
            change,
            file,
            complete: AtomicBool::new(false),
        }
    }

    /// Cuts a range of the disk into parts that lie in the file in one piece, or nowhere: each with
    /// its place.
    fn placed(&self, range: Range<u64>) -> impl Iterator<Item = Result<(Range<u64>, Place)>> {
        let bytes = self.change.cluster_size.bytes();
        let mut at = range.start;
        std::iter::from_fn(move || {
            if at >= range.end {
                return None;
            }
            let start = at;
            let place = match self.place_at(start) {
                Ok(place) => place,
                Err(error) => {
                    at = range.end;
                    return Some(Err(error));
                }
            };
            at = (start / bytes + 1).saturating_mul(bytes);
            while at < range.end {
                let passed = at - start;
                match self.place_at(at) {
                    Ok(next) if next == place.after(passed) => at = at.saturating_add(bytes),
                    // An error shows again at the start of the next part.
                    _ => break,
                }
            }
            at = at.min(range.end);
            Some(Ok((start..at, place)))
        })
    }

    fn place_at(&self, offset: u64) -> Result<Place> {
        let bytes = self.change.cluster_size.bytes();
        let place = self.change.place(offset / bytes)?;
        Ok(place.after(offset % bytes))
    }

    fn write_tables(&self) -> Result<()> {
        let change = &self.change;
        let per_table = change.cluster_size.per_table();
        let mut tables = Tables::new(&self.file, 0, None);
        let mut table = vec![0; change.cluster_size.buffer()];
        for (number, &index) in (0..).zip(&change.tables) {
            match self.old_table(index)? {
                Some(offset) => change.old.file().read_at(&mut table, offset)?,
                None => table.fill(0),
            }
            let first = index * per_table;
            for (cluster, place) in change.new_clusters(first..first + per_table) {
                let at = to_usize((cluster - first) * 8);
                if let Some(entry) = table.get_mut(at..at + 8) {
                    entry.copy_from_slice(&(COPIED | place).to_be_bytes());
                }
            }
            tables.write_blocks(&table, change.table_at(number))?;
        }
        let entries = (0..change.l1_entries()).filter_map(|index| {
            let place = match change.tables.binary_search(&index) {
                Ok(number) => Ok(Some(change.table_at(number as u64))),
                Err(_) => self.old_table(index),
            };
            let entry = |place| (index, COPIED | place);
            Some(place.transpose()?.map(entry))
        });
        let entries = entries.collect::<Result<Vec<_>>>()?;
        tables.write_entries(change.l1_at(), entries.into_iter())?;
        let count = |cluster| u16::from(cluster >= change.start || change.used.has(cluster));
        change.refcounts().write(&mut tables, count)
    }

    fn old_table(&self, index: u64) -> Result<Option<u64>> {
        match index < self.change.old.table_count() {
            true => self.change.old.l2_table(index),
            false => Ok(None),
        }
    }

    /// Gives back the room of what nothing names, neither before nor after the change: the tables
    /// that the change before this one replaced. Those that this one replaces stay until the next.
    fn free_unused(&self) -> Result<()> {
        let change = &self.change;
        let bytes = change.cluster_size.bytes();
        let tables = change.tables.iter();
        let mut replaced = Vec::new();
        for table in tables.map(|&index| self.old_table(index)) {
            replaced.extend(table?.map(|offset| offset / bytes));
        }
        replaced.sort_unstable();
        let others = change.old_tables();
        let is_free = |cluster: u64| {
            !change.used.has(cluster)
                && replaced.binary_search(&cluster).is_err()
                && others
                    .iter()
                    .all(|range| !range.contains(&(cluster * bytes)))
        };
        let mut at = 0;
        while at < change.start {
            let first = at;
            while at < change.start && is_free(at) {
                at += 1;
            }
            if at > first {
                self.file.zero_at(first * bytes, (at - first) * bytes)?;
            }
            at += 1;
        }
        Ok(())
    }
}

impl Place {
    /// The place `len` bytes further on, as long as that is the same piece of the file.
    fn after(self, len: u64) -> Self {
        match self {
            Self::Old(at) => Self::Old(at.saturating_add(len)),
            Self::New(at) => Self::New(at.saturating_add(len)),
            Self::Nowhere => Self::Nowhere,
        }
    }
}

impl ExistingSink for ChangedQcow2 {}

impl Sink for ChangedQcow2 {
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()> {
        let end = offset.saturating_add(data.len() as u64);
        let mut rest = data;
        for part in self.placed(offset..end) {
            let (range, place) = part?;
            let len = to_usize(range.end - range.start);
            let (bytes, later) = rest.split_at(len.min(rest.len()));
            rest = later;
            match place {
                Place::Old(at) | Place::New(at) => self.file.write_at(bytes, at)?,
                Place::Nowhere => refuse_data(bytes, range.start)?,
            }
        }
        Ok(())
    }

    fn zero_at(&self, offset: u64, len: u64) -> Result<()> {
        for part in self.placed(offset..offset.saturating_add(len)) {
            let (range, place) = part?;
            // What is new is zeros already.
            if let Place::Old(at) = place {
                self.file.zero_at(at, range.end - range.start)?;
            }
        }
        Ok(())
    }

    fn complete(&self) -> Result<()> {
        if self.complete.load(Ordering::Relaxed) {
            return Ok(());
        }
        if self.change.has_new_tables() {
            self.free_unused()?;
            self.write_tables()?;
        }
        self.file.write_at(&self.change.head(), 0)?;
        self.file.complete()?;
        self.complete.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn readable_at(&self) -> Option<&Path> {
        self.file.readable_at()
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.complete()?;
        self.file.finish()
    }
}

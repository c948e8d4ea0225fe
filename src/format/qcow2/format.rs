//! qcow2 as one of the formats of targets.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::change::plan_change;
use super::layout::Qcow2Layout;
use super::options::Qcow2Options;
use super::reader::Qcow2Disk;
use super::sink::Qcow2Sink;
use crate::disk::{VirtualDisk, stored_bytes, stored_ranges};
use crate::error::Result;
use crate::format::change::{FileBefore, FileChange};
use crate::format::kind::{Allocation, Format, PlannedFile};
use crate::sink::{FileSinkOptions, Partials, Sink};
use crate::workers::Workers;

impl Format for Qcow2Options {
    fn name(&self) -> &'static str {
        "qcow2"
    }

    fn may_shrink(&self) -> bool {
        self.compression.is_some()
    }

    fn buffer_for_each(&self) -> Option<u64> {
        // All threads compress one image.
        match self.compression {
            Some(_) => None,
            None => Some(self.cluster_size.bytes()),
        }
    }

    fn plan(
        &self,
        disk: &dyn VirtualDisk,
        allocation: Allocation,
        workers: &Workers,
    ) -> Result<Box<dyn PlannedFile>> {
        let size = disk.size();
        let planned = match allocation {
            Allocation::Stored => {
                let layout = Qcow2Layout::plan(size, *self, stored_ranges(disk))?;
                PlannedQcow2 {
                    data: layout.stored_bytes(),
                    needed: layout.needed_bytes(),
                    layout,
                }
            }
            Allocation::Full => {
                let layout = Qcow2Layout::plan(size, *self, [Ok(0..size)])?;
                PlannedQcow2 {
                    data: stored_bytes(disk, workers)?,
                    needed: layout.file_len(),
                    layout,
                }
            }
        };
        Ok(Box::new(planned))
    }

    fn words(&self) -> String {
        let size = self.cluster_size;
        match self.compression {
            None => format!("qcow2 cluster_size={size}"),
            Some(_) => format!("qcow2 cluster_size={size} compressed"),
        }
    }

    fn change(
        &self,
        before: FileBefore,
        disk: &dyn VirtualDisk,
        ranges: &[Range<u64>],
    ) -> Result<FileChange> {
        plan_change(*self, before, disk, ranges)
    }

    fn held_size(&self, size: u64) -> Option<u64> {
        // The format counts sectors of 512 bytes.
        size.checked_next_multiple_of(512)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn VirtualDisk>> {
        Ok(Box::new(Qcow2Disk::open(path)?))
    }
}

#[derive(Debug)]
struct PlannedQcow2 {
    layout: Qcow2Layout,
    data: u64,
    needed: u64,
}

impl PlannedFile for PlannedQcow2 {
    fn data_bytes(&self) -> u64 {
        self.data
    }

    fn needed_bytes(&self) -> u64 {
        self.needed
    }

    fn create(
        self: Box<Self>,
        target: &Path,
        options: FileSinkOptions,
        partials: &Arc<Partials>,
    ) -> Result<Box<dyn Sink>> {
        let sink = Qcow2Sink::create(target, self.layout, options, partials)?;
        Ok(Box::new(sink))
    }
}

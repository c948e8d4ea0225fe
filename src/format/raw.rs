//! The disk's bytes as they are.

use std::path::Path;
use std::sync::Arc;

use super::kind::{Allocation, Format, PlannedFile};
use crate::disk::{RawDisk, VirtualDisk, stored_bytes};
use crate::error::Result;
use crate::sink::{FileSink, FileSinkOptions, Partials, Sink};
use crate::workers::Workers;

/// A raw disk: the file's bytes are the disk's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw;

impl Format for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn is_plain(&self) -> bool {
        true
    }

    fn buffer_for_each(&self) -> Option<u64> {
        Some(0)
    }

    fn plan(
        &self,
        disk: &dyn VirtualDisk,
        allocation: Allocation,
        workers: &Workers,
    ) -> Result<Box<dyn PlannedFile>> {
        Ok(Box::new(PlannedRaw {
            size: disk.size(),
            data: stored_bytes(disk, workers)?,
            allocation,
        }))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn VirtualDisk>> {
        Ok(Box::new(RawDisk::open(path)?))
    }
}

#[derive(Debug)]
struct PlannedRaw {
    size: u64,
    data: u64,
    allocation: Allocation,
}

impl PlannedFile for PlannedRaw {
    fn data_bytes(&self) -> u64 {
        self.data
    }

    fn needed_bytes(&self) -> u64 {
        match self.allocation {
            Allocation::Stored => self.data,
            Allocation::Full => self.size,
        }
    }

    fn create(
        self: Box<Self>,
        target: &Path,
        options: FileSinkOptions,
        partials: &Arc<Partials>,
    ) -> Result<Box<dyn Sink>> {
        let sink = FileSink::create(target, self.size, options, partials)?;
        Ok(Box::new(sink))
    }
}

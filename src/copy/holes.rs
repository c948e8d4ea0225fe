//! Where a layer's file holds data, asked of the file system once and not for every cluster.

use std::ops::Range;

use crate::disk::VirtualDisk;
use crate::error::Result;

/// The most runs of data that are remembered for all files together (1 MiB); what is behind them
/// is asked for again and again.
pub(super) const KEPT: usize = 1 << 16;

/// The runs of a file that may hold anything but zeros.
#[derive(Debug, Clone)]
pub(super) struct HoleMap {
    layer: usize,
    /// Runs of data, in order, without overlap.
    data: Vec<Range<u64>>,
    /// Up to where the runs are complete.
    complete_to: u64,
}

impl HoleMap {
    /// Asks for the holes in a layer's file, and remembers at most `room` runs of data.
    ///
    /// # Errors
    ///
    /// What the disk says of the file.
    pub(super) fn new(disk: &dyn VirtualDisk, layer: usize, room: usize) -> Result<Self> {
        let mut data: Vec<Range<u64>> = Vec::new();
        let mut complete_to = 0;
        while data.len() < room {
            match disk.next_data(layer, complete_to)? {
                // A source that does not move on would never end.
                Some(run) if run.end > complete_to => {
                    complete_to = run.end;
                    data.push(run);
                }
                _ => {
                    complete_to = u64::MAX;
                    break;
                }
            }
        }
        Ok(Self {
            layer,
            data,
            complete_to,
        })
    }

    /// How many runs are remembered.
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether the byte at `host_offset` may be other than zero, and up to where that holds.
    ///
    /// # Errors
    ///
    /// As [`HoleMap::new`], where the map does not reach so far.
    pub(super) fn at(&self, disk: &dyn VirtualDisk, host_offset: u64) -> Result<(bool, u64)> {
        if host_offset >= self.complete_to {
            let run = disk.next_data(self.layer, host_offset)?;
            return Ok(match run {
                None => (false, u64::MAX),
                Some(run) if run.start > host_offset => (false, run.start),
                Some(run) => (true, run.end),
            });
        }
        let next = self.data.partition_point(|run| run.end <= host_offset);
        Ok(match self.data.get(next) {
            None => (false, self.complete_to),
            Some(run) if run.start > host_offset => (false, run.start),
            Some(run) => (true, run.end),
        })
    }
}

//! Where a layer's file holds data, asked of the file system once and not for every cluster.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::VirtualDisk;
use crate::error::Result;

/// The most runs of data that are remembered for all files together (1 MiB); what is behind them
/// is asked for again and again.
const KEPT: usize = 1 << 16;

/// The holes of the files that a disk is stored in, for everybody who walks over it.
#[derive(Debug)]
pub(super) struct Holes<'a> {
    disk: &'a dyn VirtualDisk,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// For each layer that somebody met.
    maps: Vec<Option<Arc<HoleMap>>>,
    /// How many runs of data may still be remembered.
    room: usize,
}

impl<'a> Holes<'a> {
    /// Asks for nothing yet.
    pub(super) fn new(disk: &'a dyn VirtualDisk) -> Self {
        let known = Known {
            maps: Vec::new(),
            room: KEPT,
        };
        Self {
            disk,
            known: Mutex::new(known),
        }
    }

    /// The holes in the file of a layer: asked for once, while all others wait.
    ///
    /// # Errors
    ///
    /// What the disk says of the file.
    pub(super) fn of(&self, layer: usize) -> Result<Arc<HoleMap>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Some(map)) = known.maps.get(layer) {
            return Ok(Arc::clone(map));
        }
        let map = Arc::new(HoleMap::new(self.disk, layer, known.room)?);
        known.room = known.room.saturating_sub(map.data.len());
        if known.maps.len() <= layer {
            known.maps.resize(layer + 1, None);
        }
        if let Some(place) = known.maps.get_mut(layer) {
            *place = Some(Arc::clone(&map));
        }
        Ok(map)
    }
}

/// The runs of a file that may hold anything but zeros.
#[derive(Debug)]
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
    fn new(disk: &dyn VirtualDisk, layer: usize, room: usize) -> Result<Self> {
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

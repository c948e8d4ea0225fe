//! How ranges are stored, as the metadata context `base:allocation` tells it.

use std::ops::Range;
use std::sync::Mutex;

use super::transmission::lock;
use crate::disk::{ExtentKind, VirtualDisk};
use crate::error::Result;

/// The number that the one metadata context gets.
pub(super) const BASE_ALLOCATION_ID: u32 = 1;

/// The most extents in a reply: 32 KiB. A client that wants more asks again.
pub(super) const MAX_EXTENTS: usize = 4096;

/// Stored nowhere, and reads as zeros: the flags HOLE and ZERO of the context.
const HOLE: u32 = 3;
/// Stored, or not known to be zeros.
const DATA: u32 = 0;

/// What is said of a range: lengths and flags, one after the other from the range's start.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Status {
    extents: Vec<(u32, u32)>,
}

impl Status {
    /// Asks the disk about a range of at most `u32::MAX` bytes. At least one extent comes back,
    /// at most `most`, and none of them reaches beyond the range.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub(super) fn of(
        disk: &dyn VirtualDisk,
        runs: &DataRuns,
        range: Range<u64>,
        most: usize,
    ) -> Result<Self> {
        let mut extents: Vec<(u32, u32)> = Vec::new();
        'disk: for extent in disk.extents_in(range) {
            let extent = extent?;
            let mut passed = 0;
            while passed < extent.len {
                let left = extent.len - passed;
                let (flags, len) = match extent.kind {
                    ExtentKind::Hole => (HOLE, left),
                    // A client that is told of zeros would not find out that they are lost.
                    ExtentKind::Lost { .. } | ExtentKind::Compressed { .. } => (DATA, left),
                    ExtentKind::Data { layer, host_offset } => {
                        let at = host_offset.saturating_add(passed);
                        let (data, until) = runs.look(disk, layer, at)?;
                        let len = until.saturating_sub(at).clamp(1, left);
                        (if data { DATA } else { HOLE }, len)
                    }
                };
                passed += len;
                let len = u32::try_from(len).unwrap_or(u32::MAX);
                let is_full = extents.len() == most;
                match extents.last_mut() {
                    // The range has no more than u32::MAX bytes, so the sum has not either.
                    Some((last, same)) if *same == flags => *last = last.saturating_add(len),
                    _ if is_full => break 'disk,
                    _ => extents.push((len, flags)),
                }
            }
        }
        Ok(Self { extents })
    }

    /// The body of the reply's chunk.
    pub(super) fn encode(&self, context: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 + 8 * self.extents.len());
        bytes.extend_from_slice(&context.to_be_bytes());
        for (len, flags) in &self.extents {
            bytes.extend_from_slice(&len.to_be_bytes());
            bytes.extend_from_slice(&flags.to_be_bytes());
        }
        bytes
    }
}

/// Remembers for each layer the run of its file that was asked for last: clients go through the
/// disk in order, and files are mostly in one piece, so the file system is asked seldom.
#[derive(Debug, Default)]
pub(super) struct DataRuns {
    /// By layer: a run that is data, or is not, and which.
    last: Mutex<Vec<(Range<u64>, bool)>>,
}

impl DataRuns {
    /// Whether a byte of a layer's file may be other than zero, and up to where that holds.
    fn look(&self, disk: &dyn VirtualDisk, layer: usize, at: u64) -> Result<(bool, u64)> {
        let known = {
            let last = lock(&self.last);
            last.get(layer)
                .filter(|(run, _)| run.contains(&at))
                .cloned()
        };
        if let Some((run, data)) = known {
            return Ok((data, run.end));
        }
        let found = match disk.next_data(layer, at)? {
            None => (at..u64::MAX, false),
            Some(run) if run.start > at => (at..run.start, false),
            // A run that began earlier, as far as anybody asked.
            Some(run) => (at..run.end, true),
        };
        let mut last = lock(&self.last);
        if last.len() <= layer {
            last.resize(layer + 1, (0..0, false));
        }
        if let Some(place) = last.get_mut(layer) {
            place.clone_from(&found);
        }
        Ok((found.1, found.0.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RawDisk;

    #[test]
    fn a_disk_without_holes_is_one_run_of_data() {
        let disk = RawDisk::over(Box::new(vec![0; 1000]), "memory".as_ref()).unwrap();
        let runs = DataRuns::default();
        let status = Status::of(&disk, &runs, 10..900, 5).unwrap();
        assert_eq!(status.extents, [(890, DATA)]);
        assert_eq!(status.encode(1), [0, 0, 0, 1, 0, 0, 3, 122, 0, 0, 0, 0]);
    }
}

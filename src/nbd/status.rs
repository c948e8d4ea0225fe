//! How ranges are stored, as the metadata context `base:allocation` tells it.

use std::ops::Range;

use crate::disk::{ExtentKind, Holes, VirtualDisk};
use crate::error::Result;
use crate::util::bytes::saturating_u32;

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
        holes: &Holes,
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
                    // A client that takes them for zeros would not find out that they are lost.
                    ExtentKind::Lost { .. } | ExtentKind::Compressed { .. } => (DATA, left),
                    ExtentKind::Data { store, host_offset } => {
                        let at = host_offset.saturating_add(passed);
                        let (data, until) = holes.of(disk, store)?.at(at)?;
                        let len = until.saturating_sub(at).clamp(1, left);
                        (if data { DATA } else { HOLE }, len)
                    }
                };
                passed += len;
                let len = saturating_u32(len);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::RawDisk;

    #[test]
    fn a_disk_without_holes_is_one_run_of_data() {
        let disk = RawDisk::over(Arc::new(vec![0; 1000]), "memory".as_ref()).unwrap();
        let holes = Holes::default();
        let status = Status::of(&disk, &holes, 10..900, 5).unwrap();
        assert_eq!(status.extents, [(890, DATA)]);
        assert_eq!(status.encode(1), [0, 0, 0, 1, 0, 0, 3, 122, 0, 0, 0, 0]);
    }
}

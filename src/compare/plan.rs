//! What there is to compare, cut into units that a worker takes one at a time.

use std::ops::Range;

use crate::disk::{VirtualDisk, stored_ranges};
use crate::error::Result;

/// The most bytes of a unit that has to be read. The largest cluster of qcow2, so that two workers
/// do not wait for the same compressed one.
pub(super) const UNIT: u64 = 2 << 20;

/// A run of both disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    /// Where it begins, in bytes of the disks.
    pub(super) offset: u64,
    /// Its bytes, never zero: at most [`UNIT`] where something is stored.
    pub(super) len: u64,
    /// Whether the first disk stores it; else it reads as zeros, or lies past that disk's end.
    pub(super) in_a: bool,
    /// The same for the second disk.
    pub(super) in_b: bool,
}

impl Unit {
    /// Whether there is anything to read.
    pub(super) fn is_stored(&self) -> bool {
        self.in_a || self.in_b
    }
}

impl Unit {
    /// The unit in pieces of at most `most` bytes, cut at multiples of that; one piece where
    /// nothing is read.
    pub(super) fn pieces(self, most: u64) -> impl Iterator<Item = Self> {
        let end = self.offset.saturating_add(self.len);
        let mut offset = self.offset;
        std::iter::from_fn(move || {
            let mut until = end;
            if self.is_stored() {
                until = end.min((offset / most + 1).saturating_mul(most));
            }
            let piece = Self {
                offset,
                len: until - offset,
                ..self
            };
            offset = until;
            (piece.len > 0).then_some(piece)
        })
    }
}

/// The units of two disks, in order, without gap or overlap, to the end of the longer one.
pub(super) struct Plan<'a> {
    a: Ranges<'a>,
    b: Ranges<'a>,
    at: u64,
    end: u64,
    /// Bytes of the units so far that have to be read, and of the others.
    stored: u64,
    holes: u64,
}

/// What a disk stores, from some offset on.
struct Ranges<'a> {
    ranges: Box<dyn Iterator<Item = Result<Range<u64>>> + Send + 'a>,
    /// The range at that offset or the next one after it, and the one after that.
    current: Option<Range<u64>>,
    next: Option<Range<u64>>,
}

impl<'a> Ranges<'a> {
    fn new(disk: &'a dyn VirtualDisk) -> Self {
        Self {
            ranges: Box::new(stored_ranges(disk)),
            current: Some(0..0),
            next: Some(0..0),
        }
    }

    /// Whether the byte at `offset` is stored, and up to where that holds, as far as `until`.
    /// Offsets ascend.
    fn look(&mut self, offset: u64, until: u64) -> Result<(bool, u64)> {
        while self.current.as_ref().is_some_and(|now| now.end <= offset) {
            self.current = self.next.take();
            self.next = self.ranges.next().transpose()?;
        }
        let Some(current) = &mut self.current else {
            return Ok((false, u64::MAX));
        };
        if offset < current.start {
            return Ok((false, current.start));
        }
        // Ranges may touch.
        while current.end < until
            && let Some(next) = self.next.take_if(|next| next.start == current.end)
        {
            current.end = next.end;
            self.next = self.ranges.next().transpose()?;
        }
        Ok((true, current.end))
    }
}

impl<'a> Plan<'a> {
    pub(super) fn new(a: &'a dyn VirtualDisk, b: &'a dyn VirtualDisk) -> Self {
        Self {
            a: Ranges::new(a),
            b: Ranges::new(b),
            at: 0,
            end: a.size().max(b.size()),
            stored: 0,
            holes: 0,
        }
    }

    /// Where the next unit begins.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The bytes of the units so far that have to be read, and of the others.
    pub(super) fn given_out(&self) -> (u64, u64) {
        (self.stored, self.holes)
    }

    fn next_unit(&mut self) -> Result<Unit> {
        let offset = self.at;
        // Units end at multiples of their size, so that reads of both files are aligned.
        let limit = (offset / UNIT + 1).saturating_mul(UNIT);
        let (in_a, a_end) = self.a.look(offset, limit)?;
        let (in_b, b_end) = self.b.look(offset, limit)?;
        let mut end = a_end.min(b_end).min(self.end);
        if in_a || in_b {
            end = end.min(limit);
        }
        self.at = end;
        let len = end - offset;
        *(if in_a || in_b {
            &mut self.stored
        } else {
            &mut self.holes
        }) += len;
        Ok(Unit {
            offset,
            len,
            in_a,
            in_b,
        })
    }
}

impl Iterator for Plan<'_> {
    type Item = Result<Unit>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let unit = self.next_unit();
        if unit.is_err() {
            self.at = self.end; // nothing follows an error
        }
        Some(unit)
    }
}

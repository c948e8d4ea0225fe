//! What there is to copy, cut into units that a worker takes one at a time.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::disk::{Holes, Piece, Pieces, Place, VirtualDisk};
use crate::error::Result;
use crate::sink::Sink;

/// The most bytes of data in a unit. It fits a processor's cache, which copies faster than a
/// larger one; a cluster can be 2 GiB, so no buffer is ever sized by it.
pub(super) const UNIT: usize = 256 << 10;

/// The most bytes of data in a unit that is taken from file to file, which needs no buffer.
const TRANSFER: u64 = 16 << 20;

/// What is shorter is read and written together with what lies beside it.
const ALONE: u64 = 64 << 10;

/// A piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Bytes to be read and written: at most [`UNIT`] or the sink's alignment, and not over a
    /// multiple of that. Where they need not be looked at, at most [`TRANSFER`], and where they are
    /// shared, what [`joined`](Self::joined) makes of those.
    Data {
        offset: u64,
        len: u64,
        /// Whether it was filled up to the alignment with what is not stored.
        mixed: bool,
        /// Where its first byte is stored; `None` where that is compressed.
        from: Option<Place>,
        /// Whether all of it is stored there in one piece.
        whole: bool,
    },
    /// Bytes that read as zeros, however many.
    Zeros { offset: u64, len: u64 },
}

impl Unit {
    /// This unit and the next one as a single one, where both are stored in one piece.
    pub(super) fn joined(&self, next: &Self) -> Option<Self> {
        let Self::Data {
            offset, len, mixed, ..
        } = *self
        else {
            return None;
        };
        let Self::Data {
            offset: next_offset,
            len: next_len,
            ..
        } = *next
        else {
            return None;
        };
        let place = self.place()?;
        let follows = offset + len == next_offset && next.place() == Some(place.after(len));
        follows.then_some(Self::Data {
            offset,
            len: len + next_len,
            mixed,
            from: Some(place),
            whole: true,
        })
    }

    /// The number of bytes.
    pub(super) fn len(&self) -> u64 {
        match *self {
            Self::Data { len, .. } | Self::Zeros { len, .. } => len,
        }
    }

    /// Where its first byte is stored.
    pub(super) fn from(&self) -> Option<Place> {
        match *self {
            Self::Data { from, .. } => from,
            Self::Zeros { .. } => None,
        }
    }

    /// Where all of it is stored, if that is one piece.
    pub(super) fn place(&self) -> Option<Place> {
        match *self {
            Self::Data { from, whole, .. } => from.filter(|_| whole),
            Self::Zeros { .. } => None,
        }
    }
}

/// The units of a disk, in its order, without gap or overlap.
pub(super) struct Plan<'a> {
    disk: &'a dyn VirtualDisk,
    holes: Arc<Holes>,
    /// The pieces of the part of the disk that is at its turn.
    pieces: Pieces<'a>,
    /// The parts after it, in order.
    ranges: VecDeque<Range<u64>>,
    /// The alignment of data in bytes: data begins and ends at multiples of it, or with the disk.
    alignment: u64,
    /// The most bytes of data in a unit; aligned.
    limit: u64,
    sink: &'a dyn Sink,
    /// Whether no observer needs the bytes.
    unseen: bool,
    /// A piece that was taken too early; it begins aligned.
    ahead: Option<Piece>,
}

impl<'a> Plan<'a> {
    /// The units of parts of `disk`, which are aligned, for `sink`. `alignment` is in bytes, a
    /// power of two: data begins and ends at multiples of it, or with the disk. `unseen` says that
    /// no observer needs the bytes, and that the sink takes them from files.
    pub(super) fn new(
        disk: &'a dyn VirtualDisk,
        mut ranges: VecDeque<Range<u64>>,
        sink: &'a dyn Sink,
        alignment: u64,
        unseen: bool,
    ) -> Self {
        let alignment = alignment.max(1);
        let holes = Arc::new(Holes::default());
        let first = ranges.pop_front().unwrap_or(0..0);
        Self {
            disk,
            pieces: Pieces::within(disk, first, Arc::clone(&holes)),
            holes,
            ranges,
            alignment,
            limit: alignment.max(UNIT as u64),
            sink,
            unseen,
            ahead: None,
        }
    }

    /// Whether the sink shares blocks with the files, and no thread has to read them.
    pub(super) fn shares(&self) -> bool {
        self.unseen && self.sink.has_shared()
    }

    /// Whether a piece is a unit of its own, or several.
    fn is_alone(&self, piece: &Piece) -> bool {
        let shortest = self.sink.shortest_transfer().unwrap_or(ALONE).min(ALONE);
        piece.data && !piece.mixed && piece.place.is_some() && piece.len >= shortest
    }

    /// Whether the sink may take a piece from file to file.
    fn is_transfer(&self, piece: &Piece) -> bool {
        let file = |place: Place| place.file(self.disk);
        self.unseen && piece.place.and_then(file).is_some()
    }

    fn next_piece(&mut self) -> Result<Option<Piece>> {
        if let Some(piece) = self.ahead.take() {
            return Ok(Some(piece));
        }
        loop {
            if let Some(piece) = self.pieces.next_aligned(self.alignment)? {
                return Ok(Some(piece));
            }
            let Some(range) = self.ranges.pop_front() else {
                return Ok(None);
            };
            self.pieces = Pieces::within(self.disk, range, Arc::clone(&self.holes));
        }
    }

    fn next_unit(&mut self) -> Result<Option<Unit>> {
        let Some(first) = self.next_piece()? else {
            return Ok(None);
        };
        let Piece { offset, data, .. } = first;
        let alone = self.is_alone(&first);
        let limit = if !data {
            u64::MAX
        } else if alone && self.is_transfer(&first) {
            TRANSFER
        } else {
            self.limit - offset % self.limit
        };
        let (mut len, mut mixed) = (first.len, first.mixed);
        let mut whole = !mixed;
        while len < limit && !alone {
            match self.next_piece()? {
                Some(next)
                    if next.data == data
                        && next.offset == offset.saturating_add(len)
                        && !self.is_alone(&next) =>
                {
                    len += next.len;
                    mixed |= next.mixed;
                    whole = false;
                    // What is too much is a piece again: the last part of this one.
                    let end = offset.saturating_add(limit);
                    if next.end() > end {
                        self.ahead = next.from(end);
                        len = limit;
                    }
                }
                other => {
                    self.ahead = other;
                    break;
                }
            }
        }
        if len > limit {
            self.ahead = first.from(offset + limit);
            len = limit;
        }
        Ok(Some(if data {
            Unit::Data {
                offset,
                len,
                mixed,
                from: first.place,
                whole,
            }
        } else {
            Unit::Zeros { offset, len }
        }))
    }
}

impl Iterator for Plan<'_> {
    type Item = Result<Unit>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_unit().transpose()
    }
}

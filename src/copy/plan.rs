//! What there is to copy, cut into units that a worker takes one at a time.

use std::ops::Range;
use std::sync::Arc;

use super::holes::{HoleMap, Holes};
use crate::disk::{Extent, ExtentKind, VirtualDisk};
use crate::error::{Error, Result};
use crate::sink::Sink;

/// The most bytes of data in a unit. It fits a processor's cache, which copies faster than a
/// larger one; a cluster can be 2 GiB, so no buffer is ever sized by it.
pub(super) const UNIT: usize = 256 << 10;

/// The most bytes of data in a unit that is taken from file to file, which needs no buffer.
const TRANSFER: u64 = 16 << 20;

/// What is shorter is read and written together with what lies beside it.
const ALONE: u64 = 64 << 10;

/// Where bytes are stored; the order is that of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The layer, 0 for the base.
    pub(super) layer: usize,
    /// Bytes from the start of that layer's file.
    pub(super) host_offset: u64,
}

impl Place {
    /// The place `bytes` further on.
    pub(super) fn after(self, bytes: u64) -> Self {
        Self {
            host_offset: self.host_offset.saturating_add(bytes),
            ..self
        }
    }
}

/// A piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Bytes to be read and written: at most [`UNIT`] or one grain of the sink, and not over a
    /// multiple of that. Where they need not be looked at, at most [`TRANSFER`], and where they are
    /// shared, what [`joined`](Self::joined) makes of those.
    Data {
        offset: u64,
        len: u64,
        /// Whether it was filled up to whole grains with what is not stored.
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
    pieces: Pieces<'a>,
    /// A sink's grain in bytes: data begins and ends at multiples of it, or with the disk.
    grain: u64,
    /// The most bytes of data in a unit; a multiple of the grain.
    limit: u64,
    sink: &'a dyn Sink,
    /// Whether nobody has to look at the bytes.
    unseen: bool,
    /// A piece that was taken too early; it begins at a multiple of the grain.
    ahead: Option<Piece>,
}

/// A run of the disk that is all data or all zeros.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) data: bool,
    /// Whether part of the data is not stored, but was taken along for the grain's sake.
    mixed: bool,
    /// Where its first byte is stored; all of it, unless it is mixed.
    place: Option<Place>,
}

impl Piece {
    fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }

    /// What is left of the piece from `offset` on.
    fn from(self, offset: u64) -> Option<Self> {
        let len = self.end().saturating_sub(offset);
        let passed = offset.saturating_sub(self.offset);
        (len > 0).then_some(Self {
            offset,
            len,
            place: self.place.map(|place| place.after(passed)),
            ..self
        })
    }
}

/// The pieces of a part of a disk, in its order, without gap or overlap.
pub(super) struct Pieces<'a> {
    disk: &'a dyn VirtualDisk,
    extents: Box<dyn Iterator<Item = Result<Extent>> + Send + 'a>,
    /// What is left of an extent that was cut.
    rest: Option<Extent>,
    /// What is left of a piece of which only a part was wanted.
    back: Option<Piece>,
    holes: Arc<Holes<'a>>,
    /// Those of each layer that was met so far.
    met: Vec<Option<Arc<HoleMap>>>,
}

impl<'a> Pieces<'a> {
    /// All of a disk.
    pub(super) fn new(disk: &'a dyn VirtualDisk) -> Self {
        Self::within(disk, 0..disk.size(), Arc::new(Holes::new(disk)))
    }

    /// A range of it, in bytes; several can share what they learn about the files' holes.
    pub(super) fn within(
        disk: &'a dyn VirtualDisk,
        range: Range<u64>,
        holes: Arc<Holes<'a>>,
    ) -> Self {
        Self {
            disk,
            extents: disk.extents_in(range),
            rest: None,
            back: None,
            holes,
            met: Vec::new(),
        }
    }

    pub(super) fn next_piece(&mut self) -> Result<Option<Piece>> {
        if let Some(piece) = self.back.take() {
            return Ok(Some(piece));
        }
        let Some(extent) = self.rest.take().map(Ok).or_else(|| self.extents.next()) else {
            return Ok(None);
        };
        let Extent { offset, len, kind } = extent?;
        let (layer, host_offset) = match kind {
            ExtentKind::Data { layer, host_offset } => (layer, host_offset),
            // Holes of the file say nothing about what was compressed.
            ExtentKind::Compressed { .. } => {
                let data = true;
                return Ok(Some(Piece {
                    offset,
                    len,
                    data,
                    mixed: false,
                    place: None,
                }));
            }
            ExtentKind::Hole => {
                let data = false;
                return Ok(Some(Piece {
                    offset,
                    len,
                    data,
                    mixed: false,
                    place: None,
                }));
            }
            ExtentKind::Lost { .. } => return Err(Error::Lost { offset, len }),
        };
        let (data, until) = self.look(layer, host_offset)?;
        let now = until.saturating_sub(host_offset).clamp(1, len);
        if now < len {
            self.rest = Some(Extent {
                offset: offset + now,
                len: len - now,
                kind: ExtentKind::Data {
                    layer,
                    host_offset: host_offset + now,
                },
            });
        }
        Ok(Some(Piece {
            offset,
            len: now,
            data,
            mixed: false,
            place: data.then_some(Place { layer, host_offset }),
        }))
    }

    /// Whether a byte of a layer's file may be other than zero, and up to where that holds.
    fn look(&mut self, layer: usize, host_offset: u64) -> Result<(bool, u64)> {
        if let Some(Some(map)) = self.met.get(layer) {
            return map.at(self.disk, host_offset);
        }
        let map = self.holes.of(layer)?;
        let found = map.at(self.disk, host_offset);
        if self.met.len() <= layer {
            self.met.resize(layer + 1, None);
        }
        if let Some(place) = self.met.get_mut(layer) {
            *place = Some(map);
        }
        found
    }

    /// The next run of whole grains; the last one ends with the disk.
    fn next_grains(&mut self, grain: u64) -> Result<Option<Piece>> {
        let Some(piece) = self.next_piece()? else {
            return Ok(None);
        };
        let size = self.disk.size();
        let whole = if piece.end() >= size {
            piece.end()
        } else {
            piece.end() - piece.end() % grain
        };
        if whole > piece.offset {
            self.back = piece.from(whole);
            let len = whole - piece.offset;
            return Ok(Some(Piece { len, ..piece }));
        }
        // A grain of several pieces is data where one of them is.
        let end = piece.offset.saturating_add(grain).min(size);
        let mut data = piece.data;
        let mut at = piece.end();
        while at < end {
            let Some(next) = self.next_piece()? else {
                break;
            };
            data |= next.data;
            at = next.end();
            self.back = next.from(end);
        }
        Ok(Some(Piece {
            len: end - piece.offset,
            data,
            mixed: data,
            ..piece
        }))
    }
}

impl<'a> Plan<'a> {
    /// The units of `disk` for `sink`. `grain` is in bytes, a power of two: data begins and ends
    /// at multiples of it, or with the disk. `unseen` says that nobody has to look at the bytes,
    /// and that the sink takes them from files.
    pub(super) fn new(
        disk: &'a dyn VirtualDisk,
        sink: &'a dyn Sink,
        grain: u64,
        unseen: bool,
    ) -> Self {
        let grain = grain.max(1);
        Self {
            pieces: Pieces::new(disk),
            grain,
            limit: grain.max(UNIT as u64),
            sink,
            unseen,
            ahead: None,
        }
    }

    /// Whether the sink shares blocks with the files, and nobody has to read them.
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
        let file = |place: Place| self.pieces.disk.layer_file(place.layer);
        self.unseen && piece.place.and_then(file).is_some()
    }

    fn next_piece(&mut self) -> Result<Option<Piece>> {
        match self.ahead.take() {
            Some(piece) => Ok(Some(piece)),
            None => self.pieces.next_grains(self.grain),
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
                Some(next) if next.data == data && !self.is_alone(&next) => {
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

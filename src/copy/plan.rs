//! What there is to copy, cut into units that a worker takes one at a time.

use super::holes::HoleMap;
use crate::disk::{Extent, ExtentKind, VirtualDisk};
use crate::error::{Error, Result};

/// The most bytes of data in a unit. It fits a processor's cache, which copies faster than a
/// larger one; a cluster can be 2 GiB, so no buffer is ever sized by it.
pub(super) const UNIT: usize = 256 << 10;

/// A piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Bytes to be read and written: at most [`UNIT`], and not over a multiple of it.
    Data { offset: u64, len: u64 },
    /// Bytes that read as zeros, however many.
    Zeros { offset: u64, len: u64 },
}

impl Unit {
    /// The number of bytes.
    pub(super) fn len(&self) -> u64 {
        match *self {
            Self::Data { len, .. } | Self::Zeros { len, .. } => len,
        }
    }
}

/// The units of a disk, in its order, without gap or overlap.
pub(super) struct Plan<'a> {
    disk: &'a dyn VirtualDisk,
    extents: Box<dyn Iterator<Item = Result<Extent>> + Send + 'a>,
    /// What is left of an extent that was cut.
    rest: Option<Extent>,
    /// A piece that was taken too early.
    ahead: Option<Piece>,
    /// The holes in the file of each layer that was met so far.
    holes: Vec<Option<HoleMap>>,
}

/// A run of an extent that is all data or all zeros.
#[derive(Clone, Copy)]
struct Piece {
    offset: u64,
    len: u64,
    data: bool,
}

impl<'a> Plan<'a> {
    pub(super) fn new(disk: &'a dyn VirtualDisk) -> Self {
        Self {
            disk,
            extents: disk.extents(),
            rest: None,
            ahead: None,
            holes: Vec::new(),
        }
    }

    fn next_piece(&mut self) -> Result<Option<Piece>> {
        if let Some(piece) = self.ahead.take() {
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
                return Ok(Some(Piece { offset, len, data }));
            }
            ExtentKind::Hole => {
                let data = false;
                return Ok(Some(Piece { offset, len, data }));
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
        }))
    }

    /// Whether a byte of a layer's file may be other than zero, and up to where that holds.
    fn look(&mut self, layer: usize, host_offset: u64) -> Result<(bool, u64)> {
        if self.holes.len() <= layer {
            self.holes.resize(layer + 1, None);
        }
        match self.holes.get_mut(layer) {
            Some(Some(holes)) => holes.at(self.disk, host_offset),
            Some(place) => {
                let holes = place.insert(HoleMap::new(self.disk, layer)?);
                holes.at(self.disk, host_offset)
            }
            None => Ok((true, host_offset + 1)),
        }
    }

    fn next_unit(&mut self) -> Result<Option<Unit>> {
        let Some(Piece { offset, len, data }) = self.next_piece()? else {
            return Ok(None);
        };
        let limit = if data {
            UNIT as u64 - offset % UNIT as u64
        } else {
            u64::MAX
        };
        let mut len = len;
        while len < limit {
            match self.next_piece()? {
                Some(next) if next.data == data => len += next.len,
                other => {
                    self.ahead = other;
                    break;
                }
            }
        }
        if len > limit {
            // Pieces follow each other, so what is too much is one piece again.
            self.ahead = Some(Piece {
                offset: offset + limit,
                len: len - limit,
                data,
            });
            len = limit;
        }
        Ok(Some(if data {
            Unit::Data { offset, len }
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

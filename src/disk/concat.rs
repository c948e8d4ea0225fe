//! A disk made of pieces one after another: bytes, zeros, and parts of other disks.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::error::DiskError;
use super::extent::{Extent, ExtentKind, Joined};
use super::loss::{Loss, joined};
use super::raw::RawDisk;
use super::store::{Role, Store};
use super::virtual_disk::{Extents, Losses, VirtualDisk};
use crate::error::{Error, Result};
use crate::util::bytes::to_usize;

/// A disk that is made of others: what a boot disk and a disk in several files are.
///
/// ```
/// use std::sync::Arc;
/// use ploopconv::disk::{Concat, RawDisk, VirtualDisk};
///
/// let file = RawDisk::open("fixtures/vectors/v1.hdd".as_ref())?;
/// # let file_size = file.size();
/// let mut disk = Concat::default();
/// disk.bytes("a table", vec![1; 512])?;
/// disk.zeros(512)?;
/// disk.disk(Arc::new(file))?;
/// let mut byte = [0];
/// disk.read_at(&mut byte, 511)?;
/// assert_eq!(byte, [1]);
/// # assert_eq!(disk.size(), 1024 + file_size);
/// # Ok::<(), ploopconv::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Concat {
    /// In the order of the disk, without gap; none is empty.
    pieces: Vec<Piece>,
    /// Those of the pieces' disks, one after the other.
    stores: Vec<Store>,
    size: u64,
}

#[derive(Debug)]
struct Piece {
    /// Where it begins and ends, in bytes of the whole disk.
    range: Range<u64>,
    what: What,
}

#[derive(Debug)]
enum What {
    Zeros,
    Part {
        disk: Arc<dyn VirtualDisk>,
        /// Where the piece begins, in bytes of `disk`.
        from: u64,
        /// How many stores of other pieces come before those of `disk`.
        stores_before: usize,
    },
}

impl Concat {
    /// Adds bytes; messages call them `name`.
    ///
    /// # Errors
    ///
    /// [`DiskError::OutOfRange`] where the disk would be too large for any offset.
    pub fn bytes(&mut self, name: &str, bytes: impl Into<Arc<[u8]>>) -> Result<()> {
        let bytes: Arc<[u8]> = bytes.into();
        let store = Store::over(Arc::new(bytes), Path::new(name), Role::Made);
        self.disk(Arc::new(RawDisk::over_store(store)?))
    }

    /// Adds a run of zeros that is stored nowhere, `len` bytes long.
    ///
    /// # Errors
    ///
    /// As [`Concat::bytes`].
    pub fn zeros(&mut self, len: u64) -> Result<()> {
        self.add(len, What::Zeros)
    }

    /// Adds all of a disk.
    ///
    /// # Errors
    ///
    /// As [`Concat::bytes`].
    pub fn disk(&mut self, disk: Arc<dyn VirtualDisk>) -> Result<()> {
        let range = 0..disk.size();
        self.part(disk, range)
    }

    /// Adds a range of a disk, in bytes.
    ///
    /// # Errors
    ///
    /// As [`Concat::bytes`], and where the range does not lie inside the disk.
    pub fn part(&mut self, disk: Arc<dyn VirtualDisk>, range: Range<u64>) -> Result<()> {
        let len = range.end.saturating_sub(range.start);
        let size = disk.size();
        if range.start > range.end || range.end > size {
            let offset = range.start;
            return Err(DiskError::OutOfRange { offset, len, size }.into());
        }
        let stores_before = self.stores.len();
        self.stores.extend_from_slice(disk.stores());
        let from = range.start;
        self.add(
            len,
            What::Part {
                disk,
                from,
                stores_before,
            },
        )
    }

    fn add(&mut self, len: u64, what: What) -> Result<()> {
        let start = self.size;
        // Offsets of files are signed.
        let end = start
            .checked_add(len)
            .filter(|&end| i64::try_from(end).is_ok());
        let end = end.ok_or(DiskError::OutOfRange {
            offset: start,
            len,
            size: i64::MAX.unsigned_abs(),
        })?;
        if len > 0 {
            self.pieces.push(Piece {
                range: start..end,
                what,
            });
        }
        self.size = end;
        Ok(())
    }

    /// The pieces that have something of `range`, and which part of the disk that is.
    fn pieces_in(&self, range: Range<u64>) -> impl Iterator<Item = (&Piece, Range<u64>)> + Send {
        let first = self
            .pieces
            .partition_point(|piece| piece.range.end <= range.start);
        let pieces = self.pieces.iter().skip(first);
        let Range { start, end } = range;
        pieces
            .take_while(move |piece| piece.range.start < end)
            .map(move |piece| {
                let here = piece.range.start.max(start)..piece.range.end.min(end);
                (piece, here)
            })
            .filter(|(_, here)| here.start < here.end)
    }
}

impl Piece {
    /// A range of the whole disk that lies in this piece, as a range of the piece's disk.
    fn inner(&self, from: u64, range: &Range<u64>) -> Range<u64> {
        let inner = |at: u64| at.saturating_sub(self.range.start).saturating_add(from);
        inner(range.start)..inner(range.end)
    }

    /// An offset of the piece's disk as one of the whole.
    fn outer(&self, from: u64, offset: u64) -> u64 {
        offset.saturating_sub(from).saturating_add(self.range.start)
    }

    fn outer_extent(&self, from: u64, stores_before: usize, extent: Extent) -> Extent {
        let kind = match extent.kind {
            ExtentKind::Data { store, host_offset } => ExtentKind::Data {
                store: store.after(stores_before),
                host_offset,
            },
            ExtentKind::Compressed { store, host_offset } => ExtentKind::Compressed {
                store: store.after(stores_before),
                host_offset,
            },
            ExtentKind::Hole => ExtentKind::Hole,
            ExtentKind::Lost { store } => ExtentKind::Lost {
                store: store.after(stores_before),
            },
        };
        Extent {
            offset: self.outer(from, extent.offset),
            len: extent.len,
            kind,
        }
    }

    fn outer_error(&self, from: u64, error: Error) -> Error {
        match error.detail() {
            Some(&DiskError::Lost { offset, len }) => DiskError::Lost {
                offset: self.outer(from, offset),
                len,
            }
            .into(),
            _ => error,
        }
    }

    /// The extents of a range of the whole disk that lies in this piece.
    fn extents(&self, range: Range<u64>) -> Extents<'_> {
        match &self.what {
            What::Zeros => Box::new(std::iter::once(Ok(hole(&range)))),
            What::Part {
                disk,
                from,
                stores_before,
            } => {
                let extents = disk.extents_in(self.inner(*from, &range));
                Box::new(extents.map(move |extent| match extent {
                    Ok(extent) => Ok(self.outer_extent(*from, *stores_before, extent)),
                    Err(error) => Err(self.outer_error(*from, error)),
                }))
            }
        }
    }

    fn losses(&self, range: &Range<u64>) -> Losses<'_> {
        match &self.what {
            What::Zeros => Box::new(std::iter::empty()),
            What::Part { disk, from, .. } => {
                let losses = disk.losses_in(self.inner(*from, range));
                Box::new(losses.map(move |loss| match loss {
                    Ok(loss) => Ok(Loss {
                        offset: self.outer(*from, loss.offset),
                        ..loss
                    }),
                    Err(error) => Err(self.outer_error(*from, error)),
                }))
            }
        }
    }
}

fn hole(range: &Range<u64>) -> Extent {
    Extent {
        offset: range.start,
        len: range.end.saturating_sub(range.start),
        kind: ExtentKind::Hole,
    }
}

impl VirtualDisk for Concat {
    fn size(&self) -> u64 {
        self.size
    }

    fn stores(&self) -> &[Store] {
        &self.stores
    }

    fn extent_at(&self, offset: u64) -> Result<Extent> {
        let range = DiskError::check_range(offset, 1, self.size)?;
        let found = self.pieces_in(range).next();
        let (piece, _) = found.ok_or(DiskError::OutOfRange {
            offset,
            len: 1,
            size: self.size,
        })?;
        let extent = match &piece.what {
            What::Zeros => hole(&(offset..piece.range.end)),
            What::Part {
                disk,
                from,
                stores_before,
            } => {
                let inner = piece.inner(*from, &(offset..piece.range.end));
                let extent = disk.extent_at(inner.start);
                let extent = extent.map_err(|error| piece.outer_error(*from, error))?;
                piece.outer_extent(*from, *stores_before, extent)
            }
        };
        // A part may end inside an extent of its disk.
        Ok(extent.within(&piece.range).unwrap_or(extent))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let range = DiskError::check_range(offset, buf.len() as u64, self.size)?;
        let mut rest = buf;
        for (piece, here) in self.pieces_in(range) {
            let len = to_usize(here.end - here.start);
            let (now, later) = rest.split_at_mut(len.min(rest.len()));
            match &piece.what {
                What::Zeros => now.fill(0),
                What::Part { disk, from, .. } => disk
                    .read_at(now, piece.inner(*from, &here).start)
                    .map_err(|error| piece.outer_error(*from, error))?,
            }
            rest = later;
        }
        Ok(())
    }

    fn extents_in(&self, range: Range<u64>) -> Extents<'_> {
        let pieces = self.pieces_in(range);
        let extents = pieces.flat_map(|(piece, here)| piece.extents(here));
        Box::new(Joined::new(extents))
    }

    fn losses_in(&self, range: Range<u64>) -> Losses<'_> {
        let pieces = self.pieces_in(range);
        Box::new(joined(pieces.flat_map(|(piece, here)| piece.losses(&here))))
    }

    fn check_unchanged(&self) -> Result<()> {
        self.pieces.iter().try_for_each(|piece| match &piece.what {
            What::Zeros => Ok(()),
            What::Part { disk, .. } => disk.check_unchanged(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::testing::FakeDisk;

    #[test]
    fn losses_of_neighbouring_pieces_are_one() {
        let lost = |range| {
            let mut disk = FakeDisk::new(64 << 10);
            disk.lost = range;
            Arc::new(disk)
        };
        let mut concat = Concat::default();
        concat.disk(lost(32 << 10..64 << 10)).unwrap();
        concat.disk(lost(0..4 << 10)).unwrap();
        let losses: Vec<_> = concat
            .losses_in(0..128 << 10)
            .collect::<Result<_>>()
            .unwrap();
        let ranges: Vec<_> = losses.iter().map(|loss| loss.offset..loss.end()).collect();
        assert_eq!(ranges, [32 << 10..68 << 10]);
    }
}

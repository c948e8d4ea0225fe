//! A damaged disk that is read all the same: zeros for what is lost, and an account of it.
//!
//! ```
//! use ploopconv::disk::VirtualDisk;
//! use ploopconv::ploop::{OpenOptions, examine};
//! use ploopconv::salvage::Salvaged;
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let image = &dir.path().join("disk.hdd");
//! // An image that lost its last cluster.
//! let bytes = std::fs::read("fixtures/qemu/disk.hdd").unwrap();
//! std::fs::write(image, &bytes[..bytes.len() - 65536]).unwrap();
//!
//! examine(image, &OpenOptions::default())?.into_disk(false).unwrap_err();
//! let options = OpenOptions { salvage: true, ..OpenOptions::default() };
//! let disk = Salvaged::new(Box::new(examine(image, &options)?.into_disk(false)?));
//! let lost: u64 = disk.losses_in(0..disk.size()).map(|loss| loss.unwrap().len).sum();
//! assert_eq!(lost, 65536);
//! # Ok::<(), ploopconv::Error>(())
//! ```

mod bad;
mod mapfile;
mod trusted;

use std::fmt::Debug;
use std::ops::{Deref, Range};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

pub use self::mapfile::{Mapfile, SIGNATURE};
pub use self::trusted::Trusted;

use self::bad::BadSectors;
use crate::disk::{Extent, ExtentKind, Loss, LossKind, VirtualDisk};
use crate::error::{Error, Result};
use crate::ploop::{Layer, PloopDisk};
use crate::source::{Source, rescue};

/// A ploop disk that reads over its damage.
///
/// What its images claim to store and cannot is a hole here. What a device does not give is read
/// down to the sector, and zeros from then on, so that every reader sees the same disk. Neither is
/// ever taken from the layer below: that would be old data.
///
/// `P` points to the disk: a reference, a `Box` or an `Arc`.
#[derive(Debug)]
pub struct Salvaged<P> {
    disk: P,
    bad: RwLock<BadSectors>,
}

impl<P: Deref<Target = PloopDisk>> Salvaged<P> {
    /// Nothing is known to be unreadable yet.
    pub fn new(disk: P) -> Self {
        Self {
            disk,
            bad: RwLock::default(),
        }
    }

    /// The disk as it is stored: lost ranges are an error when they are read.
    pub fn stored(&self) -> &PloopDisk {
        &self.disk
    }

    /// Everything in `range` that is not what it was, in the order of the disk, as far as it is
    /// known: unreadable sectors are found by reading. Runs of one kind that touch are one.
    ///
    /// Memory is bounded by the tables of the images and the number of unreadable ranges.
    pub fn losses_in(&self, range: Range<u64>) -> impl Iterator<Item = Result<Loss>> + '_ {
        let extents = self.disk.extents_in(range);
        let losses = extents.flat_map(|extent| match extent {
            Ok(extent) => self.losses_of(extent).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        });
        joined(losses)
    }

    fn losses_of(&self, extent: Extent) -> Vec<Loss> {
        let range = extent.offset..extent.end();
        let layer = match extent.kind {
            ExtentKind::Lost { layer } => {
                let layer = self.disk.layers().get(layer);
                let kind = layer.map_or(LossKind::Missing, Layer::loss_kind);
                return vec![Loss::of(range, kind)];
            }
            ExtentKind::Data { layer, .. } => layer,
            ExtentKind::Hole | ExtentKind::Compressed { .. } => return Vec::new(),
        };
        let unreadable = self.bad().within(&range);
        let layer = self.disk.layers().get(layer);
        let doubtful = layer.map_or_else(Vec::new, |layer| layer.doubtful_in(range));
        let mut losses: Vec<Loss> = doubtful
            .into_iter()
            .flat_map(|range| without(range, &unreadable))
            .map(|range| Loss::of(range, LossKind::Doubtful))
            .collect();
        let unreadable = unreadable.into_iter();
        losses.extend(unreadable.map(|range| Loss::of(range, LossKind::Unreadable)));
        losses.sort_unstable_by_key(|loss| loss.offset);
        losses
    }

    fn bad(&self) -> RwLockReadGuard<'_, BadSectors> {
        self.bad.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what one layer stores of the disk from `offset` on.
    fn read_stored(
        &self,
        buf: &mut [u8],
        (layer, host_offset): (usize, u64),
        offset: u64,
    ) -> Result<()> {
        let layer = self.disk.layers().get(layer);
        let source = layer.map(|layer| layer.source()).ok_or(Error::Lost {
            offset,
            len: buf.len() as u64,
        })?;
        let range = offset..offset.saturating_add(buf.len() as u64);
        let known = self.bad().within(&range);
        let failed = |at, error| Error::io_at("reading", source.path(), at, error);
        if known.is_empty() {
            let read = source.read_exact_at(buf, host_offset);
            if read.is_ok() {
                return Ok(());
            }
        }
        let cut = |range: &Range<u64>| {
            let place = |at: u64| usize::try_from(at - offset).unwrap_or(usize::MAX);
            place(range.start)..place(range.end)
        };
        for range in &known {
            if let Some(lost) = buf.get_mut(cut(range)) {
                lost.fill(0);
            }
        }
        for range in without(range, &known) {
            let at = host_offset + (range.start - offset);
            let Some(piece) = buf.get_mut(cut(&range)) else {
                continue;
            };
            let mut found = Vec::new();
            rescue(source, piece, at, &mut |range| found.push(range))
                .map_err(|error| failed(at, error))?;
            for bad in found {
                let start = bad.start - host_offset + offset;
                self.remember(start..start + (bad.end - bad.start))?;
            }
        }
        Ok(())
    }

    fn remember(&self, range: Range<u64>) -> Result<()> {
        let offset = range.start;
        let mut bad = self.bad.write().unwrap_or_else(PoisonError::into_inner);
        if bad.add(range) {
            Ok(())
        } else {
            Err(Error::TooManyLosses {
                offset,
                most: BadSectors::MOST,
            })
        }
    }
}

impl<P> VirtualDisk for Salvaged<P>
where
    P: Deref<Target = PloopDisk> + Debug + Send + Sync,
{
    fn size(&self) -> u64 {
        self.disk.size()
    }

    fn extent_at(&self, offset: u64) -> Result<Extent> {
        self.disk.extent_at(offset).map(readable)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let len = buf.len() as u64;
        let size = self.size();
        let end = offset.checked_add(len).filter(|&end| end <= size);
        let end = end.ok_or(Error::OutOfRange { offset, len, size })?;
        let mut rest = buf;
        for extent in self.disk.extents_in(offset..end) {
            let extent = extent?;
            let len = usize::try_from(extent.len).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at_mut(len.min(rest.len()));
            match extent.kind {
                ExtentKind::Data { layer, host_offset } => {
                    self.read_stored(now, (layer, host_offset), extent.offset)?;
                }
                ExtentKind::Hole | ExtentKind::Lost { .. } | ExtentKind::Compressed { .. } => {
                    now.fill(0);
                }
            }
            rest = later;
        }
        Ok(())
    }

    fn extents(&self) -> Box<dyn Iterator<Item = Result<Extent>> + Send + '_> {
        self.extents_in(0..self.size())
    }

    fn extents_in(
        &self,
        range: Range<u64>,
    ) -> Box<dyn Iterator<Item = Result<Extent>> + Send + '_> {
        let extents = self.disk.extents_in(range);
        Box::new(crate::disk::Joined::new(
            extents.map(|extent| extent.map(readable)),
        ))
    }

    fn next_data(&self, layer: usize, host_offset: u64) -> Result<Option<Range<u64>>> {
        self.disk.next_data(layer, host_offset)
    }

    // No `layer_file`: a kernel that takes bytes from file to file knows nothing of what is lost, and
    // a target that shares blocks with a failing device fails with it.

    fn check_unchanged(&self) -> Result<()> {
        self.disk.check_unchanged()
    }
}

/// An extent as whoever reads over damage sees it.
fn readable(extent: Extent) -> Extent {
    match extent.kind {
        ExtentKind::Lost { .. } => Extent {
            kind: ExtentKind::Hole,
            ..extent
        },
        _ => extent,
    }
}

/// What is left of a range without `holes`, which are in order and lie inside.
fn without(range: Range<u64>, holes: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut left = Vec::new();
    let mut at = range.start;
    for hole in holes.iter().filter(|hole| hole.end > range.start) {
        let until = hole.start.min(range.end);
        if at < until {
            left.push(at..until);
        }
        at = at.max(hole.end);
    }
    if at < range.end {
        left.push(at..range.end);
    }
    left
}

/// Makes one of losses of a kind that touch.
fn joined(losses: impl Iterator<Item = Result<Loss>>) -> impl Iterator<Item = Result<Loss>> {
    let mut losses = losses.peekable();
    std::iter::from_fn(move || {
        let mut loss = match losses.next()? {
            Ok(loss) => loss,
            error => return Some(error),
        };
        let continues = |loss: &Loss, next: &Result<Loss>| matches!(next, Ok(next) if next.kind == loss.kind && next.offset == loss.end());
        while let Some(Ok(next)) = losses.next_if(|next| continues(&loss, next)) {
            loss.len += next.len;
        }
        Some(Ok(loss))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_lies_between_the_holes() {
        assert_eq!(without(0..10, &[]), [0..10]);
        assert_eq!(without(0..10, &[0..2, 4..5, 9..10]), [2..4, 5..9]);
        assert_eq!(without(3..5, &[0..10]), []);
        assert_eq!(without(3..5, &[0..3, 5..9]), [3..5]);
    }

    #[test]
    fn losses_of_one_kind_that_touch_are_one() {
        let loss = |range, kind| Ok(Loss::of(range, kind));
        let all = [
            loss(0..5, LossKind::Missing),
            loss(5..6, LossKind::Missing),
            loss(6..8, LossKind::Doubtful),
            loss(9..10, LossKind::Doubtful),
        ];
        let ranges: Vec<_> = joined(all.into_iter())
            .map(|loss| loss.map(|loss| (loss.offset, loss.len)).unwrap())
            .collect();
        assert_eq!(ranges, [(0, 6), (6, 2), (9, 1)]);
    }
}

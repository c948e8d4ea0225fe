//! A damaged disk that is read all the same: zeros for what is lost, and an account of it.
//!
//! ```
//! use ploopconv::disk::VirtualDisk;
//! use ploopconv::ploop::{IfInUse, OpenOptions, examine};
//! use ploopconv::salvage::Salvaged;
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let image = &dir.path().join("disk.hdd");
//! // An image that lost its last cluster.
//! let bytes = std::fs::read("fixtures/qemu/disk.hdd").unwrap();
//! std::fs::write(image, &bytes[..bytes.len() - 65536]).unwrap();
//!
//! examine(image, &OpenOptions::default())?.into_disk(IfInUse::Refuse).unwrap_err();
//! let options = OpenOptions { salvage: true, ..OpenOptions::default() };
//! let disk = Salvaged::new(Box::new(examine(image, &options)?.into_disk(IfInUse::Refuse)?));
//! let lost: u64 = disk.losses_in(0..disk.size()).map(|loss| loss.unwrap().len).sum();
//! assert_eq!(lost, 65536);
//! # Ok::<(), ploopconv::Error>(())
//! ```

mod bad;
mod mapfile;
mod trusted;
mod view;

use std::fmt::Debug;
use std::ops::{Deref, Range};
use std::sync::{RwLock, RwLockReadGuard};

pub use self::mapfile::{Mapfile, SIGNATURE};
pub use self::trusted::Trusted;
pub use self::view::View;

use self::bad::BadSectors;
use crate::disk::DiskError;
use crate::disk::{
    Extent, ExtentKind, Extents, Joined, Loss, LossKind, Losses, Store, StoreId, VirtualDisk,
    joined,
};
use crate::error::{Detail, Error, ErrorKind, Result};
use crate::source::rescue;
use crate::util::bytes::to_usize;
use crate::util::sync::{read, write};

/// A disk that reads over its damage, whatever it is made of.
///
/// What its stores should hold and do not is a hole here. What a device does not give is read
/// down to the sector, and zeros from then on, so that every reader sees the same disk. Neither is
/// ever taken from the layer below: that would be old data. A compressed cluster that a device does
/// not give is an error: no part of it can be unpacked.
///
/// `P` points to the disk: a reference, a `Box` or an `Arc`.
#[derive(Debug)]
pub struct Salvaged<P> {
    disk: P,
    /// Those of the disk, unshared: a kernel that takes bytes from file to file knows nothing of
    /// what is lost, and a target that shares blocks with a failing device fails with it.
    stores: Vec<Store>,
    bad: RwLock<BadSectors>,
}

impl<P: Deref<Target: VirtualDisk>> Salvaged<P> {
    /// Nothing is known to be unreadable yet.
    pub fn new(disk: P) -> Self {
        Self {
            stores: disk.stores().iter().map(Store::unshared).collect(),
            disk,
            bad: RwLock::default(),
        }
    }

    /// The disk as it is stored: lost ranges are an error when they are read.
    pub fn stored(&self) -> &P::Target {
        &self.disk
    }

    /// What is known of a range after it was read: a loss of the tables, unless sectors in it are
    /// unreadable, which says more.
    fn judged(&self, loss: Loss) -> Vec<Loss> {
        let range = loss.offset..loss.end();
        if loss.kind == LossKind::Missing {
            return vec![loss];
        }
        let unreadable = self.bad().within(&range);
        without(range, &unreadable)
            .into_iter()
            .map(|range| Loss::of(range, loss.kind))
            .collect()
    }

    fn bad(&self) -> RwLockReadGuard<'_, BadSectors> {
        read(&self.bad)
    }

    /// Reads what a store has of the disk from `offset` on.
    fn read_stored(
        &self,
        buf: &mut [u8],
        (store, host_offset): (StoreId, u64),
        offset: u64,
    ) -> Result<()> {
        let store = self.disk.store(store).ok_or(DiskError::Lost {
            offset,
            len: buf.len() as u64,
        })?;
        let source = store.source();
        let range = offset..offset.saturating_add(buf.len() as u64);
        let known = self.bad().within(&range);
        let failed = |at, error| Error::io_at("reading", store.path(), at, error);
        if known.is_empty() {
            let read = source.read_exact_at(buf, host_offset);
            if read.is_ok() {
                return Ok(());
            }
        }
        let cut = |range: &Range<u64>| {
            let place = |at: u64| to_usize(at - offset);
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
        let mut bad = write(&self.bad);
        if bad.add(range) {
            Ok(())
        } else {
            Err(TooManyLosses {
                offset,
                most: BadSectors::MOST,
            }
            .into())
        }
    }
}

impl<P> VirtualDisk for Salvaged<P>
where
    P: Deref<Target: VirtualDisk> + Debug + Send + Sync,
{
    fn size(&self) -> u64 {
        self.disk.size()
    }

    fn extent_at(&self, offset: u64) -> Result<Extent> {
        self.disk.extent_at(offset).map(readable)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let range = DiskError::check_range(offset, buf.len() as u64, self.size())?;
        let mut rest = buf;
        for extent in self.disk.extents_in(range) {
            let extent = extent?;
            let len = to_usize(extent.len);
            let (now, later) = rest.split_at_mut(len.min(rest.len()));
            match extent.kind {
                ExtentKind::Data { store, host_offset } => {
                    self.read_stored(now, (store, host_offset), extent.offset)?;
                }
                ExtentKind::Compressed { .. } => self.disk.read_at(now, extent.offset)?,
                ExtentKind::Hole | ExtentKind::Lost { .. } => now.fill(0),
            }
            rest = later;
        }
        Ok(())
    }

    fn stores(&self) -> &[Store] {
        &self.stores
    }

    fn extents_in(&self, range: Range<u64>) -> Extents<'_> {
        let extents = self.disk.extents_in(range);
        Box::new(Joined::new(extents.map(|extent| extent.map(readable))))
    }

    /// Everything in `range` that is not what it was, as far as it is known: unreadable sectors are
    /// found by reading.
    ///
    /// Memory is bounded by the tables of the images and the number of unreadable ranges.
    fn losses_in(&self, range: Range<u64>) -> Losses<'_> {
        let unreadable = self.bad().within(&range).into_iter();
        let unreadable = unreadable.map(|range| Ok(Loss::of(range, LossKind::Unreadable)));
        let told = self.disk.losses_in(range).flat_map(|loss| match loss {
            Ok(loss) => self.judged(loss).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        });
        Box::new(joined(in_order(told, unreadable)))
    }

    fn check_unchanged(&self) -> Result<()> {
        self.disk.check_unchanged()
    }
}

/// An extent as a reader over damage sees it.
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

/// The losses of two lists, each in the order of the disk, in that order.
fn in_order(
    a: impl Iterator<Item = Result<Loss>>,
    b: impl Iterator<Item = Result<Loss>>,
) -> impl Iterator<Item = Result<Loss>> {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    let at = |loss: Option<&Result<Loss>>| match loss {
        Some(Ok(loss)) => loss.offset,
        Some(Err(_)) => 0,
        None => u64::MAX,
    };
    std::iter::from_fn(move || {
        if at(a.peek()) <= at(b.peek()) {
            a.next().or_else(|| b.next())
        } else {
            b.next()
        }
    })
}

/// So many ranges of a disk cannot be read that a list of them makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("more than {most} ranges cannot be read, the last one at offset {offset:#x} of the disk")]
pub struct TooManyLosses {
    /// Where the last one begins, in bytes of the disk.
    pub offset: u64,
    /// How many are remembered.
    pub most: usize,
}

impl Detail for TooManyLosses {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Unsupported
    }

    fn code(&self) -> &'static str {
        "too-many-losses"
    }
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
}

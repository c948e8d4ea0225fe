//! What can be read as a disk.

use std::fmt::Debug;
use std::ops::{ControlFlow, Range};

use super::extent::{Extent, ExtentKind};
use super::loss::{Loss, LossKind, joined};
use super::store::{Store, StoreId};
use crate::error::Result;

/// The extents of a disk, or of a part of it.
pub type Extents<'a> = Box<dyn Iterator<Item = Result<Extent>> + Send + 'a>;

/// Takes one extent after the other, until it breaks off.
pub type EachExtent<'a> = dyn FnMut(Extent) -> ControlFlow<()> + 'a;

/// What of a disk is not what it was.
pub type Losses<'a> = Box<dyn Iterator<Item = Result<Loss>> + Send + 'a>;

/// A readable virtual disk.
pub trait VirtualDisk: Debug + Send + Sync {
    /// The size in bytes; never changes.
    fn size(&self) -> u64;

    /// What the disk keeps its bytes in; extents name them by their [`StoreId`]. The same for as
    /// long as the disk lives.
    fn stores(&self) -> &[Store];

    /// The store that an extent of this disk names.
    fn store(&self, id: StoreId) -> Option<&Store> {
        self.stores().get(id.index())
    }

    /// Says how the disk's bytes from `offset` on are stored. The extent starts at `offset`, has
    /// at least one byte, and ends with the disk at the latest; the next extent may continue it.
    ///
    /// # Errors
    ///
    /// [`DiskError::OutOfRange`](crate::disk::DiskError::OutOfRange) where `offset` is not inside
    /// the disk.
    fn extent_at(&self, offset: u64) -> Result<Extent>;

    /// Fills all of `buf` with the disk's bytes from `offset`; holes read as zeros.
    ///
    /// # Errors
    ///
    /// [`DiskError::OutOfRange`](crate::disk::DiskError::OutOfRange) where the range does not lie
    /// inside the disk, [`DiskError::Lost`](crate::disk::DiskError::Lost) where part of it cannot
    /// be trusted, [`ErrorKind::Io`](crate::ErrorKind::Io) where reading fails. Whatever the error,
    /// the contents of `buf` are unspecified.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()>;

    /// Walks over the extents of a part of the disk, without gap or overlap; the first and the last
    /// are cut off at the ends of `range`. No extent continues the one before it. What lies in
    /// front of the range is not walked over.
    fn extents_in(&self, range: Range<u64>) -> Extents<'_>;

    /// Walks over all extents from the start to the end of the disk.
    fn extents(&self) -> Extents<'_> {
        self.extents_in(0..self.size())
    }

    /// Gives what [`VirtualDisk::extents_in`] walks over to `found`, until that breaks off: for
    /// walks over millions of extents, of which each takes a few nanoseconds.
    ///
    /// # Errors
    ///
    /// The first that the walk meets.
    fn each_extent_in(&self, range: Range<u64>, found: &mut EachExtent<'_>) -> Result<()> {
        walk_each(self.extents_in(range), found)
    }

    /// What of `range` the disk should hold and does not, or may hold wrongly, in its order, as far
    /// as that is known. Runs of one kind that touch are one. Reads no data.
    fn losses_in(&self, range: Range<u64>) -> Losses<'_> {
        let losses = self.extents_in(range).filter_map(|extent| match extent {
            Ok(extent) => {
                let is_lost = matches!(extent.kind, ExtentKind::Lost { .. });
                let range = extent.offset..extent.end();
                is_lost.then(|| Ok(Loss::of(range, LossKind::Missing)))
            }
            Err(error) => Some(Err(error)),
        });
        Box::new(joined(losses))
    }

    /// Makes sure that nothing the disk is read from has changed since it was opened.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Changed`](crate::ErrorKind::Changed) with the file that did.
    fn check_unchanged(&self) -> Result<()> {
        Ok(())
    }
}

/// Gives every extent to `found`, until that breaks off.
///
/// # Errors
///
/// The first among the extents.
pub(crate) fn walk_each(
    extents: impl Iterator<Item = Result<Extent>>,
    found: &mut EachExtent<'_>,
) -> Result<()> {
    for extent in extents {
        if found(extent?).is_break() {
            break;
        }
    }
    Ok(())
}

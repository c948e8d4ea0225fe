//! A part of a disk as a disk of its own: what a partition is.

use std::fmt::Debug;
use std::ops::{Deref, Range};

use super::error::DiskError;
use super::extent::Extent;
use super::loss::Loss;
use super::store::Store;
use super::virtual_disk::{Extents, Losses, VirtualDisk};
use crate::error::{Error, Result};

/// A range of a disk, read as a disk. Offsets count from the start of the range; host offsets stay
/// those of the stores.
///
/// `P` points to the disk: a reference, a `Box` or an `Arc`.
#[derive(Debug)]
pub struct Slice<P> {
    disk: P,
    /// Lies inside the disk.
    range: Range<u64>,
}

impl<P: Deref<Target: VirtualDisk>> Slice<P> {
    /// The `len` bytes of `disk` from `start` on.
    ///
    /// # Errors
    ///
    /// [`DiskError::OutOfRange`] where they do not all lie inside the disk.
    pub fn new(disk: P, start: u64, len: u64) -> Result<Self> {
        let range = DiskError::check_range(start, len, disk.size())?;
        Ok(Self { disk, range })
    }

    /// The offset in the disk for `offset` in the slice, of which `len` bytes are asked for.
    fn outer(&self, offset: u64, len: u64) -> Result<u64> {
        let inner = DiskError::check_range(offset, len, self.range.end - self.range.start)?;
        Ok(self.range.start + inner.start)
    }

    /// A range of the slice as one of the disk; what lies past the end of the slice is left out.
    fn outer_range(&self, range: &Range<u64>) -> Range<u64> {
        let Range { start, end } = self.range;
        let outer = |offset: u64| start.saturating_add(offset).min(end);
        outer(range.start)..outer(range.end)
    }

    /// An extent of the disk as one of the slice.
    fn inner(&self, extent: Extent) -> Extent {
        Extent {
            offset: extent.offset.saturating_sub(self.range.start),
            ..extent
        }
    }

    /// An error whose offset counts from the start of the slice.
    fn inner_error(&self, error: Error) -> Error {
        match error.detail() {
            Some(&DiskError::Lost { offset, len }) => DiskError::Lost {
                offset: offset.saturating_sub(self.range.start),
                len,
            }
            .into(),
            _ => error,
        }
    }
}

impl<P> VirtualDisk for Slice<P>
where
    P: Deref<Target: VirtualDisk> + Debug + Send + Sync,
{
    fn size(&self) -> u64 {
        self.range.end - self.range.start
    }

    fn extent_at(&self, offset: u64) -> Result<Extent> {
        let extent = self.disk.extent_at(self.outer(offset, 1)?)?;
        extent
            .within(&self.range)
            .map(|extent| self.inner(extent))
            .ok_or(
                DiskError::OutOfRange {
                    offset,
                    len: 1,
                    size: self.size(),
                }
                .into(),
            )
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let offset = self.outer(offset, buf.len() as u64)?;
        self.disk
            .read_at(buf, offset)
            .map_err(|error| self.inner_error(error))
    }

    fn stores(&self) -> &[Store] {
        self.disk.stores()
    }

    fn extents_in(&self, range: Range<u64>) -> Extents<'_> {
        let extents = self.disk.extents_in(self.outer_range(&range));
        Box::new(extents.map(|extent| match extent {
            Ok(extent) => Ok(self.inner(extent)),
            Err(error) => Err(self.inner_error(error)),
        }))
    }

    fn losses_in(&self, range: Range<u64>) -> Losses<'_> {
        let losses = self.disk.losses_in(self.outer_range(&range));
        Box::new(losses.map(|loss| match loss {
            Ok(loss) => Ok(Loss {
                offset: loss.offset.saturating_sub(self.range.start),
                ..loss
            }),
            Err(error) => Err(self.inner_error(error)),
        }))
    }

    fn check_unchanged(&self) -> Result<()> {
        self.disk.check_unchanged()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{ExtentKind, RawDisk, StoreId};

    fn disk() -> RawDisk {
        let bytes = (0..=99u8).collect::<Vec<_>>();
        RawDisk::over(std::sync::Arc::new(bytes), "memory".as_ref()).unwrap()
    }

    #[test]
    fn a_slice_reads_its_own_bytes_and_no_others() {
        let disk = disk();
        let slice = Slice::new(&disk, 10, 20).unwrap();
        assert_eq!(slice.size(), 20);
        let mut buf = [0; 4];
        slice.read_at(&mut buf, 16).unwrap();
        assert_eq!(buf, [26, 27, 28, 29]);
        for offset in [17, 20, u64::MAX - 9, u64::MAX] {
            let error = slice.read_at(&mut buf, offset).unwrap_err();
            assert!(matches!(
                error.detail(),
                Some(DiskError::OutOfRange { size: 20, .. })
            ));
        }
        slice.read_at(&mut [], 20).unwrap();
    }

    #[test]
    fn extents_count_from_the_start_of_the_slice_and_host_offsets_from_that_of_the_file() {
        let disk = disk();
        let slice = Slice::new(&disk, 10, 20).unwrap();
        let whole = Extent {
            offset: 0,
            len: 20,
            kind: ExtentKind::Data {
                store: StoreId::FIRST,
                host_offset: 10,
            },
        };
        let all: Vec<_> = slice.extents().map(Result::unwrap).collect();
        assert_eq!(all, [whole]);
        let inner = Slice::new(&slice, 5, 3).unwrap();
        let extent = inner.extent_at(1).unwrap();
        assert_eq!((extent.offset, extent.len), (1, 2));
        assert_eq!(
            extent.kind,
            ExtentKind::Data {
                store: StoreId::FIRST,
                host_offset: 16
            }
        );
        assert!(slice.extent_at(20).is_err());
    }

    #[test]
    fn a_slice_that_leaves_the_disk_is_refused() {
        for (start, len) in [(0, 101), (100, 1), (u64::MAX, 1), (1, u64::MAX)] {
            assert!(Slice::new(&disk(), start, len).is_err());
        }
        assert_eq!(Slice::new(&disk(), 100, 0).unwrap().extents().count(), 0);
    }
}

//! A disk of which some ranges are left out: they are holes, whatever is stored there.

use std::ops::Range;
use std::sync::Arc;

use super::error::DiskError;
use super::extent::{Extent, ExtentKind, Joined};
use super::store::Store;
use super::virtual_disk::{Extents, Losses, VirtualDisk};
use crate::error::Result;
use crate::util::bytes::to_usize;

/// A disk with more holes than it has. What it stores elsewhere stays where it is stored, so that
/// it can be shared and copied as before; what is stored in the holes is never read.
#[derive(Debug, Clone)]
pub struct WithHoles {
    disk: Arc<dyn VirtualDisk>,
    /// In their order, without overlap; none is empty.
    holes: Arc<[Range<u64>]>,
}

impl WithHoles {
    /// The disk with these holes, in bytes; they may come in any order and overlap.
    ///
    /// # Errors
    ///
    /// [`DiskError::OutOfRange`] where one does not lie inside the disk.
    pub fn new(disk: Arc<dyn VirtualDisk>, mut holes: Vec<Range<u64>>) -> Result<Self> {
        holes.retain(|hole| hole.start < hole.end);
        holes.sort_unstable_by_key(|hole| hole.start);
        holes.dedup_by(|next, last| {
            let touches = next.start <= last.end;
            if touches {
                last.end = last.end.max(next.end);
            }
            touches
        });
        if let Some(last) = holes.last() {
            DiskError::check_range(last.start, last.end - last.start, disk.size())?;
        }
        Ok(Self {
            disk,
            holes: holes.into(),
        })
    }

    /// The disk without the holes.
    #[must_use]
    pub fn stored(&self) -> &Arc<dyn VirtualDisk> {
        &self.disk
    }

    /// The holes that reach past an offset.
    fn holes_from(&self, offset: u64) -> &[Range<u64>] {
        let first = self.holes.partition_point(|hole| hole.end <= offset);
        self.holes.get(first..).unwrap_or_default()
    }
}

/// Extents of a disk, cut where holes begin or end.
struct Cut<'a> {
    extents: Extents<'a>,
    /// Those that reach past what was given.
    holes: &'a [Range<u64>],
    /// What is left of an extent.
    rest: Option<Extent>,
}

impl Cut<'_> {
    /// The first part of an extent; what follows it is kept.
    fn first_of(&mut self, extent: Extent) -> Extent {
        while let Some((hole, later)) = self.holes.split_first()
            && hole.end <= extent.offset
        {
            self.holes = later;
        }
        let (kind, end) = match self.holes.first() {
            Some(hole) if hole.start <= extent.offset => (ExtentKind::Hole, hole.end),
            Some(hole) => (extent.kind, hole.start),
            None => return extent,
        };
        self.rest = extent.within(&(end..u64::MAX));
        let part = extent.within(&(extent.offset..end)).unwrap_or(extent);
        Extent { kind, ..part }
    }
}

impl Iterator for Cut<'_> {
    type Item = Result<Extent>;

    fn next(&mut self) -> Option<Self::Item> {
        let extent = match self.rest.take() {
            Some(rest) => rest,
            None => match self.extents.next()? {
                Ok(extent) => extent,
                Err(error) => return Some(Err(error)),
            },
        };
        Some(Ok(self.first_of(extent)))
    }
}

impl VirtualDisk for WithHoles {
    fn size(&self) -> u64 {
        self.disk.size()
    }

    fn stores(&self) -> &[Store] {
        self.disk.stores()
    }

    fn extent_at(&self, offset: u64) -> Result<Extent> {
        let extent = self.disk.extent_at(offset)?;
        let mut cut = Cut {
            extents: Box::new(std::iter::empty()),
            holes: self.holes_from(offset),
            rest: None,
        };
        Ok(cut.first_of(extent))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let range = DiskError::check_range(offset, buf.len() as u64, self.size())?;
        let mut at = range.start;
        let mut rest = buf;
        let mut holes = self.holes_from(at).iter();
        while !rest.is_empty() {
            let hole = holes.next().filter(|hole| hole.start < range.end);
            let hole = hole.cloned().unwrap_or(range.end..range.end);
            let stored = hole.start.saturating_sub(at);
            let (now, later) = rest.split_at_mut(to_usize(stored).min(rest.len()));
            if !now.is_empty() {
                self.disk.read_at(now, at)?;
            }
            let start = hole.start.max(at);
            let len = to_usize(hole.end.saturating_sub(start)).min(later.len());
            let (zeros, later) = later.split_at_mut(len);
            zeros.fill(0);
            rest = later;
            at = hole.end;
        }
        Ok(())
    }

    fn extents_in(&self, range: Range<u64>) -> Extents<'_> {
        Box::new(Joined::new(Cut {
            holes: self.holes_from(range.start),
            extents: self.disk.extents_in(range),
            rest: None,
        }))
    }

    fn losses_in(&self, range: Range<u64>) -> Losses<'_> {
        self.disk.losses_in(range)
    }

    fn check_unchanged(&self) -> Result<()> {
        self.disk.check_unchanged()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Concat, RawDisk, StoreId, stored_ranges};

    fn disk(holes: Vec<Range<u64>>) -> WithHoles {
        let bytes = RawDisk::over(Arc::new((1..=100).collect::<Vec<u8>>()), "memory".as_ref());
        let mut disk = Concat::default();
        disk.disk(Arc::new(bytes.unwrap())).unwrap();
        disk.zeros(20).unwrap();
        disk.bytes("nines", vec![9; 30]).unwrap();
        WithHoles::new(Arc::new(disk), holes).unwrap()
    }

    #[test]
    fn holes_read_as_zeros_and_nothing_else_changes() {
        let disk = disk(vec![90..110, 5..10, 10..12, 8..9, 119..121, 149..150, 7..7]);
        assert_eq!(&*disk.holes, [5..12, 90..110, 119..121, 149..150]);
        let mut all = vec![0; 150];
        disk.stored().read_at(&mut all, 0).unwrap();
        for hole in disk.holes.iter() {
            all[hole.start as usize..hole.end as usize].fill(0);
        }
        for (start, end) in [
            (0, 150),
            (0, 5),
            (5, 12),
            (6, 7),
            (11, 91),
            (91, 150),
            (30, 30),
        ] {
            let mut buf = vec![0xee; end - start];
            disk.read_at(&mut buf, start as u64).unwrap();
            assert_eq!(buf, all[start..end], "{start}..{end}");
        }
        assert!(disk.read_at(&mut [0; 2], 149).is_err());
    }

    #[test]
    fn extents_are_cut_at_holes_and_keep_their_places() {
        let disk = disk(vec![5..10, 90..110, 121..122]);
        let stored: Vec<_> = stored_ranges(&disk).map(Result::unwrap).collect();
        assert_eq!(stored, [0..5, 10..90, 120..121, 122..150]);
        let places: Vec<_> = disk.extents().map(Result::unwrap).collect();
        for extent in &places {
            assert_eq!(disk.extent_at(extent.offset).unwrap().kind, extent.kind);
            if let ExtentKind::Data { store, host_offset } = extent.kind {
                let start = if store == StoreId::FIRST { 0 } else { 120 };
                assert_eq!(host_offset, extent.offset - start);
            }
        }
        assert_eq!(places.len(), 7);
        let within: Vec<_> = disk.extents_in(7..95).map(Result::unwrap).collect();
        let within: Vec<_> = within
            .iter()
            .map(|extent| extent.offset..extent.end())
            .collect();
        assert_eq!(within, [7..10, 10..90, 90..95]);
    }

    #[test]
    fn a_hole_outside_the_disk_is_refused() {
        let inner = disk(Vec::new());
        assert!(WithHoles::new(Arc::new(inner), vec![140..151]).is_err());
    }
}

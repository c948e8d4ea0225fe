//! A disk whose extents are walked once, however often they are asked for.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::extent::Extent;
use super::store::Store;
use super::virtual_disk::{EachExtent, Extents, Losses, VirtualDisk, walk_each};
use crate::error::Result;

/// The most extents that are remembered: 2 MiB.
const MOST: usize = 1 << 16;

/// A disk that remembers its extents, where they are not too many: planning a conversion, choosing
/// a layout and copying each need all of them.
#[derive(Debug)]
pub(crate) struct Remembered {
    disk: Arc<dyn VirtualDisk>,
    /// In the order of the disk; `None` where they are too many, or a walk failed.
    extents: OnceLock<Option<Vec<Extent>>>,
}

impl Remembered {
    pub(crate) fn new(disk: Arc<dyn VirtualDisk>) -> Self {
        Self {
            disk,
            extents: OnceLock::new(),
        }
    }

    fn extents(&self) -> Option<&[Extent]> {
        let walk = || -> Option<Vec<Extent>> {
            let mut extents = Vec::new();
            for extent in self.disk.extents() {
                if extents.len() == MOST {
                    return None;
                }
                extents.push(extent.ok()?);
            }
            Some(extents)
        };
        self.extents.get_or_init(walk).as_deref()
    }
}

impl VirtualDisk for Remembered {
    fn size(&self) -> u64 {
        self.disk.size()
    }

    fn stores(&self) -> &[Store] {
        self.disk.stores()
    }

    fn extent_at(&self, offset: u64) -> Result<Extent> {
        self.disk.extent_at(offset)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.disk.read_at(buf, offset)
    }

    fn extents_in(&self, range: Range<u64>) -> Extents<'_> {
        let Some(all) = self.extents() else {
            return self.disk.extents_in(range);
        };
        let first = all.partition_point(|extent| extent.end() <= range.start);
        let all = all.get(first..).unwrap_or_default().iter();
        let end = range.end;
        let met = all.take_while(move |extent| extent.offset < end);
        Box::new(met.filter_map(move |extent| extent.within(&range)).map(Ok))
    }

    fn each_extent_in(&self, range: Range<u64>, found: &mut EachExtent<'_>) -> Result<()> {
        match self.extents() {
            Some(_) => walk_each(self.extents_in(range), found),
            None => self.disk.each_extent_in(range, found),
        }
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::disk::testing::extents_one_by_one;
    use crate::disk::{ExtentKind, StoreId};

    /// Extents of four bytes, and how often they were walked over.
    #[derive(Debug)]
    struct Counted {
        size: u64,
        walks: Arc<AtomicUsize>,
    }

    impl VirtualDisk for Counted {
        fn size(&self) -> u64 {
            self.size
        }
        fn stores(&self) -> &[Store] {
            &[]
        }
        fn extent_at(&self, offset: u64) -> Result<Extent> {
            let (offset, len) = (offset, 4 - offset % 4);
            let data = ExtentKind::Data {
                store: StoreId::FIRST,
                host_offset: offset + 1000,
            };
            let kind = match (offset / 4) % 2 {
                0 => data,
                _ => ExtentKind::Hole,
            };
            Ok(Extent { offset, len, kind })
        }
        fn read_at(&self, _buf: &mut [u8], _offset: u64) -> Result<()> {
            Ok(())
        }
        fn extents_in(&self, range: Range<u64>) -> Extents<'_> {
            self.walks.fetch_add(1, Ordering::Relaxed);
            extents_one_by_one(self, range)
        }
    }

    fn counted(size: u64) -> (Counted, Arc<AtomicUsize>) {
        let walks = Arc::default();
        let disk = Counted {
            size,
            walks: Arc::clone(&walks),
        };
        (disk, walks)
    }

    #[test]
    fn extents_are_walked_once_and_cut_as_the_disk_cuts_them() {
        let (disk, walks) = counted(100);
        let (same, _) = counted(100);
        let remembered = Remembered::new(Arc::new(disk));
        for range in [0..100, 0..1, 3..9, 4..8, 50..50, 90..200, 100..101] {
            let found: Vec<_> = remembered
                .extents_in(range.clone())
                .map(Result::unwrap)
                .collect();
            let expected: Vec<_> = same.extents_in(range).map(Result::unwrap).collect();
            assert_eq!(found, expected);
        }
        assert_eq!(walks.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn too_many_extents_are_asked_for_each_time() {
        let (disk, walks) = counted(4 * (MOST as u64 + 2));
        let remembered = Remembered::new(Arc::new(disk));
        for _ in 0..2 {
            assert_eq!(remembered.extents_in(0..8).count(), 2);
        }
        assert_eq!(walks.load(Ordering::Relaxed), 3);
    }
}

//! For disks that tests make up.

use std::fmt;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::error::DiskError;
use super::extent::{Extent, ExtentKind, Joined};
use super::store::{Store, StoreId};
use super::virtual_disk::{Extents, VirtualDisk};
use super::writable::Writable;
use crate::error::{Error, Result};
use crate::source::SourceError;
use crate::util::sync::lock;

/// The extents of a part of a disk, asked for one after the other.
pub(crate) fn extents_one_by_one<D: VirtualDisk>(disk: &D, range: Range<u64>) -> Extents<'_> {
    let end = range.end.min(disk.size());
    let mut at = range.start;
    let steps = std::iter::from_fn(move || {
        let extent = (at < end).then(|| disk.extent_at(at))?;
        at = extent.as_ref().map_or(end, super::Extent::end);
        Some(extent)
    });
    let within = move |extent: super::Extent| extent.within(&(range.start..end));
    Box::new(Joined::new(steps.map(move |extent| {
        extent.map(|extent| within(extent).expect("it begins inside"))
    })))
}

/// What happens before a range is read: it may fail, panic or wait.
type BeforeRead = Box<dyn Fn(&Range<u64>) -> Result<()> + Send + Sync>;

/// A disk in memory, with ranges that are not like the others.
pub(crate) struct FakeDisk {
    pub(crate) bytes: Mutex<Vec<u8>>,
    /// Nothing is stored here, and zeros are read.
    pub(crate) holes: Vec<Range<u64>>,
    /// The extents say that this is lost, and reading it fails.
    pub(crate) lost: Range<u64>,
    /// None, where the disk has to be read through itself.
    pub(crate) stores: Vec<Store>,
    pub(crate) before_read: BeforeRead,
    /// Whether the source looks changed.
    pub(crate) changed: AtomicBool,
    /// Whether writes find no room.
    pub(crate) no_room: AtomicBool,
    /// How often it was flushed.
    pub(crate) flushes: AtomicU64,
    /// How often its extents were walked over.
    pub(crate) walks: AtomicU64,
}

impl FakeDisk {
    /// A disk of `size` bytes, all of them 0x11.
    pub(crate) fn new(size: u64) -> Self {
        Self::of(vec![0x11; size as usize])
    }

    /// A disk of these bytes.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self {
            bytes: Mutex::new(bytes),
            holes: Vec::new(),
            lost: 0..0,
            stores: Vec::new(),
            before_read: Box::new(|_| Ok(())),
            changed: AtomicBool::new(false),
            no_room: AtomicBool::new(false),
            flushes: AtomicU64::new(0),
            walks: AtomicU64::new(0),
        }
    }

    /// Reading the byte at `place` fails, and the extents say nothing of it.
    pub(crate) fn broken_at(mut self, place: u64) -> Self {
        self.before_read = Box::new(move |range| {
            if range.contains(&place) {
                let (offset, len) = (range.start, range.end - range.start);
                return Err(DiskError::Lost { offset, len }.into());
            }
            Ok(())
        });
        self
    }

    /// Reading any byte of `place` panics.
    pub(crate) fn panicking_at(mut self, place: Range<u64>) -> Self {
        self.before_read = Box::new(move |range| {
            assert!(!touches(range, &place), "as planned");
            Ok(())
        });
        self
    }

    /// Stores zeros in these ranges.
    pub(crate) fn store_zeros(&self, ranges: &[Range<u64>]) {
        for range in ranges {
            lock(&self.bytes)[range.start as usize..range.end as usize].fill(0);
        }
    }

    /// What is read from it where nothing is wrong.
    pub(crate) fn content(&self) -> Vec<u8> {
        let mut bytes = lock(&self.bytes).clone();
        for hole in &self.holes {
            bytes[hole.start as usize..hole.end as usize].fill(0);
        }
        bytes
    }

    fn change(&self, range: Range<usize>, with: impl Fn(&mut [u8])) -> Result<()> {
        if self.no_room.load(Ordering::SeqCst) {
            let full = nix::errno::Errno::ENOSPC.into();
            return Err(Error::io("writing", "overlay".as_ref(), full));
        }
        with(&mut lock(&self.bytes)[range]);
        Ok(())
    }
}

/// Whether two ranges have a byte in common.
pub(crate) fn touches(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

impl fmt::Debug for FakeDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeDisk")
            .field("holes", &self.holes)
            .finish_non_exhaustive()
    }
}

impl VirtualDisk for FakeDisk {
    fn size(&self) -> u64 {
        lock(&self.bytes).len() as u64
    }

    fn stores(&self) -> &[Store] {
        &self.stores
    }

    fn extent_at(&self, offset: u64) -> Result<Extent> {
        let special = self.holes.iter().chain([&self.lost]);
        let edges = special.flat_map(|range| [range.start, range.end]);
        let edges = edges.filter(|&edge| edge > offset);
        let end = edges.min().unwrap_or(self.size());
        let store = StoreId::FIRST;
        let kind = if self.holes.iter().any(|hole| hole.contains(&offset)) {
            ExtentKind::Hole
        } else if self.lost.contains(&offset) {
            ExtentKind::Lost { store }
        } else {
            let host_offset = offset;
            ExtentKind::Data { store, host_offset }
        };
        let len = end - offset;
        Ok(Extent { offset, len, kind })
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let range = offset..offset + buf.len() as u64;
        assert!(range.end <= self.size());
        (self.before_read)(&range)?;
        if touches(&range, &self.lost) {
            return Err(DiskError::Lost { offset, len: 1 }.into());
        }
        buf.copy_from_slice(&lock(&self.bytes)[range.start as usize..range.end as usize]);
        for hole in self.holes.iter().filter(|hole| touches(hole, &range)) {
            let (start, end) = (hole.start.max(offset), hole.end.min(range.end));
            buf[(start - offset) as usize..(end - offset) as usize].fill(0);
        }
        Ok(())
    }

    fn extents_in(&self, range: Range<u64>) -> Extents<'_> {
        self.walks.fetch_add(1, Ordering::SeqCst);
        extents_one_by_one(self, range)
    }

    fn check_unchanged(&self) -> Result<()> {
        if self.changed.load(Ordering::SeqCst) {
            let path = "disk".into();
            return Err(SourceError::Changed { path }.into());
        }
        Ok(())
    }
}

impl Writable for FakeDisk {
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()> {
        let start = offset as usize;
        self.change(start..start + data.len(), |bytes| {
            bytes.copy_from_slice(data)
        })
    }

    fn zero_at(&self, offset: u64, len: u64) -> Result<()> {
        self.change(offset as usize..(offset + len) as usize, |bytes| {
            bytes.fill(0);
        })
    }

    fn flush(&self) -> Result<()> {
        self.flushes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

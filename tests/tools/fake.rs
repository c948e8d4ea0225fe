//! A disk over another one, for what a sound disk never does.

use ploopconv::Result;
use ploopconv::disk::{Extent, Extents, Store, VirtualDisk};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Changes what was read, or fails; it is given the bytes and their offset.
type AfterRead = dyn Fn(&mut [u8], u64) -> Result<()> + Send + Sync;

pub(crate) struct FakeDisk {
    over: Arc<dyn VirtualDisk>,
    after_read: Option<Box<AfterRead>>,
    /// How often its extents were walked over.
    pub(crate) walks: AtomicUsize,
}

impl FakeDisk {
    /// A disk like `over`, whose walks are counted.
    pub(crate) fn counting(over: Arc<dyn VirtualDisk>) -> Self {
        Self {
            over,
            after_read: None,
            walks: AtomicUsize::new(0),
        }
    }

    /// A disk whose bytes pass through `after_read`: it has no stores to read past it.
    pub(crate) fn reading<F>(over: Arc<dyn VirtualDisk>, after_read: F) -> Self
    where
        F: Fn(&mut [u8], u64) -> Result<()> + Send + Sync + 'static,
    {
        Self {
            after_read: Some(Box::new(after_read)),
            ..Self::counting(over)
        }
    }
}

impl fmt::Debug for FakeDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FakeDisk").field(&self.over).finish()
    }
}

impl VirtualDisk for FakeDisk {
    fn size(&self) -> u64 {
        self.over.size()
    }
    fn stores(&self) -> &[Store] {
        match self.after_read {
            Some(_) => &[],
            None => self.over.stores(),
        }
    }
    fn extent_at(&self, offset: u64) -> Result<Extent> {
        self.over.extent_at(offset)
    }
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.over.read_at(buf, offset)?;
        let after_read = self.after_read.as_ref();
        after_read.map_or(Ok(()), |after_read| after_read(buf, offset))
    }
    fn extents_in(&self, range: Range<u64>) -> Extents<'_> {
        self.walks.fetch_add(1, Ordering::Relaxed);
        self.over.extents_in(range)
    }
}

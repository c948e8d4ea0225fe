//! The blocks of a file system as they are after its journal was replayed.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::replayed::Replayed;
use crate::disk::{ExtentKind, VirtualDisk};
use crate::error::Result;
use crate::util::bytes::{to_u64, to_usize};
use crate::util::sync::lock;

/// The blocks of a file system, by many threads; those of metadata are remembered for a while.
#[derive(Debug)]
pub(super) struct Volume {
    disk: Arc<dyn VirtualDisk>,
    block_size: u64,
    replayed: Replayed,
    /// A block has one place here, and drives out the one that was there.
    remembered: Vec<Mutex<Option<Remembered>>>,
}

/// A block that was read, with its number.
type Remembered = (u64, Arc<Block>);

/// A block of metadata.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    /// Whether it was found to be sound already.
    checked: AtomicBool,
}

impl Block {
    /// Checks the block, once for as long as it is remembered.
    pub(super) fn check(&self, check: impl FnOnce(&[u8]) -> Result<()>) -> Result<()> {
        if !self.checked.load(Ordering::Relaxed) {
            check(&self.bytes)?;
            self.checked.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Volume {
    /// Takes the disk, the size of a block in bytes, and where blocks lie that the journal has.
    pub(super) fn new(disk: Arc<dyn VirtualDisk>, block_size: u64, replayed: Replayed) -> Self {
        /// In bytes: enough for the directories and tables of inodes that threads are in.
        const REMEMBERED: u64 = 8 << 20;
        let places = (REMEMBERED / block_size).min(2048);
        // A small disk has little metadata.
        let places = to_usize(places.min(disk.size() / block_size / 16).max(1));
        Self {
            disk,
            block_size,
            replayed,
            remembered: std::iter::repeat_with(Mutex::default)
                .take(places)
                .collect(),
        }
    }

    pub(super) fn disk(&self) -> &Arc<dyn VirtualDisk> {
        &self.disk
    }

    /// Reads a block of metadata.
    ///
    /// # Errors
    ///
    /// What the disk says, and where the block does not lie inside it.
    pub(super) fn block(&self, number: u64) -> Result<Arc<Block>> {
        let places = to_u64(self.remembered.len());
        let place = self.remembered.get(to_usize(number % places));
        let remembered = place.map(lock);
        if let Some(place) = remembered
            && let Some((found, block)) = &*place
            && *found == number
        {
            return Ok(Arc::clone(block));
        }
        let mut bytes = vec![0; to_usize(self.block_size)];
        self.read_at(&mut bytes, number.saturating_mul(self.block_size))?;
        let block = Arc::new(Block {
            bytes,
            checked: AtomicBool::new(false),
        });
        if let Some(place) = place {
            *lock(place) = Some((number, Arc::clone(&block)));
        }
        Ok(block)
    }

    /// The parts of a range, in bytes, that may be anything but zeros: cut at multiples of `unit`
    /// bytes from its start, in their order. Reads no data.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub(super) fn stored_in(&self, range: Range<u64>, unit: u64) -> Result<Vec<Range<u64>>> {
        if !self.replayed.is_empty() {
            return Ok(vec![range]);
        }
        let mut stored: Vec<Range<u64>> = Vec::new();
        for extent in self.disk.extents_in(range.clone()) {
            let extent = extent?;
            if extent.kind == ExtentKind::Hole {
                continue;
            }
            let start = (extent.offset - range.start) / unit * unit;
            let end = (extent.end() - range.start).next_multiple_of(unit);
            let run = range.start + start..(range.start + end).min(range.end);
            match stored.last_mut() {
                Some(last) if run.start <= last.end => last.end = run.end,
                _ => stored.push(run),
            }
        }
        Ok(stored)
    }

    /// Fills `buf` from `offset` bytes of the file system, and remembers nothing.
    ///
    /// # Errors
    ///
    /// As [`Volume::block`].
    pub(super) fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        if self.replayed.is_empty() {
            return self.disk.read_at(buf, offset);
        }
        let mut at = offset;
        let mut rest = buf;
        while !rest.is_empty() {
            let run = self
                .replayed
                .run_at(at, to_u64(rest.len()), self.block_size);
            let (here, after) = rest.split_at_mut(to_usize(run.len));
            match run.from {
                Some(copy) => {
                    self.disk.read_at(here, copy.offset)?;
                    copy.unescape(here, at % self.block_size);
                }
                None => self.disk.read_at(here, at)?,
            }
            at = at.saturating_add(run.len);
            rest = after;
        }
        Ok(())
    }
}

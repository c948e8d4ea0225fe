//! A private layer over a disk that takes the writes, so that the disk itself never does.
//!
//! What was written lies in a sparse file at the offset that it has in the disk, in blocks of
//! 4 KiB; a bitmap says which. A write that covers only part of a block brings the rest of it
//! along from the disk below.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use nix::fcntl::{FallocateFlags, fallocate};

use crate::disk::DiskError;
use crate::disk::{
    Extent, ExtentKind, Extents, Joined, Losses, Role, Store, StoreId, VirtualDisk, Writable,
};
use crate::error::{Error, Result};
use crate::source::Source;
use crate::util::bytes::{to_usize, zero_pieces};
use crate::util::sync;

/// The unit of what is private, in bytes: the block that file systems write.
const BLOCK: u64 = 4096;
/// How many blocks a page of the bitmap knows: 128 MiB of the disk in 4 KiB of memory.
const PAGE_BLOCKS: u64 = 1 << 15;

/// Which blocks were written; pages without one take no memory.
#[derive(Debug, Default)]
struct Bitmap {
    pages: Vec<Option<Box<[u64; 512]>>>,
}

impl Bitmap {
    fn new(size: u64) -> Self {
        let pages = size.div_ceil(BLOCK * PAGE_BLOCKS);
        let mut bitmap = Self::default();
        bitmap.pages.resize_with(to_usize(pages), || None);
        bitmap
    }

    /// The page of a block, the word in it, and the bit in that.
    fn place(block: u64) -> (usize, usize, u64) {
        let page = to_usize(block / PAGE_BLOCKS);
        let word = to_usize(block % PAGE_BLOCKS / 64);
        (page, word, 1 << (block % 64))
    }

    fn has(&self, block: u64) -> bool {
        let (page, word, bit) = Self::place(block);
        let page = self.pages.get(page).and_then(Option::as_ref);
        page.is_some_and(|page| page.get(word).is_some_and(|word| word & bit != 0))
    }

    fn set(&mut self, blocks: Range<u64>) {
        for block in blocks {
            let (page, word, bit) = Self::place(block);
            let page = self.pages.get_mut(page);
            let page = page.map(|page| page.get_or_insert_with(|| Box::new([0; 512])));
            if let Some(word) = page.and_then(|page| page.get_mut(word)) {
                *word |= bit;
            }
        }
    }

    /// The run of blocks from `block` on that are all written or all not, up to `end`, and which.
    fn run(&self, block: u64, end: u64) -> (Range<u64>, bool) {
        let written = self.has(block);
        let mut at = block;
        while at < end && self.has(at) == written {
            // A page that does not exist is passed over in one step.
            let (page, ..) = Self::place(at);
            at = match self.pages.get(page) {
                Some(None) | None => (at / PAGE_BLOCKS + 1) * PAGE_BLOCKS,
                Some(Some(_)) => at + 1,
            };
        }
        (block..at.min(end), written)
    }
}

/// A disk with a private layer over it.
///
/// `P` points to the disk below: a reference, a `Box` or an `Arc`.
#[derive(Debug)]
pub struct Overlay<P> {
    below: P,
    /// Holds the blocks that were written, each at its place in the disk.
    file: Arc<File>,
    path: PathBuf,
    /// Those of the disk below, and at last this layer's file.
    stores: Vec<Store>,
    written: RwLock<Bitmap>,
    /// Held while blocks become written, so that two writes into one block do not each bring
    /// along what the other replaces.
    first_write: Mutex<()>,
}

impl<P> Overlay<P>
where
    P: Deref<Target: VirtualDisk> + Debug + Send + Sync,
{
    /// Puts a layer over `below`. `file` has to be empty, and has no other user; `path` is its name
    /// in errors.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where the file cannot be as large as the disk.
    pub fn new(below: P, file: File, path: &Path) -> Result<Self> {
        let size = below.size();
        file.set_len(size)
            .map_err(|source| Error::io("making room for a private layer in", path, source))?;
        let file = Arc::new(file);
        let private = Private {
            file: Arc::clone(&file),
            size,
        };
        let stores = below.stores().iter().map(Store::unshared);
        let private = Store::over(Arc::new(private), path, Role::Private);
        Ok(Self {
            written: RwLock::new(Bitmap::new(size)),
            stores: stores.chain([private]).collect(),
            below,
            file,
            path: path.to_owned(),
            first_write: Mutex::new(()),
        })
    }

    fn check_range(&self, offset: u64, len: u64) -> Result<Range<u64>> {
        Ok(DiskError::check_range(offset, len, self.below.size())?)
    }

    /// Splits a range into runs that are all in the private layer or all below it.
    fn runs(&self, range: Range<u64>) -> impl Iterator<Item = (Range<u64>, bool)> + Send + '_ {
        let mut at = range.start;
        std::iter::from_fn(move || {
            if at >= range.end {
                return None;
            }
            let written = sync::read(&self.written);
            let (blocks, is_written) = written.run(at / BLOCK, range.end.div_ceil(BLOCK));
            let run = at..(blocks.end * BLOCK).min(range.end);
            at = run.end;
            Some((run, is_written))
        })
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        sync::lock(&self.first_write)
    }

    fn is_written(&self, range: &Range<u64>) -> bool {
        self.runs(range.clone()).all(|(_, written)| written)
    }

    fn failed(&self, doing: &'static str, offset: u64) -> impl Fn(io::Error) -> Error + '_ {
        move |source| Error::io_at(doing, &self.path, offset, source)
    }

    /// Writes into the file through `write`, bringing along what lies around the range in its
    /// first and last block.
    fn change(&self, range: Range<u64>, write: impl FnOnce() -> io::Result<()>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let put = self.failed("writing to the private layer", range.start);
        if self.is_written(&range) {
            return write().map_err(put);
        }
        let _guard = self.lock();
        let first = range.start / BLOCK;
        let end = range.end.div_ceil(BLOCK);
        self.bring_along(first * BLOCK..range.start)?;
        self.bring_along(range.end..(end * BLOCK).min(self.below.size()))?;
        write().map_err(put)?;
        let mut written = sync::write(&self.written);
        written.set(first..end);
        Ok(())
    }

    /// Copies part of a block from below into the file, unless the block is there already.
    fn bring_along(&self, range: Range<u64>) -> Result<()> {
        if range.is_empty() || self.is_written(&range) {
            return Ok(());
        }
        let mut buf = vec![0; to_usize(range.end - range.start)];
        self.below.read_at(&mut buf, range.start)?;
        self.file
            .write_all_at(&buf, range.start)
            .map_err(self.failed("writing to the private layer", range.start))
    }

    fn write_zeros(&self, range: Range<u64>) -> io::Result<()> {
        let len = range.end - range.start;
        if let (Ok(start), Ok(len)) = (i64::try_from(range.start), i64::try_from(len)) {
            let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            if fallocate(&self.file, flags, start, len).is_ok() {
                return Ok(());
            }
        }
        let mut at = range.start;
        for piece in zero_pieces(len) {
            self.file.write_all_at(piece, at)?;
            at += piece.len() as u64;
        }
        Ok(())
    }
}

impl<P> Writable for Overlay<P>
where
    P: Deref<Target: VirtualDisk> + Debug + Send + Sync,
{
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()> {
        let range = self.check_range(offset, data.len() as u64)?;
        self.change(range, || self.file.write_all_at(data, offset))
    }

    fn zero_at(&self, offset: u64, len: u64) -> Result<()> {
        let range = self.check_range(offset, len)?;
        self.change(range.clone(), || self.write_zeros(range))
    }

    /// Does nothing: the layer does not outlive the program, so nothing can be lost that a sync
    /// would have kept.
    fn flush(&self) -> Result<()> {
        Ok(())
    }
}

impl<P> VirtualDisk for Overlay<P>
where
    P: Deref<Target: VirtualDisk> + Debug + Send + Sync,
{
    fn size(&self) -> u64 {
        self.below.size()
    }

    fn extent_at(&self, offset: u64) -> Result<Extent> {
        self.check_range(offset, 1)?;
        let run = self.runs(offset..self.size()).next();
        match run {
            Some((run, true)) => Ok(self.private(&run)),
            Some((run, false)) => {
                let extent = self.below.extent_at(offset)?;
                Ok(extent.within(&run).unwrap_or(extent))
            }
            None => self.below.extent_at(offset),
        }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let range = self.check_range(offset, buf.len() as u64)?;
        let mut rest = buf;
        for (run, written) in self.runs(range) {
            let len = to_usize(run.end - run.start);
            let (part, later) = rest.split_at_mut(len.min(rest.len()));
            rest = later;
            if written {
                self.file
                    .read_exact_at(part, run.start)
                    .map_err(self.failed("reading the private layer", run.start))?;
            } else {
                self.below.read_at(part, run.start)?;
            }
        }
        Ok(())
    }

    fn stores(&self) -> &[Store] {
        &self.stores
    }

    fn extents_in(&self, range: Range<u64>) -> Extents<'_> {
        let range = range.start..range.end.min(self.size());
        let runs = self.runs(range).flat_map(|(run, written)| {
            let extents: Extents<'_> = if written {
                Box::new(std::iter::once(Ok(self.private(&run))))
            } else {
                self.below.extents_in(run)
            };
            extents
        });
        Box::new(Joined::new(runs))
    }

    fn losses_in(&self, range: Range<u64>) -> Losses<'_> {
        let range = range.start..range.end.min(self.size());
        let below = self.runs(range).filter(|(_, written)| !written);
        Box::new(below.flat_map(|(run, _)| self.below.losses_in(run)))
    }

    fn check_unchanged(&self) -> Result<()> {
        self.below.check_unchanged()
    }
}

/// The file of a private layer. Its holes say nothing: a block that was never written is not here.
#[derive(Debug)]
struct Private {
    file: Arc<File>,
    size: u64,
}

impl Source for Private {
    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }
}

impl<P> Overlay<P> {
    fn private(&self, run: &Range<u64>) -> Extent {
        Extent {
            offset: run.start,
            len: run.end - run.start,
            kind: ExtentKind::Data {
                store: StoreId::at(self.stores.len().saturating_sub(1)),
                host_offset: run.start,
            },
        }
    }
}

#[cfg(test)]
mod tests;

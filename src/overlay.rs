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
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use nix::fcntl::{FallocateFlags, fallocate};

use crate::bytes::zero_pieces;
use crate::disk::{Extent, ExtentKind, Joined, VirtualDisk};
use crate::error::{Error, Result};
use crate::nbd::Writable;

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
        bitmap
            .pages
            .resize_with(usize::try_from(pages).unwrap_or(usize::MAX), || None);
        bitmap
    }

    /// The page of a block, the word in it, and the bit in that.
    fn place(block: u64) -> (usize, usize, u64) {
        let page = usize::try_from(block / PAGE_BLOCKS).unwrap_or(usize::MAX);
        let word = usize::try_from(block % PAGE_BLOCKS / 64).unwrap_or(usize::MAX);
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
    file: File,
    path: PathBuf,
    /// The number of this layer: one more than the highest below.
    layer: usize,
    written: RwLock<Bitmap>,
    /// Held while blocks become written, so that two writes into one block do not each bring
    /// along what the other replaces.
    first_write: Mutex<()>,
}

impl<P> Overlay<P>
where
    P: Deref<Target: VirtualDisk> + Debug + Send + Sync,
{
    /// Puts a layer over `below`, whose highest layer is `layer - 1`. `file` has to be empty, and
    /// is used by nobody else; `path` is what errors call it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the file cannot be as large as the disk.
    pub fn new(below: P, layer: usize, file: File, path: &Path) -> Result<Self> {
        let size = below.size();
        file.set_len(size)
            .map_err(|source| Error::io("making room for a private layer in", path, source))?;
        Ok(Self {
            written: RwLock::new(Bitmap::new(size)),
            below,
            file,
            path: path.to_owned(),
            layer,
            first_write: Mutex::new(()),
        })
    }

    fn check_range(&self, offset: u64, len: u64) -> Result<Range<u64>> {
        let size = self.below.size();
        match offset.checked_add(len) {
            Some(end) if end <= size => Ok(offset..end),
            _ => Err(Error::OutOfRange { offset, len, size }),
        }
    }

    /// Splits a range into runs that are all in the private layer or all below it.
    fn runs(&self, range: Range<u64>) -> impl Iterator<Item = (Range<u64>, bool)> + Send + '_ {
        let mut at = range.start;
        std::iter::from_fn(move || {
            if at >= range.end {
                return None;
            }
            let written = self.written.read().unwrap_or_else(PoisonError::into_inner);
            let (blocks, is_written) = written.run(at / BLOCK, range.end.div_ceil(BLOCK));
            let run = at..(blocks.end * BLOCK).min(range.end);
            at = run.end;
            Some((run, is_written))
        })
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.first_write
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
        let mut written = self.written.write().unwrap_or_else(PoisonError::into_inner);
        written.set(first..end);
        Ok(())
    }

    /// Copies part of a block from below into the file, unless the block is there already.
    fn bring_along(&self, range: Range<u64>) -> Result<()> {
        if range.is_empty() || self.is_written(&range) {
            return Ok(());
        }
        let mut buf = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
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
            let len = usize::try_from(run.end - run.start).unwrap_or(usize::MAX);
            let (part, behind) = rest.split_at_mut(len.min(rest.len()));
            rest = behind;
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

    fn extents(&self) -> Box<dyn Iterator<Item = Result<Extent>> + Send + '_> {
        self.extents_in(0..self.size())
    }

    fn extents_in(
        &self,
        range: Range<u64>,
    ) -> Box<dyn Iterator<Item = Result<Extent>> + Send + '_> {
        let range = range.start..range.end.min(self.size());
        let runs = self.runs(range).flat_map(|(run, written)| {
            let extents: Box<dyn Iterator<Item = Result<Extent>> + Send + '_> = if written {
                Box::new(std::iter::once(Ok(self.private(&run))))
            } else {
                self.below.extents_in(run)
            };
            extents
        });
        Box::new(Joined::new(runs))
    }

    fn next_data(&self, layer: usize, host_offset: u64) -> Result<Option<Range<u64>>> {
        if layer < self.layer {
            return self.below.next_data(layer, host_offset);
        }
        let size = self.size();
        Ok((host_offset < size).then_some(host_offset..size))
    }

    fn check_unchanged(&self) -> Result<()> {
        self.below.check_unchanged()
    }
}

impl<P> Overlay<P> {
    fn private(&self, run: &Range<u64>) -> Extent {
        Extent {
            offset: run.start,
            len: run.end - run.start,
            kind: ExtentKind::Data {
                layer: self.layer,
                host_offset: run.start,
            },
        }
    }
}

#[cfg(test)]
mod tests;

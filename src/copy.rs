//! Moves a disk's bytes into a sink: a plan, workers that read and write in parallel, and for
//! sinks that need it one consumer that sees everything in order.
//!
//! To a raw file, with the digest that `sha256sum` would print of it:
//!
//! ```
//! use std::sync::{Arc, atomic::AtomicBool};
//! use ploopconv::Workers;
//! use ploopconv::copy::{CopyOptions, copy};
//! use ploopconv::disk::VirtualDisk;
//! use ploopconv::hash::{Algorithm, Hasher};
//! use ploopconv::ploop::{OpenOptions, examine};
//! use ploopconv::sink::{FileSink, FileSinkOptions, Partials, Reflink, Sink};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let target = &dir.path().join("disk.raw");
//! let disk = examine("fixtures/101".as_ref(), &OpenOptions::default())?.into_disk(false)?;
//! let how = FileSinkOptions { replace: false, allocate: false, sync: true, reflink: Reflink::Auto };
//! let sink = FileSink::create(target, disk.size(), how, &Arc::new(Partials::default()))?;
//! let mut sha256 = Hasher::new(Algorithm::Sha256);
//! let options = CopyOptions { find_zeros: true, stop: &AtomicBool::new(false) };
//! let done = copy(&disk, &sink, &Workers::new(4)?, options, &(), Some(&mut sha256))?;
//! Box::new(sink).finish()?; // only now the target has its name
//! assert_eq!(done.written + done.shared + done.zeros, disk.size());
//! assert!(sha256.finish().starts_with("fc67f1c674fe03cf"));
//! # assert_eq!(target.metadata().unwrap().len(), disk.size());
//! # Ok::<(), ploopconv::Error>(())
//! ```

mod holes;
mod ordered;
mod plan;
mod queue;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use self::holes::Holes;
use self::plan::{Pieces, Place, Plan, UNIT, Unit};
use self::queue::{Queue, Task};
use crate::bytes::is_zero;
use crate::disk::VirtualDisk;
use crate::error::{Error, Result};
use crate::sink::Sink;
use crate::workers::Workers;

/// How a disk is copied.
#[derive(Debug, Clone, Copy)]
pub struct CopyOptions<'a> {
    /// Look for zeros in what is stored, and leave them out like holes.
    pub find_zeros: bool,
    /// Stop soon once this is set.
    pub stop: &'a AtomicBool,
}

/// Sees how far a copy has come.
pub trait Progress: Sync {
    /// Another `bytes` of the disk are done, holes included. Called from many threads.
    fn advance(&self, bytes: u64);
}

/// Nobody looks.
impl Progress for () {
    fn advance(&self, _bytes: u64) {}
}

/// Work on a piece of the disk that needs nothing but its bytes.
pub type Beforehand = fn(&[u8]) -> Vec<u8>;

/// Sees the disk's bytes once, in the order of the disk, while they are copied.
pub trait Observer: Send {
    /// Data is seen in pieces that begin and end at multiples of this many bytes (a power of two)
    /// or end with the disk.
    fn grain(&self) -> u64 {
        1
    }

    /// What can be done with a piece by itself, on many threads, before its turn comes.
    fn beforehand(&self) -> Option<Beforehand> {
        None
    }

    /// The next bytes of the disk, and what [`beforehand`](Observer::beforehand) made of them.
    fn data(&mut self, bytes: &[u8], beforehand: &[u8]);

    /// The next `len` bytes of the disk are zeros.
    fn zeros(&mut self, len: u64);
}

/// What a copy did; every byte of the disk is in one of the three.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Bytes written as data.
    pub written: u64,
    /// Bytes that the target shares with the files of the disk, so that they were not written.
    pub shared: u64,
    /// Bytes left to the sink as zeros.
    pub zeros: u64,
}

/// The zeros that [`CopyOptions::find_zeros`] looks for: blocks of 4 KiB, as file systems keep.
const ZERO_BLOCK: usize = 4096;

/// Copies the whole disk, and makes sure that it did not change meanwhile. The sink is still to
/// be finished. An observer sees all of it.
///
/// Memory is bounded by the number of threads and the sink's grain, whatever the disk's size and
/// cluster size.
///
/// # Errors
///
/// The first error of the disk or the sink, [`Error::Stopped`] where `stop` was set,
/// [`Error::Changed`] where the source changed.
pub fn copy(
    disk: &dyn VirtualDisk,
    sink: &dyn Sink,
    workers: &Workers,
    options: CopyOptions<'_>,
    progress: &dyn Progress,
    observer: Option<&mut dyn Observer>,
) -> Result<Summary> {
    let grain = observer.as_ref().map_or(1, |observer| observer.grain());
    let grain = grain.max(sink.grain());
    let ordered = sink.needs_order() || observer.is_some();
    let unseen = !ordered && !options.find_zeros && sink.shortest_transfer().is_some();
    let plan = Plan::new(disk, sink, grain, unseen);
    let job = Job {
        disk,
        sink,
        options,
        progress,
        unseen,
        queue: Mutex::new((0, Queue::new(disk, plan, ordered))),
        failed: AtomicBool::new(false),
        written: AtomicU64::new(0),
        shared: AtomicU64::new(0),
        zeros: AtomicU64::new(0),
        brought_in: AtomicU64::new(0),
    };
    if ordered {
        ordered::run(&job, workers, observer, grain)?;
    } else {
        job.run_unordered(workers)?;
    }
    disk.check_unchanged()?;
    Ok(Summary {
        written: job.written.into_inner(),
        shared: job.shared.into_inner(),
        zeros: job.zeros.into_inner(),
    })
}

/// How many bytes a copy that keeps holes would write: what is stored, less the holes of the
/// files it is stored in. Reads no data; looks through large tables on all of `workers`.
///
/// # Errors
///
/// What the disk says while its extents are walked.
pub fn stored_bytes(disk: &dyn VirtualDisk, workers: &Workers) -> Result<u64> {
    /// The least bytes of a disk that one worker walks over at a time.
    const PART: u64 = 64 << 30;
    /// The most parts: a header may claim any size, and each part has its cost.
    const PARTS: u64 = 4096;
    let (size, holes) = (disk.size(), Arc::new(Holes::new(disk)));
    let len = PART.max(size.div_ceil(PARTS));
    let stored_in = |part: u64| {
        let start = part * len;
        let range = start..start.saturating_add(len).min(size);
        let mut pieces = Pieces::within(disk, range, Arc::clone(&holes));
        let mut sum = 0u64;
        while let Some(piece) = pieces.next_piece()? {
            if piece.data {
                sum = sum.saturating_add(piece.len);
            }
        }
        Ok(sum)
    };
    if size <= len {
        return stored_in(0);
    }
    workers.install(|| {
        let parts = (0..size.div_ceil(len)).into_par_iter().map(stored_in);
        parts.try_reduce(|| 0, |one, other| Ok(one.saturating_add(other)))
    })
}

/// The ranges that a copy which keeps holes would write, in the order of the disk: what is
/// stored, less the holes of the files it is stored in. Reads no data. Ranges may touch.
///
/// Ends after the first error of the disk.
pub fn stored_ranges(disk: &dyn VirtualDisk) -> impl Iterator<Item = Result<Range<u64>>> {
    let mut pieces = Some(Pieces::new(disk));
    std::iter::from_fn(move || {
        loop {
            match pieces.as_mut()?.next_piece() {
                Ok(Some(piece)) if piece.data => {
                    return Some(Ok(piece.offset..piece.offset + piece.len));
                }
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => {
                    pieces = None;
                    return Some(Err(error));
                }
            }
        }
    })
}

struct Job<'a> {
    disk: &'a dyn VirtualDisk,
    sink: &'a dyn Sink,
    options: CopyOptions<'a>,
    progress: &'a dyn Progress,
    /// Whether nobody has to look at the bytes.
    unseen: bool,
    /// The number of the next unit, and the units.
    queue: Mutex<(u64, Queue<'a>)>,
    /// Set by the first worker that fails, so that the others stop.
    failed: AtomicBool,
    written: AtomicU64,
    shared: AtomicU64,
    zeros: AtomicU64,
    /// Bytes that were not in the page cache before.
    brought_in: AtomicU64,
}

impl Job<'_> {
    /// The next unit and its number; `None` at the end, or when another worker failed.
    fn next_task(&self) -> Result<Option<(u64, Task)>> {
        if self.options.stop.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        if self.failed.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let (number, tasks) = &mut *queue;
        let task = tasks.next().transpose()?;
        *number += 1;
        Ok(task.map(|task| (*number - 1, task)))
    }

    /// A unit is done, as far as reading goes.
    fn was_read(&self, task: &Task) {
        let before = self.brought_in.load(Ordering::Relaxed);
        let bytes = task.let_go(self.disk, before);
        self.brought_in.fetch_add(bytes, Ordering::Relaxed);
    }

    fn read(&self, buffer: &mut Vec<u8>, offset: u64, len: u64) -> Result<()> {
        buffer.resize(usize::try_from(len).unwrap_or(UNIT), 0);
        self.disk.read_at(buffer, offset)
    }

    /// Gives a unit that was read to the sink; `place` is where all of it is stored.
    fn write(&self, data: &[u8], offset: u64, mixed: bool, place: Option<Place>) -> Result<()> {
        let start = offset;
        let mut offset = offset;
        let place = |offset: u64| place.map(|place| place.after(offset - start));
        // Holes that were read for an observer's sake stay holes.
        let find_holes = mixed && self.sink.grain() <= 1;
        if !self.options.find_zeros && !find_holes {
            return self.write_run(data, offset, false, place(offset));
        }
        // A sink with a grain takes it whole or not at all.
        let block_size = match self.sink.grain() {
            0 | 1 => ZERO_BLOCK,
            grain => usize::try_from(grain).unwrap_or(ZERO_BLOCK),
        };
        // The first block ends where the disk's blocks do, wherever the unit begins.
        let head = offset.next_multiple_of(block_size as u64) - offset;
        let head = usize::try_from(head).unwrap_or(0).min(data.len());
        let (head, blocks) = data.split_at(head);
        let blocks = (!head.is_empty())
            .then_some(head)
            .into_iter()
            .chain(blocks.chunks(block_size));
        let mut rest = data;
        let mut run = (0, false);
        for block in blocks {
            let zero = is_zero(block);
            if run.0 > 0 && zero != run.1 {
                let (now, later) = rest.split_at(run.0);
                self.write_run(now, offset, run.1, place(offset))?;
                offset += now.len() as u64;
                (rest, run.0) = (later, 0);
            }
            run = (run.0 + block.len(), zero);
        }
        self.write_run(rest, offset, run.1, place(offset))
    }

    fn write_run(&self, data: &[u8], offset: u64, zero: bool, place: Option<Place>) -> Result<()> {
        let len = data.len() as u64;
        if zero {
            return self.zero(offset, len);
        }
        // What was read need not be written where the blocks can be shared.
        let shared = match place {
            Some(place) => self.share(place, offset, len)?,
            None => 0,
        };
        let rest = usize::try_from(shared)
            .ok()
            .and_then(|shared| data.get(shared..))
            .unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        self.sink.write_at(rest, offset + shared)?;
        self.written.fetch_add(rest.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Lets the sink share as many bytes from the start of a run as it can.
    fn share(&self, place: Place, offset: u64, len: u64) -> Result<u64> {
        let Some(file) = self.disk.layer_file(place.layer) else {
            return Ok(0);
        };
        let host_range = place.host_offset..place.host_offset.saturating_add(len);
        let shared = self.sink.share_at(file.file(), host_range, offset)?;
        self.shared.fetch_add(shared, Ordering::Relaxed);
        Ok(shared)
    }

    /// Takes a run from file to file, without looking at it.
    fn transfer(&self, buffer: &mut Vec<u8>, place: Place, offset: u64, len: u64) -> Result<()> {
        let mut done = 0;
        while done < len {
            let (place, offset, left) = (place.after(done), offset + done, len - done);
            let shared = self.share(place, offset, left)?;
            if shared > 0 {
                done += shared;
                continue;
            }
            let host_range = place.host_offset..place.host_offset.saturating_add(left);
            let copied = match self.disk.layer_file(place.layer) {
                Some(file) => self.sink.copy_at(file.file(), host_range, offset)?,
                None => 0,
            };
            if copied > 0 {
                self.written.fetch_add(copied, Ordering::Relaxed);
                done += copied;
                continue;
            }
            // Neither way is open, or not here: reading says what is wrong, if something is.
            let piece = left.min(UNIT as u64);
            self.read(buffer, offset, piece)?;
            self.sink.write_at(buffer, offset)?;
            self.written.fetch_add(piece, Ordering::Relaxed);
            done += piece;
        }
        Ok(())
    }

    fn zero(&self, offset: u64, len: u64) -> Result<()> {
        self.sink.zero_at(offset, len)?;
        self.zeros.fetch_add(len, Ordering::Relaxed);
        Ok(())
    }

    fn run_unordered(&self, workers: &Workers) -> Result<()> {
        let first_error = Mutex::new(None);
        let started = AtomicUsize::new(0);
        let work = || {
            if started.fetch_add(1, Ordering::Relaxed) >= self.sink.max_writers() {
                return;
            }
            // Also when this worker panics, the others have to stop.
            let stop_others = OnDrop(|| self.failed.store(true, Ordering::Relaxed));
            match self.work() {
                Ok(()) => std::mem::forget(stop_others),
                Err(error) => {
                    let mut first = first_error.lock().unwrap_or_else(PoisonError::into_inner);
                    first.get_or_insert(error);
                }
            }
        };
        workers.beside(work, || ());
        match first_error
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn work(&self) -> Result<()> {
        let mut buffer = Vec::new();
        while let Some((_, task)) = self.next_task()? {
            let unit = task.unit;
            match (unit, unit.place()) {
                (Unit::Zeros { offset, len }, _) => self.zero(offset, len)?,
                (Unit::Data { offset, len, .. }, Some(place)) if self.unseen => {
                    self.transfer(&mut buffer, place, offset, len)?;
                }
                (
                    Unit::Data {
                        offset, len, mixed, ..
                    },
                    place,
                ) => {
                    self.read(&mut buffer, offset, len)?;
                    self.write(&buffer, offset, mixed, place)?;
                }
            }
            self.was_read(&task);
            self.progress.advance(unit.len());
        }
        Ok(())
    }
}

/// Runs something when it goes out of scope, in whatever way.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[cfg(test)]
mod tests;

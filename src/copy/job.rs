//! The work on a copy that its threads share.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::options::CopyOptions;
use super::plan::{UNIT, Unit};
use super::queue::{Queue, Task};
use crate::disk::{Place, VirtualDisk};
use crate::error::{Error, Result};
use crate::observe::Progress;
use crate::sink::Sink;
use crate::util::bytes::{is_zero, to_usize};
use crate::util::sync::{StopOthers, into_inner, lock};
use crate::workers::Workers;

pub(super) struct Job<'a> {
    pub(super) disk: &'a dyn VirtualDisk,
    pub(super) sink: &'a dyn Sink,
    pub(super) options: CopyOptions<'a>,
    pub(super) progress: &'a dyn Progress,
    /// Whether no observer needs the bytes.
    pub(super) unseen: bool,
    /// The number of the next unit, and the units.
    pub(super) queue: Mutex<(u64, Queue<'a>)>,
    /// Set by the first worker that fails, so that the others stop.
    pub(super) failed: AtomicBool,
    pub(super) written: AtomicU64,
    pub(super) shared: AtomicU64,
    pub(super) zeros: AtomicU64,
    /// Bytes that were not in the page cache before.
    pub(super) brought_in: AtomicU64,
}

impl Job<'_> {
    /// The next unit and its number; `None` at the end, or when another worker failed.
    pub(super) fn next_task(&self) -> Result<Option<(u64, Task)>> {
        if self.options.stop.load(Ordering::Relaxed) {
            return Err(Error::stopped());
        }
        if self.failed.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut queue = lock(&self.queue);
        let (number, tasks) = &mut *queue;
        let task = tasks.next().transpose()?;
        *number += 1;
        Ok(task.map(|task| (*number - 1, task)))
    }

    /// A unit is done, as far as reading goes.
    pub(super) fn was_read(&self, task: &Task) {
        let before = self.brought_in.load(Ordering::Relaxed);
        let bytes = task.let_go(self.disk, before);
        self.brought_in.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Reads a unit; `place` is where all of it is stored. The disk need not look for it again
    /// where a kernel might take the bytes from there as well.
    pub(super) fn read(
        &self,
        buffer: &mut Vec<u8>,
        offset: u64,
        len: u64,
        place: Option<Place>,
    ) -> Result<()> {
        buffer.resize(to_usize(len), 0);
        let stored = place.and_then(|place| Some((place.shared(self.disk)?, place.host_offset)));
        match stored {
            Some((store, host_offset)) => store.read_at(buffer, host_offset),
            None => self.disk.read_at(buffer, offset),
        }
    }

    /// Gives a unit that was read to the sink; `place` is where all of it is stored.
    pub(super) fn write(
        &self,
        data: &[u8],
        offset: u64,
        mixed: bool,
        place: Option<Place>,
    ) -> Result<()> {
        let start = offset;
        let mut offset = offset;
        let place = |offset: u64| place.map(|place| place.after(offset - start));
        // Holes that were read for an observer's sake stay holes.
        let find_holes = mixed && self.sink.alignment() <= 1;
        if !self.options.find_zeros && !find_holes {
            return self.write_run(data, offset, false, place(offset));
        }
        // A sink with an alignment takes whole blocks of it or none.
        let block_size = match self.sink.alignment() {
            0 | 1 => ZERO_BLOCK,
            alignment => to_usize(alignment),
        };
        // The first block ends where the disk's blocks do, wherever the unit begins.
        let head = offset.next_multiple_of(block_size as u64) - offset;
        let head = to_usize(head).min(data.len());
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

    pub(super) fn write_run(
        &self,
        data: &[u8],
        offset: u64,
        zero: bool,
        place: Option<Place>,
    ) -> Result<()> {
        let len = data.len() as u64;
        if zero {
            return self.zero(offset, len);
        }
        // What was read need not be written where the blocks can be shared.
        let shared = match place {
            Some(place) => self.share(place, offset, len)?,
            None => 0,
        };
        let rest = data.get(to_usize(shared)..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        self.sink.write_at(rest, offset + shared)?;
        self.written.fetch_add(rest.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Lets the sink share as many bytes from the start of a run as it can.
    fn share(&self, place: Place, offset: u64, len: u64) -> Result<u64> {
        let Some(file) = place.file(self.disk) else {
            return Ok(0);
        };
        let host_range = place.host_offset..place.host_offset.saturating_add(len);
        let shared = self.sink.clone_range(file.file(), host_range, offset)?;
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
            let copied = match place.file(self.disk) {
                Some(file) => self.sink.copy_range(file.file(), host_range, offset)?,
                None => 0,
            };
            if copied > 0 {
                self.written.fetch_add(copied, Ordering::Relaxed);
                done += copied;
                continue;
            }
            // Neither way is open, or not here: reading says what is wrong, if something is.
            let piece = left.min(UNIT as u64);
            self.read(buffer, offset, piece, Some(place))?;
            self.sink.write_at(buffer, offset)?;
            self.written.fetch_add(piece, Ordering::Relaxed);
            done += piece;
        }
        Ok(())
    }

    pub(super) fn zero(&self, offset: u64, len: u64) -> Result<()> {
        self.sink.zero_at(offset, len)?;
        self.zeros.fetch_add(len, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn run_unordered(&self, workers: &Workers) -> Result<()> {
        let first_error = Mutex::new(None);
        let started = AtomicUsize::new(0);
        let work = || {
            if started.fetch_add(1, Ordering::Relaxed) >= self.sink.max_writers() {
                return;
            }
            // Also when this worker panics, the others have to stop.
            let stop_others = StopOthers::new(|| self.failed.store(true, Ordering::Relaxed));
            match self.work() {
                Ok(()) => stop_others.ended_well(),
                Err(error) => {
                    let mut first = lock(&first_error);
                    first.get_or_insert(error);
                }
            }
        };
        workers.beside(work, || ());
        match into_inner(first_error) {
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
                    self.read(&mut buffer, offset, len, place)?;
                    self.write(&buffer, offset, mixed, place)?;
                }
            }
            self.was_read(&task);
            self.progress.advance(unit.len());
        }
        Ok(())
    }
}

/// The zeros that [`CopyOptions::find_zeros`] looks for: blocks of 4 KiB, as file systems keep.
const ZERO_BLOCK: usize = 4096;

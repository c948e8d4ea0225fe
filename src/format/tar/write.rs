//! Writes an archive: files are read and bytes compressed on all threads, and land in order, or
//! where they belong in a file.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use flate2::Crc;

use super::compress::{Codec, header, trailer};
use super::lost::Zeroed;
use super::options::TarCompression;
use super::plan::TarPlan;
use super::summary::TarWritten;
use super::units::{Cutter, Unit};
use super::walk::Unreadable;
use crate::error::{Error, Result};
use crate::observe::Progress;
use crate::sink::Sink;
use crate::util::bytes::to_u64;
use crate::util::sync::lock;
use crate::workers::{UnderWay, Workers};

/// What an archive is written with.
#[derive(Clone, Copy)]
pub struct TarJob<'a> {
    /// The threads.
    pub workers: &'a Workers,
    /// Set from outside to stop.
    pub stop: &'a AtomicBool,
    /// Sees how far it has come, in bytes of the archive before it is compressed.
    pub progress: &'a dyn Progress,
}

/// The bytes of a unit that is written as it is: as a copy of a disk has them.
pub(super) const PLAIN_UNIT: usize = 256 << 10;
/// The bytes of a unit that is compressed. It is part of what the file looks like, and must not
/// depend on the machine. Each unit begins with empty tables: half as large, the same files take a
/// hundredth more bytes and a tenth more time; twice as large, they gain little.
const PACKED_UNIT: usize = 1 << 20;
/// The most bytes in all buffers of an archive that is not compressed.
const MOST_PLAIN: usize = 24 << 20;
/// The most threads that compress: each has memory for its buffers and its compressor.
const MOST_PACKERS: usize = 12;
/// Units that are on the way to those who read them. Their headers are in memory.
const AHEAD: usize = 4;

impl TarPlan {
    /// Writes the archive into `sink`, which is still to be finished; `see` gets the bytes of the
    /// file in their order.
    ///
    /// # Errors
    ///
    /// The first error of the files or the sink, [`ErrorKind::Stopped`](crate::ErrorKind::Stopped)
    /// where that was asked for, [`ErrorKind::Changed`](crate::ErrorKind::Changed) where the tree
    /// is another one than it was when this was planned.
    pub fn write(
        &self,
        sink: &dyn Sink,
        job: TarJob<'_>,
        see: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<TarWritten> {
        let zeroed = Zeroed::default();
        let of_losses = (self.unreadable == Unreadable::LeaveOut).then_some(&zeroed);
        let bytes = match self.options.compression {
            None => self.write_plain(sink, job, of_losses, see)?,
            Some(compression) => self.write_packed(compression, sink, job, of_losses, see)?,
        };
        let (zeroed, more_zeroed) = zeroed.finish();
        Ok(TarWritten {
            bytes,
            zeroed,
            more_zeroed,
        })
    }

    fn write_plain(
        &self,
        sink: &dyn Sink,
        job: TarJob<'_>,
        zeroed: Option<&Zeroed>,
        see: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<u64> {
        let ordered = sink.needs_order();
        let start = || {
            Ok(|unit: &mut Unit<'_>, mut buffer: Vec<u8>| {
                unit.read(&mut buffer, zeroed)?;
                if !ordered {
                    sink.write_at(&buffer, unit.offset)?;
                }
                Ok((unit.offset, buffer))
            })
        };
        self.in_order(
            PLAIN_UNIT,
            job,
            plain_under_way(job.workers),
            start,
            |(offset, buffer): (u64, Vec<u8>)| {
                if ordered {
                    sink.write_at(&buffer, offset)?;
                }
                see(&buffer);
                job.progress.advance(to_u64(buffer.len()));
                Ok(buffer)
            },
        )?;
        Ok(self.size)
    }

    fn write_packed(
        &self,
        compression: TarCompression,
        sink: &dyn Sink,
        job: TarJob<'_>,
        zeroed: Option<&Zeroed>,
        see: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<u64> {
        let mut written = 0;
        let mut put = |bytes: &[u8]| -> Result<()> {
            sink.write_at(bytes, written)?;
            written += to_u64(bytes.len());
            see(bytes);
            Ok(())
        };
        put(header(compression))?;
        let start = || {
            let mut codec = Codec::new(compression)?;
            Ok(move |unit: &mut Unit<'_>, mut buffer: Packed| {
                unit.read(&mut buffer.plain, zeroed)?;
                codec.pack(&buffer.plain, &mut buffer.packed)?;
                buffer.crc.reset();
                if compression == TarCompression::Gzip {
                    buffer.crc.update(&buffer.plain);
                }
                Ok(buffer)
            })
        };
        let mut crc = Crc::new();
        let under_way = packed_under_way(job.workers);
        self.in_order(PACKED_UNIT, job, under_way, start, |buffer: Packed| {
            put(&buffer.packed)?;
            crc.combine(&buffer.crc);
            job.progress.advance(to_u64(buffer.plain.len()));
            Ok(buffer)
        })?;
        put(&trailer(compression, &crc))?;
        Ok(written)
    }

    /// Walks over the files, cuts the archive into units, lets all threads do what `start` gives
    /// them to each of them, and gives that to `consume` in the order of the archive.
    pub(super) fn in_order<B, T, W>(
        &self,
        unit: usize,
        job: TarJob<'_>,
        under_way: UnderWay,
        start: impl Fn() -> Result<W> + Sync,
        consume: impl FnMut(T) -> Result<B>,
    ) -> Result<()>
    where
        B: Default + Send,
        T: Send,
        W: FnMut(&mut Unit<'_>, B) -> Result<T>,
    {
        let (units, ready) = sync_channel(AHEAD);
        let cutter = Cutter::new(unit, self.size, units);
        let ready = Mutex::new(ready);
        let (walked, worked) = self.walk(job.stop).run(cutter, move || {
            let start = || {
                let mut work = start()?;
                let ready = &ready;
                Ok(move |buffer| {
                    let Some(mut unit) = next_unit(ready, job.stop)? else {
                        return Ok(None);
                    };
                    let done = work(&mut unit, buffer)?;
                    Ok(Some((unit.number, done)))
                })
            };
            // The end of this takes units with it that are left, and that ends the walk.
            job.workers.in_order(under_way, start, consume)
        });
        worked?;
        walked.map(|_| ())
    }
}

fn next_unit<'t>(ready: &Mutex<Receiver<Unit<'t>>>, stop: &AtomicBool) -> Result<Option<Unit<'t>>> {
    if stop.load(Ordering::Relaxed) {
        return Err(Error::stopped());
    }
    // Without a sender the walk has ended, and says itself how.
    Ok(lock(ready).recv().ok())
}

/// A buffer for a unit that is compressed.
#[derive(Debug, Default)]
pub(super) struct Packed {
    plain: Vec<u8>,
    packed: Vec<u8>,
    crc: Crc,
}

pub(super) fn plain_under_way(workers: &Workers) -> UnderWay {
    let most = MOST_PLAIN / PLAIN_UNIT;
    let threads = workers.threads().min(most);
    UnderWay {
        threads,
        buffers: (threads * 4).min(most),
    }
}

fn packed_under_way(workers: &Workers) -> UnderWay {
    let threads = workers.threads().min(MOST_PACKERS);
    UnderWay {
        threads,
        buffers: threads + threads.div_ceil(2),
    }
}

//! Reads in parallel and lets one consumer see everything in the order of the disk: a sink that
//! needs it, or an observer.

use super::job::Job;
use super::plan::{UNIT, Unit};
use crate::error::Result;
use crate::observe::{Observer, PieceDigest};
use crate::util::bytes::to_usize;
use crate::workers::{UnderWay, Workers};

/// Buffers for each worker: one being filled, and some waiting for their turn.
const BUFFERS_PER_WORKER: usize = 4;
/// The most bytes in all buffers.
const MAX_BYTES: usize = 32 << 20;

/// A unit that was read.
struct Ready {
    unit: Unit,
    /// Its bytes, where it is data.
    buffer: Vec<u8>,
    /// The observer's digest of them.
    digest: Vec<u8>,
}

/// `alignment` is that of the plan: a unit has at most so many bytes, or [`UNIT`].
pub(super) fn run(
    job: &Job<'_>,
    workers: &Workers,
    mut observer: Option<&mut dyn Observer>,
    alignment: u64,
) -> Result<()> {
    let unit = to_usize(alignment).max(UNIT);
    let most = (MAX_BYTES / unit).max(1);
    // Every worker that takes part needs a buffer of its own, or none would move.
    let threads = workers
        .threads()
        .min(job.sink.max_writers())
        .min(most)
        .max(1);
    let under_way = UnderWay {
        threads,
        buffers: (threads * BUFFERS_PER_WORKER).min(most).max(threads),
    };
    let piece_digest = observer
        .as_ref()
        .and_then(|observer| observer.piece_digest());
    let start = || Ok(|buffer| read_unit(job, buffer, piece_digest));
    workers.in_order(under_way, start, |ready| consume(job, ready, &mut observer))
}

/// Reads the next unit, and writes it too where the sink does not need order.
fn read_unit(
    job: &Job<'_>,
    mut buffer: Vec<u8>,
    piece_digest: Option<PieceDigest>,
) -> Result<Option<(u64, Ready)>> {
    let Some((number, task)) = job.next_task()? else {
        return Ok(None);
    };
    let unit = task.unit;
    let mut digest = Vec::new();
    match unit {
        Unit::Data {
            offset, len, mixed, ..
        } => {
            job.read(&mut buffer, offset, len, unit.place())?;
            if let Some(piece_digest) = piece_digest {
                digest = piece_digest(&buffer);
            }
            if !job.sink.needs_order() {
                job.write(&buffer, offset, mixed, unit.place())?;
            }
            job.was_read(&task);
        }
        Unit::Zeros { offset, len } if !job.sink.needs_order() => job.zero(offset, len)?,
        Unit::Zeros { .. } => {}
    }
    let ready = Ready {
        unit,
        buffer,
        digest,
    };
    Ok(Some((number, ready)))
}

/// Gives a unit to what needs order, and its buffer back.
fn consume(
    job: &Job<'_>,
    ready: Ready,
    observer: &mut Option<&mut dyn Observer>,
) -> Result<Vec<u8>> {
    let Ready {
        unit,
        buffer,
        digest,
    } = ready;
    if job.sink.needs_order() {
        match unit {
            Unit::Zeros { offset, len } => job.zero(offset, len)?,
            Unit::Data { offset, .. } => job.write_run(&buffer, offset, false, None)?,
        }
    }
    if let Some(observer) = observer {
        match unit {
            Unit::Zeros { len, .. } => observer.zeros(len),
            Unit::Data { .. } => observer.data(&buffer, &digest),
        }
    }
    job.progress.advance(unit.len());
    Ok(buffer)
}

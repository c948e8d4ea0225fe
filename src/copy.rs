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
//! use ploopconv::ploop::{IfInUse, OpenOptions, examine};
//! use ploopconv::sink::{
//!     Durability, FileSink, FileSinkOptions, IfExists, Partials, Reflink, Sink,
//! };
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let target = &dir.path().join("disk.raw");
//! let examined = examine("fixtures/101".as_ref(), &OpenOptions::default())?;
//! let disk = examined.into_disk(IfInUse::Refuse)?;
//! let how = FileSinkOptions {
//!     if_exists: IfExists::Refuse,
//!     allocate: false,
//!     durability: Durability::Synced,
//!     reflink: Reflink::Auto,
//! };
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

mod job;
mod options;
mod order;
mod ordered;
mod plan;
mod queue;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64};

pub use self::options::{Chosen, CopyOptions, Summary};

use self::job::Job;
use self::plan::Plan;
use self::queue::Queue;
use crate::disk::VirtualDisk;
use crate::error::Result;
use crate::observe::{Observer, Progress};
use crate::sink::{ExistingSink, Sink};
use crate::util::sync::into_inner;
use crate::workers::Workers;

/// Copies the whole disk, and makes sure that it did not change meanwhile. The sink is still to
/// be finished. An observer sees all of it.
///
/// Memory is bounded by the number of threads and the sink's alignment, whatever the disk's size
/// and cluster size.
///
/// # Errors
///
/// The first error of the disk or the sink, [`ErrorKind::Stopped`](crate::ErrorKind::Stopped) where
/// `stop` was set, [`ErrorKind::Changed`](crate::ErrorKind::Changed) where the source changed.
pub fn copy(
    disk: &dyn VirtualDisk,
    sink: &dyn Sink,
    workers: &Workers,
    options: CopyOptions<'_>,
    progress: &dyn Progress,
    observer: Option<&mut dyn Observer>,
) -> Result<Summary> {
    let all = std::iter::once(0..disk.size()).collect();
    copy_in(disk, all, sink, workers, options, progress, observer)
}

/// Copies parts of the disk, in bytes, into a target that has the others already; what lies between
/// them is not touched. Parts are widened to the sink's alignment. See [`copy`].
///
/// # Errors
///
/// As [`copy`].
pub fn copy_ranges(
    disk: &dyn VirtualDisk,
    ranges: &[Range<u64>],
    sink: &dyn ExistingSink,
    workers: &Workers,
    options: CopyOptions<'_>,
    progress: &dyn Progress,
) -> Result<Summary> {
    let ranges = widened(ranges, sink.alignment().max(1), disk.size());
    copy_in(disk, ranges, sink, workers, options, progress, None)
}

/// Ranges in order that begin and end at multiples of `alignment` or with the disk, and do not
/// touch.
fn widened(ranges: &[Range<u64>], alignment: u64, size: u64) -> VecDeque<Range<u64>> {
    let mut wide: Vec<_> = ranges
        .iter()
        .filter(|range| range.start < range.end.min(size))
        .map(|range| {
            let end = range.end.checked_next_multiple_of(alignment);
            range.start - range.start % alignment..end.unwrap_or(size).min(size)
        })
        .collect();
    wide.sort_unstable_by_key(|range| range.start);
    let mut joined: VecDeque<Range<u64>> = VecDeque::new();
    for range in wide {
        match joined.back_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push_back(range),
        }
    }
    joined
}

fn copy_in(
    disk: &dyn VirtualDisk,
    ranges: VecDeque<Range<u64>>,
    sink: &dyn Sink,
    workers: &Workers,
    options: CopyOptions<'_>,
    progress: &dyn Progress,
    observer: Option<&mut dyn Observer>,
) -> Result<Summary> {
    let alignment = observer.as_ref().map_or(1, |observer| observer.alignment());
    let alignment = alignment.max(sink.alignment());
    let ordered = sink.needs_order() || observer.is_some();
    let unseen = !ordered && !options.find_zeros && sink.shortest_transfer().is_some();
    let plan = Plan::new(disk, ranges, sink, alignment, unseen);
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
        ordered::run(&job, workers, observer, alignment)?;
    } else {
        job.run_unordered(workers)?;
    }
    disk.check_unchanged()?;
    Ok(Summary {
        written: job.written.into_inner(),
        shared: job.shared.into_inner(),
        zeros: job.zeros.into_inner(),
        chosen: into_inner(job.queue).1.chosen(),
    })
}

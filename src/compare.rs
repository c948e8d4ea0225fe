//! Finds out whether two disks hold the same bytes.
//!
//! Both are walked together. What neither of them stores is skipped; what one of them stores is
//! read and has to be zeros; what both store is read and compared. All of that is done in
//! parallel, and the difference in the report is the lowest one all the same: units are given out
//! in the order of the disk, and those below a difference (or an error) are always finished.
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//! use ploopconv::Workers;
//! use ploopconv::compare::compare;
//! use ploopconv::ploop::{IfInUse, OpenOptions, examine};
//!
//! let open = |snapshot: Option<&str>| {
//!     let snapshot = snapshot.map(|guid| guid.parse().expect("a GUID"));
//!     let options = OpenOptions { snapshot, ..OpenOptions::default() };
//!     examine("fixtures/101".as_ref(), &options)?.into_disk(IfInUse::Refuse)
//! };
//! let now = open(None)?;
//! let before = open(Some("{10101012-5151-4222-8333-444444444444}"))?;
//! let found = compare(&now, &before, &Workers::new(2)?, &AtomicBool::new(false), &())?;
//! assert_eq!(found.first_difference, Some(33804)); // in the superblock of partition 1
//! # Ok::<(), ploopconv::Error>(())
//! ```

mod plan;
#[cfg(test)]
mod tests;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use self::plan::{Plan, Unit};
use crate::disk::VirtualDisk;
use crate::error::{Error, Result};
use crate::observe::Progress;
use crate::util::bytes::{is_zero, to_usize};
use crate::util::sync::{StopOthers, into_inner, lock};
use crate::workers::Workers;

/// What became of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison {
    /// The lowest offset in bytes at which the disks differ. Past its end, a disk counts as
    /// zeros; whether the sizes are the same is for the caller to judge.
    pub first_difference: Option<u64>,
    /// Bytes that were read from one disk or both; with a difference, those in front of it.
    pub compared: u64,
    /// Bytes that both disks store nowhere; with a difference, those in front of it.
    pub skipped: u64,
}

/// Compares two disks, and makes sure that neither changed meanwhile.
///
/// Memory is bounded by the number of threads (256 KiB each), whatever the disks' sizes.
///
/// # Errors
///
/// The first error of either disk, [`ErrorKind::Stopped`](crate::ErrorKind::Stopped) where `stop`
/// was set, [`ErrorKind::Changed`](crate::ErrorKind::Changed) where a disk changed. An error after
/// the first difference is none.
pub fn compare(
    a: &dyn VirtualDisk,
    b: &dyn VirtualDisk,
    workers: &Workers,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<Comparison> {
    let job = Job {
        a,
        b,
        stop,
        progress,
        plan: Mutex::new(Plan::new(a, b)),
        first: AtomicU64::new(NOWHERE),
        failed: AtomicBool::new(false),
    };
    job.run(workers)?;
    a.check_unchanged()?;
    b.check_unchanged()?;
    let first = job.first.into_inner();
    let plan = into_inner(job.plan);
    let (compared, skipped) = if first == NOWHERE {
        plan.given_out()
    } else {
        // Threads may have gone farther; the report does not depend on that.
        count(Plan::new(a, b), first)?
    };
    Ok(Comparison {
        first_difference: (first != NOWHERE).then_some(first),
        compared,
        skipped,
    })
}

/// The bytes in front of `end` that are stored, and those that are not.
fn count(units: Plan<'_>, end: u64) -> Result<(u64, u64)> {
    let (mut stored, mut holes) = (0, 0);
    for unit in units {
        let unit = unit?;
        match end.saturating_sub(unit.offset).min(unit.len) {
            0 => break,
            len if unit.is_stored() => stored += len,
            len => holes += len,
        }
    }
    Ok((stored, holes))
}

/// The most bytes that are read at once from each disk.
const PIECE: u64 = 128 << 10;

/// Past every disk.
const NOWHERE: u64 = u64::MAX;

/// An error, and the offset in the disks that it is about.
type ErrorAt = (u64, Error);

struct Job<'a> {
    a: &'a dyn VirtualDisk,
    b: &'a dyn VirtualDisk,
    stop: &'a AtomicBool,
    progress: &'a dyn Progress,
    plan: Mutex<Plan<'a>>,
    /// The lowest difference found so far.
    first: AtomicU64,
    /// Set by the first worker that fails, so that the others stop.
    failed: AtomicBool,
}

impl Job<'_> {
    fn run(&self, workers: &Workers) -> Result<()> {
        let lowest: Mutex<Option<ErrorAt>> = Mutex::new(None);
        let work = || {
            // Also when this worker panics, the others have to stop.
            let stop_others = StopOthers::new(|| self.failed.store(true, Ordering::Relaxed));
            match self.work() {
                Ok(()) => stop_others.ended_well(),
                Err((offset, error)) => {
                    let mut lowest = lock(&lowest);
                    if lowest.as_ref().is_none_or(|(other, _)| offset < *other) {
                        *lowest = Some((offset, error));
                    }
                }
            }
        };
        workers.beside(work, || ());
        match into_inner(lowest) {
            Some((offset, error)) if offset <= self.first.load(Ordering::Relaxed) => Err(error),
            _ => Ok(()),
        }
    }

    /// Compares units until there are no more.
    fn work(&self) -> std::result::Result<(), ErrorAt> {
        let (mut from_a, mut from_b) = (Vec::new(), Vec::new());
        while let Some(unit) = self.next_unit()? {
            for piece in unit.pieces(PIECE) {
                self.check_stop()?;
                let difference = self
                    .differ(piece, &mut from_a, &mut from_b)
                    .map_err(|error| (piece.offset, error))?;
                if let Some(at) = difference {
                    let offset = piece.offset.saturating_add(at as u64);
                    self.first.fetch_min(offset, Ordering::Relaxed);
                    break;
                }
                self.progress.advance(piece.len);
            }
        }
        Ok(())
    }

    fn check_stop(&self) -> std::result::Result<(), ErrorAt> {
        if self.stop.load(Ordering::Relaxed) {
            return Err((0, Error::stopped()));
        }
        Ok(())
    }

    /// The next unit; `None` at the end, or when nothing that follows matters.
    fn next_unit(&self) -> std::result::Result<Option<Unit>, ErrorAt> {
        self.check_stop()?;
        if self.failed.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut plan = lock(&self.plan);
        let at = plan.at();
        let unit = plan.next().transpose().map_err(|error| (at, error))?;
        Ok(unit.filter(|unit| unit.offset < self.first.load(Ordering::Relaxed)))
    }

    /// Where in a piece of a unit the disks differ first.
    fn differ(&self, unit: Unit, a: &mut Vec<u8>, b: &mut Vec<u8>) -> Result<Option<usize>> {
        let read = |disk: &dyn VirtualDisk, into: &mut Vec<u8>| {
            into.resize(to_usize(unit.len), 0);
            disk.read_at(into, unit.offset)
        };
        let nonzero = |bytes: &[u8]| match is_zero(bytes) {
            true => None,
            false => bytes.iter().position(|&byte| byte != 0),
        };
        match (unit.in_a, unit.in_b) {
            (false, false) => Ok(None),
            (true, false) => read(self.a, a).map(|()| nonzero(a)),
            (false, true) => read(self.b, b).map(|()| nonzero(b)),
            (true, true) => {
                read(self.a, a)?;
                read(self.b, b)?;
                if a == b {
                    return Ok(None);
                }
                Ok(a.iter().zip(b.iter()).position(|(a, b)| a != b))
            }
        }
    }
}

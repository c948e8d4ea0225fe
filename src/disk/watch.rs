//! Whether what a disk is read from may still be read.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::virtual_disk::VirtualDisk;
use crate::error::{Error, Result};
use crate::util::bytes::saturating_u64;
use crate::util::sync::lock;

/// How often a file of the source is looked at for changes, at most.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Looks at the files of a disk that others read, now and then. What has changed once stays unfit.
#[derive(Debug)]
pub(crate) struct Watch {
    opened: Instant,
    /// When the source is looked at again, in milliseconds after `opened`.
    look_again: AtomicU64,
    /// Set once nothing may be read any more.
    spoiled: AtomicBool,
    /// Why, until somebody takes it.
    fault: Mutex<Option<Error>>,
}

impl Watch {
    /// Begins now, with a disk that may be read.
    pub(crate) fn new() -> Self {
        Self {
            opened: Instant::now(),
            look_again: AtomicU64::new(0),
            spoiled: AtomicBool::new(false),
            fault: Mutex::default(),
        }
    }

    /// Whether the source was found changed.
    pub(crate) fn is_spoiled(&self) -> bool {
        self.spoiled.load(Ordering::SeqCst)
    }

    /// Whether the disk may still be read: looks at its files, but not more often than once a
    /// second. `tell` hears of a change, once.
    pub(crate) fn is_fit(&self, disk: &dyn VirtualDisk, tell: impl FnOnce(&Error)) -> bool {
        let now = saturating_u64(self.opened.elapsed().as_millis());
        let due = self.look_again.load(Ordering::Relaxed);
        let wait = saturating_u64(LOOK_AGAIN.as_millis());
        let mine = now >= due
            && self
                .look_again
                .compare_exchange(
                    due,
                    now.saturating_add(wait),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok();
        if mine {
            self.look(disk, tell);
        }
        !self.is_spoiled()
    }

    /// Looks at the disk's files now.
    pub(crate) fn look(&self, disk: &dyn VirtualDisk, tell: impl FnOnce(&Error)) {
        let Err(error) = disk.check_unchanged() else {
            return;
        };
        let mut fault = lock(&self.fault);
        if !self.spoiled.swap(true, Ordering::SeqCst) {
            tell(&error);
            *fault = Some(error);
        }
    }

    /// The change that was found; the error is given once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Changed`](crate::ErrorKind::Changed) where there was one.
    pub(crate) fn outcome(&self) -> Result<()> {
        lock(&self.fault).take().map_or(Ok(()), Err)
    }
}

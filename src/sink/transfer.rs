//! Bytes that go from file to file and not through the program.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::copy_file_range;

use super::error::TargetError;
use super::full::refusal;
use crate::error::Result;
use crate::sys;
use crate::util::bytes::to_usize;

/// Whether a target shares blocks of the disk with the files it is made from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reflink {
    /// Where the file system can; else bytes are copied.
    #[default]
    Auto,
    /// It is an error where it cannot.
    Always,
    /// Never.
    Never,
}

/// Blocks of file systems that share: nothing smaller can be shared.
const BLOCK: u64 = 4096;
/// What is shorter and cannot be shared is read and written together with what lies beside it.
const SHORTEST_COPY: u64 = 64 << 10;

/// The ways between files, and which of them proved to be closed.
#[derive(Debug)]
pub struct Transfer {
    reflink: Reflink,
    has_shared: AtomicBool,
    cannot_share: AtomicBool,
    cannot_copy: AtomicBool,
}

impl Transfer {
    /// All ways are open, as far as `reflink` wants them.
    #[must_use]
    pub fn new(reflink: Reflink) -> Self {
        Self {
            reflink,
            has_shared: AtomicBool::new(false),
            cannot_share: AtomicBool::new(reflink == Reflink::Never),
            cannot_copy: AtomicBool::new(reflink == Reflink::Never),
        }
    }

    /// See [`Sink::shortest_transfer`](super::Sink::shortest_transfer).
    #[must_use]
    pub fn shortest(&self) -> Option<u64> {
        match self.reflink {
            Reflink::Auto if self.cannot_share.load(Ordering::Relaxed) => Some(SHORTEST_COPY),
            Reflink::Auto => Some(BLOCK),
            Reflink::Always => Some(1),
            Reflink::Never => None,
        }
    }

    /// See [`Sink::has_shared`](super::Sink::has_shared).
    #[must_use]
    pub fn has_shared(&self) -> bool {
        // Some layers may lie on another file system than the one that shared.
        self.has_shared.load(Ordering::Relaxed) && !self.cannot_share.load(Ordering::Relaxed)
    }

    /// See [`Sink::clone_range`](super::Sink::clone_range). Messages call the target `name`. A last
    /// part of a block is never shared.
    ///
    /// # Errors
    ///
    /// As [`Sink::clone_range`](super::Sink::clone_range).
    pub fn share(
        &self,
        (target, name): (&File, &Path),
        source: &File,
        host_range: Range<u64>,
        offset: u64,
    ) -> Result<u64> {
        if self.cannot_share.load(Ordering::Relaxed) {
            return Ok(0);
        }
        let len = host_range.end - host_range.start;
        let whole = len - len % BLOCK;
        if whole == 0 {
            return Ok(0);
        }
        let refused = |source| {
            Err(TargetError::CannotShare {
                path: name.to_owned(),
                offset,
                source,
            }
            .into())
        };
        let always = self.reflink == Reflink::Always;
        if !offset.is_multiple_of(BLOCK) || !host_range.start.is_multiple_of(BLOCK) {
            return if always {
                refused(io::Error::other("the clusters do not lie on whole blocks"))
            } else {
                Ok(0)
            };
        }
        let Err(error) = sys::clone_range(source, host_range.start, whole, target, offset) else {
            self.has_shared.store(true, Ordering::Relaxed);
            return Ok(whole);
        };
        match errno(&error) {
            Some(Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG) => {
                Err(refusal("writing", name, Some(offset), error))
            }
            _ if always => refused(error),
            // Not this range: it ends where the file does, or its blocks are larger.
            Some(Errno::EINVAL | Errno::EIO | Errno::EINTR | Errno::EAGAIN) => Ok(0),
            _ => {
                self.cannot_share.store(true, Ordering::Relaxed);
                Ok(0)
            }
        }
    }

    /// See [`Sink::copy_range`](super::Sink::copy_range).
    ///
    /// # Errors
    ///
    /// As [`Sink::copy_range`](super::Sink::copy_range).
    pub fn copy(
        &self,
        (target, name): (&File, &Path),
        source: &File,
        host_range: Range<u64>,
        offset: u64,
    ) -> Result<u64> {
        if self.cannot_copy.load(Ordering::Relaxed) {
            return Ok(0);
        }
        let len = to_usize(host_range.end - host_range.start);
        let (Ok(mut from), Ok(mut to)) = (i64::try_from(host_range.start), i64::try_from(offset))
        else {
            return Ok(0);
        };
        match copy_file_range(source, Some(&mut from), target, Some(&mut to), len) {
            // 0 where the source ends: a read of it reports that.
            Ok(copied) => Ok(copied as u64),
            Err(error @ (Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG)) => {
                Err(refusal("writing", name, Some(offset), error.into()))
            }
            // What is wrong with the source shows when it is read.
            Err(Errno::EIO | Errno::EINTR | Errno::EAGAIN) => Ok(0),
            Err(_) => {
                self.cannot_copy.store(true, Ordering::Relaxed);
                Ok(0)
            }
        }
    }
}

fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}

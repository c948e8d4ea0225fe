//! Ends a server from another thread.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// Ends a server from another thread.
#[derive(Debug)]
pub struct Stop {
    set: AtomicBool,
    /// A byte in it wakes the server.
    bell: (UnixStream, UnixStream),
}

impl Stop {
    /// Not set yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where the system gives no pair of sockets.
    pub fn new() -> Result<Self> {
        let pair = || {
            let bell = UnixStream::pair()?;
            bell.0.set_nonblocking(true)?;
            bell.1.set_nonblocking(true)?;
            Ok(bell)
        };
        let failed = |error| Error::io("making", Path::new("a pair of sockets"), error);
        Ok(Self {
            set: AtomicBool::new(false),
            bell: pair().map_err(failed)?,
        })
    }

    /// Tells the server to stop.
    pub fn stop(&self) {
        self.set.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// Whether the server was told to stop.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.set.load(Ordering::SeqCst)
    }

    /// What [`Service::stop`](super::Service::stop) wants.
    #[must_use]
    pub fn flag(&self) -> &AtomicBool {
        &self.set
    }

    pub(super) fn ring(&self) {
        // A bell that is full has been rung.
        let _ = (&self.bell.0).write(&[0]);
    }

    pub(super) fn silence(&self) {
        let mut bytes = [0; 64];
        while (&self.bell.1)
            .read(&mut bytes)
            .is_ok_and(|read| read == bytes.len())
        {}
    }
}

impl AsFd for Stop {
    /// Readable once the server was told to stop, and at other times.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.1.as_fd()
    }
}

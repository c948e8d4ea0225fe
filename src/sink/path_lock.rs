//! A file or a folder that one process at a time writes to.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::error::{Error, Result};

/// Keeps others who ask for it (flock(2)) out of a file or a folder for as long as it lives.
/// Nothing is written.
#[derive(Debug)]
pub struct PathLock {
    open: Open,
}

#[derive(Debug)]
enum Open {
    Locked(Flock<File>),
    /// The file system has no locks.
    Plain(File),
}

impl PathLock {
    /// Takes it; `None` where another one has it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where `path` cannot be opened for reading.
    pub fn take(path: &Path) -> Result<Option<Self>> {
        let open = File::open(path).map_err(|error| Error::io("opening", path, error))?;
        let open = match Flock::lock(open, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Open::Locked(lock),
            Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
            Err((open, _)) => Open::Plain(open),
        };
        Ok(Some(Self { open }))
    }

    /// Whether `path` still names what was locked.
    #[must_use]
    pub fn is_at(&self, path: &Path) -> bool {
        let open: &File = match &self.open {
            Open::Locked(lock) => lock,
            Open::Plain(open) => open,
        };
        match (open.metadata(), std::fs::metadata(path)) {
            (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
            _ => false,
        }
    }
}

//! A folder that one process at a time writes to.

use std::fs::File;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::error::{Error, Result};

/// Keeps others who ask for it out of a folder for as long as it lives. Nothing is written.
#[derive(Debug)]
pub struct FolderLock {
    /// Nothing where the file system has no locks.
    _lock: Option<Flock<File>>,
}

impl FolderLock {
    /// Takes it; `None` where another one has it.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be opened.
    pub fn take(folder: &Path) -> Result<Option<Self>> {
        let open = File::open(folder).map_err(|error| Error::io("opening", folder, error))?;
        match Flock::lock(open, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(Self { _lock: Some(lock) })),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err(_) => Ok(Some(Self { _lock: None })),
        }
    }
}

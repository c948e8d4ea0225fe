//! A new file that shares its blocks with an older one, and takes its place at the end.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::decisions::{Durability, IfExists};
use super::error::TargetError;
use super::existing::ExistingFile;
use super::partial::PartialFile;
use super::partials::Partials;
use super::{ExistingSink, Sink};
use crate::error::{Error, Result};
use crate::sys;

/// A file under a temporary name that begins as a clone of its target, and replaces it when it is
/// finished. Dropped earlier it is gone, and the target is what it was.
#[derive(Debug)]
pub struct ClonedFile {
    partial: PartialFile,
    file: ExistingFile,
    durability: Durability,
}

impl ClonedFile {
    /// Makes a clone of `target` that is `size` bytes long.
    ///
    /// # Errors
    ///
    /// [`TargetError::CannotShare`] where the file system shares no blocks of the target; as
    /// [`PartialFile::create`].
    pub fn create(
        target: &Path,
        size: u64,
        durability: Durability,
        partials: &Arc<Partials>,
    ) -> Result<Self> {
        let old = File::open(target).map_err(|error| Error::io("opening", target, error))?;
        let meta = old.metadata();
        let len = meta.map_err(|error| Error::io("looking at", target, error))?;
        let partial = PartialFile::create(target, IfExists::Replace, partials)?;
        sys::clone_range(&old, 0, len.len(), partial.file(), 0).map_err(|source| {
            TargetError::CannotShare {
                path: target.to_owned(),
                offset: 0,
                source,
            }
        })?;
        let file = partial.file().try_clone();
        let file = file.map_err(|error| Error::io("opening", partial.path(), error))?;
        let file = ExistingFile::over(file, partial.target(), durability);
        file.set_size(size)?;
        Ok(Self {
            partial,
            file,
            durability,
        })
    }
}

impl ExistingSink for ClonedFile {}

impl Sink for ClonedFile {
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()> {
        self.file.write_at(data, offset)
    }

    fn zero_at(&self, offset: u64, len: u64) -> Result<()> {
        self.file.zero_at(offset, len)
    }

    fn complete(&self) -> Result<()> {
        self.file.complete()
    }

    fn readable_at(&self) -> Option<&Path> {
        Some(self.partial.path())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.partial.finish(self.durability)
    }
}

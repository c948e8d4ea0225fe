//! A file that holds a disk already, and is changed in place.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

use super::decisions::Durability;
use super::error::TargetError;
use super::full::refusal;
use super::writeback::Writeback;
use super::{ExistingSink, Sink};
use crate::error::{Error, Result};
use crate::util::bytes::{saturating_i64, zero_pieces};

/// A regular file that is changed where it lies. Dropped before it is finished, it holds a mixture
/// of what it held and what it was given.
#[derive(Debug)]
pub struct ExistingFile {
    file: File,
    path: PathBuf,
    durability: Durability,
    writeback: Writeback,
}

impl ExistingFile {
    /// Opens a file for changing, and makes it `size` bytes long: what it grows by reads as zeros.
    ///
    /// # Errors
    ///
    /// [`TargetError::Kind`] where there is no regular file,
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) or [`TargetError::Full`] where it cannot be opened
    /// or take the size.
    pub fn open(path: &Path, size: u64, durability: Durability) -> Result<Self> {
        let file = Self::open_as_it_is(path, durability)?;
        file.set_size(size)?;
        Ok(file)
    }

    /// As [`ExistingFile::open`], and does not change the file yet.
    pub(super) fn open_as_it_is(path: &Path, durability: Durability) -> Result<Self> {
        let file = File::options().read(true).write(true).open(path);
        let file = file.map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::IsADirectory => not_a_file(path),
            _ => Error::io("opening", path, error),
        })?;
        let meta = file.metadata();
        let meta = meta.map_err(|error| Error::io("looking at", path, error))?;
        if !meta.is_file() {
            return Err(not_a_file(path));
        }
        Ok(Self::over(file, path, durability))
    }

    /// A file that is open already and is called `path`.
    pub(super) fn over(file: File, path: &Path, durability: Durability) -> Self {
        Self {
            file,
            path: path.to_owned(),
            durability,
            writeback: Writeback::new(durability),
        }
    }

    /// Makes it `size` bytes long.
    pub(super) fn set_size(&self, size: u64) -> Result<()> {
        let failed = |error| refusal("setting the size of", &self.path, None, error);
        self.file.set_len(size).map_err(failed)
    }

    fn failed(&self, doing: &'static str, offset: u64, error: std::io::Error) -> Error {
        refusal(doing, &self.path, Some(offset), error)
    }

    /// Lets what was written last, whatever the caller wants for the end.
    pub(super) fn sync(&self) -> Result<()> {
        let synced = self.file.sync_all();
        synced.map_err(|error| refusal("syncing", &self.path, None, error))
    }
}

fn not_a_file(path: &Path) -> Error {
    TargetError::Kind {
        path: path.to_owned(),
        why: "it is no file that could be changed",
    }
    .into()
}

impl ExistingSink for ExistingFile {}

impl Sink for ExistingFile {
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()> {
        self.file
            .write_all_at(data, offset)
            .map_err(|error| self.failed("writing", offset, error))?;
        let end = offset.saturating_add(data.len() as u64);
        self.writeback.wrote(&self.file, offset..end);
        Ok(())
    }

    fn zero_at(&self, offset: u64, len: u64) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let punched = fallocate(
            &self.file,
            flags,
            saturating_i64(offset),
            saturating_i64(len),
        );
        match punched {
            Ok(()) => {
                let end = offset.saturating_add(len);
                self.writeback.skipped(&self.file, offset..end);
                Ok(())
            }
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {
                zero_pieces(len).try_fold(offset, |at, zeros| {
                    let next = at.saturating_add(zeros.len() as u64);
                    self.write_at(zeros, at).map(|()| next)
                })?;
                Ok(())
            }
            Err(error) => Err(self.failed("zeroing", offset, error.into())),
        }
    }

    fn complete(&self) -> Result<()> {
        if self.durability == Durability::Unsynced {
            return Ok(());
        }
        self.sync()
    }

    fn readable_at(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.complete()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_replace_what_was_there_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.raw");
        let old = vec![0x55; 64 << 10];
        std::fs::write(&path, &old).unwrap();
        let size = 80 << 10;
        let sink = ExistingFile::open(&path, size, Durability::Synced).unwrap();
        sink.zero_at(100, 20_000).unwrap();
        sink.write_at(b"new", 50_000).unwrap();
        Box::new(sink).finish().unwrap();

        let mut expected = old;
        expected[100..20_100].fill(0);
        expected[50_000..50_003].copy_from_slice(b"new");
        expected.resize(80 << 10, 0);
        assert!(std::fs::read(&path).unwrap() == expected);
    }

    #[test]
    fn what_is_not_there_or_no_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().join("nothing"), dir.path().to_owned()] {
            let error = ExistingFile::open(&path, 1, Durability::Unsynced).unwrap_err();
            assert!(
                matches!(error.detail(), Some(TargetError::Kind { .. })),
                "{error}"
            );
            assert!(!dir.path().join("nothing").exists());
        }
    }
}

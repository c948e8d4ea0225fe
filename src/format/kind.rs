//! What every format can do.

use std::fmt::Debug;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::change::{FileBefore, FileChange};
use super::tar::TarOptions;
use crate::disk::VirtualDisk;
use crate::error::Result;
use crate::sink::{FileSinkOptions, Partials, Sink};
use crate::workers::Workers;

/// What a target holds, and what its file looks like.
#[derive(Debug, Clone)]
pub enum TargetFormat {
    /// A disk, in this format.
    Disk(Arc<dyn Format>),
    /// The files of a file system, as an archive.
    Files(TarOptions),
}

impl TargetFormat {
    /// The word for it, which is the extension of its files too.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Disk(format) => format.name(),
            Self::Files(_) => "tar",
        }
    }

    /// What decides the bytes of a file besides what it holds, as options are written.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Disk(format) => format.words(),
            Self::Files(_) => self.name().to_owned(),
        }
    }

    /// Whether it is written from its first byte to its last, so that it can go to a stream as
    /// well.
    #[must_use]
    pub fn may_stream(&self) -> bool {
        match self {
            Self::Disk(format) => format.is_plain(),
            Self::Files(_) => true,
        }
    }

    /// Whether a file may become smaller than its plan says: compressed data.
    #[must_use]
    pub fn may_shrink(&self) -> bool {
        match self {
            Self::Disk(format) => format.may_shrink(),
            Self::Files(options) => options.compression.is_some(),
        }
    }
}

impl<F: Format + 'static> From<F> for TargetFormat {
    fn from(format: F) -> Self {
        Self::Disk(Arc::new(format))
    }
}

/// What a target's file can look like that holds a disk.
pub trait Format: Debug + Send + Sync {
    /// The word for it, which is the extension of its files too.
    fn name(&self) -> &'static str;

    /// Whether the file is the disk's bytes, from the first to the last: then it can go to a device
    /// or a stream as well.
    fn is_plain(&self) -> bool {
        false
    }

    /// Whether a file may become smaller than its plan says: compressed data.
    fn may_shrink(&self) -> bool {
        false
    }

    /// How many bytes a buffer of one image takes, so that several can be written at a time; `None`
    /// where one image keeps all threads busy.
    fn buffer_for_each(&self) -> Option<u64>;

    /// Plans a file that holds `disk`. Reads no data.
    ///
    /// # Errors
    ///
    /// Where the disk cannot be held, and what the disk says while its extents are walked.
    fn plan(
        &self,
        disk: &dyn VirtualDisk,
        allocation: Allocation,
        workers: &Workers,
    ) -> Result<Box<dyn PlannedFile>>;

    /// What decides the bytes of a file besides the disk, as options are written.
    fn words(&self) -> String {
        self.name().to_owned()
    }

    /// Plans to bring a file of this format up to date: `ranges` of `disk`, in order, may be others
    /// than it holds. Reads no data. Not for formats whose file is the disk's bytes.
    ///
    /// # Errors
    ///
    /// What the file and the disk say while their tables are read.
    fn change(
        &self,
        before: FileBefore,
        disk: &dyn VirtualDisk,
        ranges: &[Range<u64>],
    ) -> Result<FileChange> {
        let _ = (before, disk, ranges);
        Ok(FileChange::Unknown("files of this format are not changed"))
    }

    /// The size of the disk in a file that was made of a disk of `size` bytes; `None` where there
    /// is none.
    fn held_size(&self, size: u64) -> Option<u64> {
        Some(size)
    }

    /// Reads a file of this format.
    ///
    /// # Errors
    ///
    /// What is wrong with the file.
    fn open(&self, path: &Path) -> Result<Box<dyn VirtualDisk>>;
}

/// Whether a file gets room for bytes that the disk does not store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// Only what the disk stores.
    Stored,
    /// Everything.
    Full,
}

/// A file that can be made.
pub trait PlannedFile: Debug + Send + Sync {
    /// Bytes of the disk that are stored, and would be written as data.
    fn data_bytes(&self) -> u64;

    /// The most room that the file takes, in bytes.
    fn needed_bytes(&self) -> u64;

    /// Makes the file, under a temporary name, for a copy to fill it.
    ///
    /// # Errors
    ///
    /// Where it cannot be made.
    fn create(
        self: Box<Self>,
        target: &Path,
        options: FileSinkOptions,
        partials: &Arc<Partials>,
    ) -> Result<Box<dyn Sink>>;
}

//! How a disk is converted.

use std::path::{Path, PathBuf};

use crate::format::{Allocation, FORMATS, TargetFormat, by_extension};
use crate::guest::{Config, Receiver};
use crate::hash::Algorithm;
use crate::sink::{Durability, FileSinkOptions, IfExists, Reflink};

/// How a disk is converted.
#[derive(Debug, Clone)]
pub struct ConvertOptions {
    /// What the target holds and looks like.
    pub format: TargetFormat,
    /// Which zeros become holes.
    pub sparse: Sparse,
    /// Whether blocks are shared with the files of the source.
    pub reflink: Reflink,
    /// What becomes of a target that is there.
    pub if_exists: IfExists,
    /// The digest that is computed on the way and written beside the target.
    pub checksum: Option<Algorithm>,
    /// Whether the target is read back and compared with the source before it gets its name.
    pub read_back: bool,
    /// Whether the target has reached the disk when it gets its name.
    pub durability: Durability,
    /// The directory for the list of losses of a target that has no place beside it: a device or a
    /// stream.
    pub lists: PathBuf,
    /// The directory for files without a name, which an archive in a stream may need: it has no
    /// place beside it either.
    pub scratch: PathBuf,
    /// The host that the files of an archive are changed for, and what their container was; `None`
    /// leaves them as they are.
    pub guest: Option<GuestOptions>,
    /// Whether it is written down what a target of a snapshot holds, for updates of it.
    pub state_file: StateFile,
}

/// What is written down of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateFile {
    /// What it holds, where that is a snapshot: in `TARGET.ploopconv`.
    OfSnapshots,
    /// Nothing.
    LeftOut,
}

/// What an archive's files are changed for.
#[derive(Debug, Clone)]
pub struct GuestOptions {
    /// What is known of the container.
    pub config: Config,
    /// Where it goes.
    pub receiver: Receiver,
}

/// Which zeros become holes of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sparse {
    /// Holes of the disk and of the files that it is stored in.
    Auto,
    /// Also zero blocks of 4 KiB in what is stored.
    Always,
    /// None: the target is fully allocated.
    Never,
}

impl ConvertOptions {
    /// The usual options, for a target in the format that its name stands for, else raw.
    ///
    /// # Panics
    ///
    /// Never: there is a first format.
    #[must_use]
    pub fn for_name(target: &Path) -> Self {
        let known = by_extension(target).or(FORMATS.first());
        let known = known.expect("the list of formats is not empty");
        Self {
            format: known.usual(target),
            sparse: Sparse::Auto,
            reflink: Reflink::Auto,
            if_exists: IfExists::Refuse,
            checksum: None,
            read_back: false,
            durability: Durability::Synced,
            lists: PathBuf::from("."),
            scratch: PathBuf::from("/var/tmp"),
            guest: None,
            state_file: StateFile::LeftOut,
        }
    }

    /// How often every byte of the disk is seen, for progress.
    pub(super) fn passes(&self) -> u64 {
        if self.read_back { 2 } else { 1 }
    }

    pub(super) fn allocation(&self) -> Allocation {
        match self.sparse {
            Sparse::Auto | Sparse::Always => Allocation::Stored,
            Sparse::Never => Allocation::Full,
        }
    }

    /// Whether less than what is stored may be written, which shows only when it is written.
    pub(super) fn may_shrink(&self) -> bool {
        self.sparse == Sparse::Always || self.format.may_shrink()
    }

    pub(super) fn file(&self) -> FileSinkOptions {
        FileSinkOptions {
            if_exists: self.if_exists,
            allocate: self.sparse == Sparse::Never,
            durability: self.durability,
            reflink: self.reflink,
        }
    }

    /// Removes targets that have their names already, because they belong together with something
    /// that failed. What replaced an older file is complete, and stays.
    pub(super) fn take_back<'a>(&self, targets: impl IntoIterator<Item = &'a Path>) {
        if self.if_exists == IfExists::Replace {
            return;
        }
        for path in targets {
            // The error that came first is the one to report.
            let _ = std::fs::remove_file(path);
        }
    }
}

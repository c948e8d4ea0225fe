//! Why a disk cannot be opened.

use std::fmt;
use std::path::{Path, PathBuf};

use super::alternative::Alternative;
use super::chain::SelectError;
use super::check::{Finding, FindingKind};
use super::descriptor::Guid;
use super::header::HeaderError;
use super::snapshots::SnapshotInfo;
use crate::error::{Detail, Error, ErrorKind};
use crate::foreign::Foreign;

/// Why a disk cannot be opened.
///
/// An image whose header cannot be used is a [`HeaderError`] instead, and a descriptor that cannot
/// be used a [`DescriptorError`](super::DescriptorError).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The input is no ploop image.
    #[error("{} is not a ploop image: {found}", path.display())]
    NotPloop {
        /// The file that was looked at.
        path: PathBuf,
        /// What it seems to be.
        found: Foreign,
    },
    /// A directory holds nothing that could be read as a ploop disk.
    #[error("{} holds {}", path.display(), no_disk(images))]
    NoImage {
        /// The directory.
        path: PathBuf,
        /// Ploop images in it that no descriptor names.
        images: Vec<PathBuf>,
    },
    /// A directory holds several disks, and none that is a container's root disk.
    #[error("{} holds several disks: {}", path.display(), names(disks))]
    SeveralDisks {
        /// The directory.
        path: PathBuf,
        /// The disks.
        disks: Vec<PathBuf>,
    },
    /// A directory holds no disk of the name that was asked for, or several.
    #[error(
        "{} holds {} called {name}; {}",
        path.display(),
        if *found == 0 { "no disk" } else { "several disks" },
        all_disks(disks)
    )]
    NoSuchDisk {
        /// The directory.
        path: PathBuf,
        /// The name or number that was asked for.
        name: String,
        /// How many disks have it.
        found: usize,
        /// The disks that there are.
        disks: Vec<PathBuf>,
    },
    /// A directory holds containers, and is none.
    #[error("{} holds containers, and is none itself: {}", path.display(), names(containers))]
    Containers {
        /// The directory.
        path: PathBuf,
        /// Their private areas.
        containers: Vec<PathBuf>,
    },
    /// A container keeps its files as files, and has no disk.
    #[error(
        "{} is a simfs container: its files are plain files in {}, and there is no disk image",
        path.display(),
        files.display()
    )]
    Simfs {
        /// The container's private area.
        path: PathBuf,
        /// The folder that is the container's root.
        files: PathBuf,
    },
    /// No container of this id is below any of the private directories.
    #[error("no such file, and no container {id} below {}", list(searched))]
    NoContainer {
        /// The id as it was given.
        id: String,
        /// The private directories that were looked into.
        searched: Vec<PathBuf>,
    },
    /// The saved table of an image whose conversion between versions was cut short does not fit.
    #[error("reading the saved table {}", path.display())]
    SavedTable {
        /// The saved table.
        path: PathBuf,
        /// What is wrong with it.
        source: HeaderError,
    },
    /// A layer that was named by hand is no image.
    #[error("{} cannot be layer {layer}: {found}", path.display())]
    NotALayer {
        /// The file.
        path: PathBuf,
        /// Its place in the chain, 0 for the base.
        layer: usize,
        /// What it seems to be.
        found: Foreign,
    },
    /// A chain that was named by hand cannot be one.
    #[error("{} cannot be layer {layer}: {why}", path.display())]
    LayerOrder {
        /// The file.
        path: PathBuf,
        /// Its place in the chain, 0 for the base.
        layer: usize,
        /// Why not.
        why: &'static str,
    },
    /// The descriptor does not give a chain for what was asked.
    #[error("choosing the layers of {}", path.display())]
    Select {
        /// The descriptor.
        path: PathBuf,
        /// Why there is no chain.
        source: SelectError,
        /// The snapshots that there are.
        snapshots: Vec<SnapshotInfo>,
    },
    /// One file of a chain was given as if it were the disk.
    #[error("{} is not the whole disk: {why}", path.display())]
    LoneLayer {
        /// The file that was given.
        path: PathBuf,
        /// What the descriptor says of it.
        why: String,
        /// The descriptor that says so.
        descriptor: PathBuf,
        /// The snapshot whose disk ends with this file, where there is one.
        snapshot: Option<Guid>,
        /// The part of a split disk that it is of, 0 for the first.
        part: Option<usize>,
    },
    /// One part of a disk that is split into several files was given as if it were the disk.
    #[error("{} is part {part} of a disk that is split into several files", path.display())]
    Part {
        /// The file that was given.
        path: PathBuf,
        /// Its number, 0 for the first.
        part: u32,
    },
    /// The descriptor beside an image cannot be used, so the image's role is not known.
    #[error("{} cannot tell whether {} is the whole disk", descriptor.display(), path.display())]
    UnknownRole {
        /// The file that was given.
        path: PathBuf,
        /// The descriptor beside it.
        descriptor: PathBuf,
        /// What is wrong with the descriptor.
        source: Error,
    },
    /// Something was asked for that this kind of input does not have.
    #[error("{wish} needs {}, and {} is not one", wish.needs(), path.display())]
    WrongInput {
        /// What was asked for.
        wish: Wish,
        /// What was given.
        path: PathBuf,
    },
    /// A name inside a folder leads out of it: in the descriptor, or a symbolic link.
    #[error("{} leads to {}, which lies outside the folder", named_by.display(), file.display())]
    Outside {
        /// The descriptor that has the name, or the link.
        named_by: PathBuf,
        /// The file, with every symbolic link resolved.
        file: PathBuf,
    },
    /// Part of the image cannot be trusted.
    #[error("the image is damaged: {first}{}", more(*others))]
    Damaged {
        /// What the user named.
        path: PathBuf,
        /// The first thing found.
        first: Box<Finding>,
        /// How many findings of damage there are besides the first.
        others: usize,
    },
    /// The image is in use, or marked so.
    #[error("{} is {sign}", path.display())]
    InUse {
        /// The file that is in use.
        path: PathBuf,
        /// What kind of sign there is.
        kind: FindingKind,
        /// The sign, as in "marked in use".
        sign: String,
    },
}

/// What can be asked of some kinds of input only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wish {
    /// An image file by itself: [`OpenOptions::single_layer`](super::OpenOptions::single_layer).
    SingleLayer,
    /// An older state: [`OpenOptions::snapshot`](super::OpenOptions::snapshot).
    Snapshot,
    /// One of several disks, by its name: [`OpenOptions::disk`](super::OpenOptions::disk).
    Disk,
}

impl Wish {
    /// The kind of input that has it, with its article.
    #[must_use]
    pub fn needs(self) -> &'static str {
        match self {
            Self::SingleLayer => "an image file",
            Self::Snapshot => "a disk with a descriptor",
            Self::Disk => "the directory of a virtual machine or container",
        }
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SingleLayer => "a layer that is read by itself",
            Self::Snapshot => "a snapshot",
            Self::Disk => "a disk that is chosen by its name",
        })
    }
}

impl Detail for OpenError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotPloop { .. } | Self::NotALayer { .. } => ErrorKind::NotThisFormat,
            Self::Part { .. } => ErrorKind::Unsupported,
            // Whatever is wrong with it: the image says that the table belongs to it.
            Self::SavedTable { .. } | Self::Damaged { .. } => ErrorKind::Corrupt,
            Self::Select { source, .. } => source.kind(),
            Self::UnknownRole { source, .. } => source.kind(),
            Self::InUse { .. } => ErrorKind::InUse,
            Self::NoImage { .. }
            | Self::SeveralDisks { .. }
            | Self::NoSuchDisk { .. }
            | Self::Containers { .. }
            | Self::Simfs { .. }
            | Self::NoContainer { .. }
            | Self::LayerOrder { .. }
            | Self::LoneLayer { .. }
            | Self::WrongInput { .. }
            | Self::Outside { .. } => ErrorKind::Input,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotPloop { .. } => "not-ploop",
            Self::NoImage { .. } => "no-image",
            Self::SeveralDisks { .. } => "several-disks",
            Self::NoSuchDisk { .. } => "no-such-disk",
            Self::Containers { .. } => "containers",
            Self::Simfs { .. } => "simfs",
            Self::NoContainer { .. } => "no-container",
            Self::SavedTable { .. } => "saved-table",
            Self::NotALayer { .. } => "not-a-layer",
            Self::LayerOrder { .. } => "layer-order",
            Self::Select { .. } => "snapshot",
            Self::LoneLayer { .. } => "lone-layer",
            Self::Part { .. } => "part",
            Self::UnknownRole { .. } => "unknown-role",
            Self::WrongInput { .. } => "wrong-input",
            Self::Outside { .. } => "outside",
            Self::Damaged { .. } => "damaged",
            Self::InUse { .. } => "in-use",
        }
    }
}

/// An error, and another way to read the disk.
#[derive(Debug)]
pub struct Refused {
    /// Why the disk cannot be read as it was asked for.
    pub error: Error,
    /// What could be asked for instead.
    pub instead: Alternative,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl Detail for Refused {
    fn kind(&self) -> ErrorKind {
        self.error.kind()
    }

    fn code(&self) -> &'static str {
        self.error.code()
    }
}

/// The same error with another way to read the disk, where there is one.
pub(super) fn with_alternative(error: Error, instead: Option<Alternative>) -> Error {
    match instead {
        Some(instead) => Refused { error, instead }.into(),
        None => error,
    }
}

/// The disks that a directory holds.
fn all_disks(disks: &[PathBuf]) -> String {
    if disks.is_empty() {
        return "it holds none".to_owned();
    }
    format!("its disks: {}", names(disks))
}

/// What a directory lacks. Images in it may well be called root.hdd.
fn no_disk(images: &[PathBuf]) -> &'static str {
    if images.is_empty() {
        "neither DiskDescriptor.xml nor root.hdd"
    } else {
        "no DiskDescriptor.xml"
    }
}

fn more(others: usize) -> String {
    match others {
        0 => String::new(),
        1 => " (and 1 more finding)".to_owned(),
        n => format!(" (and {n} more findings)"),
    }
}

/// The last parts of some paths.
fn names(paths: &[PathBuf]) -> String {
    /// Enough to see what there is.
    const MOST: usize = 20;
    let name = |path: &PathBuf| {
        let name = path.file_name().unwrap_or(path.as_os_str());
        Path::new(name).display().to_string()
    };
    let mut names: Vec<_> = paths.iter().take(MOST).map(name).collect();
    let more = paths.len().saturating_sub(MOST);
    names.extend((more > 0).then(|| format!("and {more} more")));
    names.join(", ")
}

fn list(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths.iter().map(|p| p.display().to_string()).collect();
    names.join(" or ")
}

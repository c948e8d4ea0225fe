//! Every error a caller can meet.
//!
//! A message says what was being done, to which file, at which offset and why it failed: lower
//! case, no full stop, own facts only. The cause is in `source()`, and whoever prints the error
//! joins the links with `": "`. What a user could *type* next is not said here; the command line
//! knows its own options.

mod code;
mod limit;

use std::io;
use std::path::{Path, PathBuf};

use crate::attach::AttachError;
use crate::foreign::Foreign;
use crate::partition::{FileSystem, TableError, TableKind};
use crate::ploop::{
    Alternative, DescriptorError, Finding, FindingKind, Guid, HeaderError, SelectError,
    SnapshotInfo,
};
use crate::qcow2::{LayoutError, ReadError};

pub use limit::Limit;

/// The result of everything that can fail here.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something.
    #[error("{doing} {}{}", path.display(), at(*offset))]
    Io {
        /// What was being done, as in "reading".
        doing: &'static str,
        /// The file it was done to.
        path: PathBuf,
        /// Where in the file, in bytes from its start.
        offset: Option<u64>,
        /// What the operating system said.
        source: io::Error,
    },
    /// Something that has to be a regular file is not one.
    #[error("{} is {what}, not a file", path.display())]
    NotAFile {
        /// What was to be opened.
        path: PathBuf,
        /// What it is, with its article.
        what: &'static str,
    },
    /// The input is no ploop image.
    #[error("{} is not a ploop image: {found}", path.display())]
    NotPloop {
        /// The file that was looked at.
        path: PathBuf,
        /// What it seems to be.
        found: Foreign,
    },
    /// A directory holds nothing that could be read as a ploop disk.
    #[error("{} holds neither DiskDescriptor.xml nor root.hdd", path.display())]
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
    /// A directory holds containers, and is none.
    #[error("{} holds containers, and is none itself: {}", path.display(), names(containers))]
    Containers {
        /// The directory.
        path: PathBuf,
        /// Their private areas.
        containers: Vec<PathBuf>,
    },
    /// A container keeps its files as files, and has no disk.
    #[error("{} is a simfs container: its files are plain files in {}, and there is no disk image", path.display(), files.display())]
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
    /// The header of an image cannot be used.
    #[error("reading the header of {}", path.display())]
    Header {
        /// The image.
        path: PathBuf,
        /// What is wrong with it.
        source: HeaderError,
    },
    /// The saved table of an image whose conversion between versions was cut short does not fit.
    #[error("reading the saved table {}", path.display())]
    Index {
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
    /// The descriptor cannot be used.
    #[error("reading {}", path.display())]
    Descriptor {
        /// The descriptor.
        path: PathBuf,
        /// What is wrong with it.
        source: DescriptorError,
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
    },
    /// One part of a disk that is split into several files was given as if it were the disk.
    #[error("{} is part {part} of a disk that is split into several files", path.display())]
    Part {
        /// The file that was given.
        path: PathBuf,
        /// Its number, 0 for the first.
        part: u32,
    },
    /// The descriptor beside an image cannot be used, so nobody knows whether the image is whole.
    #[error("{} cannot tell whether {} is the whole disk", descriptor.display(), path.display())]
    UnknownRole {
        /// The file that was given.
        path: PathBuf,
        /// The descriptor beside it.
        descriptor: PathBuf,
        /// What is wrong with the descriptor.
        source: Box<Error>,
    },
    /// An option was given that this kind of input cannot follow.
    #[error("{option} needs {needs}, and {} is not one", path.display())]
    WrongInput {
        /// The option.
        option: &'static str,
        /// What it works on.
        needs: &'static str,
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
    /// The disk cannot be read as it was asked for, and could be in another way.
    #[error(transparent)]
    Refused(Box<Refused>),
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
    /// A source changed while it was being read.
    #[error("{} changed while it was being read", path.display())]
    Changed {
        /// The file that changed.
        path: PathBuf,
    },
    /// A read beyond the end of a disk.
    #[error("{len} bytes at offset {offset:#x} do not lie inside the disk of {size} bytes")]
    OutOfRange {
        /// Where the read began, in bytes of the disk.
        offset: u64,
        /// How many bytes were asked for.
        len: u64,
        /// The size of the disk in bytes.
        size: u64,
    },
    /// A range of the disk that its image cannot give.
    #[error("{len} bytes at offset {offset:#x} of the disk are lost")]
    Lost {
        /// Where the lost range begins, in bytes of the disk.
        offset: u64,
        /// How many bytes are lost.
        len: u64,
    },
    /// So many ranges of a disk cannot be read that nobody could list them.
    #[error(
        "more than {most} ranges cannot be read, the last one at offset {offset:#x} of the disk"
    )]
    TooManyLosses {
        /// Where the last one begins, in bytes of the disk.
        offset: u64,
        /// How many are remembered.
        most: usize,
    },
    /// A qcow2 image cannot be read.
    #[error("reading the qcow2 image {}", path.display())]
    Qcow2Image {
        /// The image.
        path: PathBuf,
        /// What is wrong with it.
        source: ReadError,
    },
    /// The partition table of the disk cannot be believed.
    #[error("reading the partition table ({})", kind.name())]
    PartitionTable {
        /// What kind of table it is.
        kind: TableKind,
        /// What is wrong with it.
        source: TableError,
    },
    /// A partition was asked for that the table does not have.
    #[error("the disk has no partition {number}")]
    NoSuchPartition {
        /// The number that was asked for.
        number: u32,
        /// The numbers that there are.
        available: Vec<u32>,
    },
    /// A partition was asked for, and the disk has no partition table.
    #[error("the disk has no partition table{}", whole.map_or_else(String::new, holds))]
    NoTable {
        /// What the disk holds as a whole, where that is known.
        whole: Option<FileSystem>,
    },
    /// A partition was asked for that only holds others.
    #[error("partition {number} is an extended partition, which only holds logical ones")]
    ExtendedPartition {
        /// The number that was asked for.
        number: u32,
        /// The numbers of those that can be read.
        available: Vec<u32>,
    },
    /// The target is there and may not be replaced.
    #[error("{} exists", path.display())]
    TargetExists {
        /// The target.
        path: PathBuf,
    },
    /// The target is part of the source.
    #[error("{} is a file of the image that is being read", path.display())]
    TargetIsSource {
        /// The target.
        path: PathBuf,
    },
    /// The target is something that cannot be written to.
    #[error("cannot write to {}: {why}", path.display())]
    TargetKind {
        /// The target.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is less room than the copy needs.
    #[error("{} has {free} bytes free, and {needed} bytes are needed", path.display())]
    NoRoom {
        /// The directory that was asked.
        path: PathBuf,
        /// How many bytes are free there.
        free: u64,
        /// How many bytes would be written.
        needed: u64,
    },
    /// The room ran out while a target was being written.
    #[error("{doing} {}: {limit}", path.display())]
    Full {
        /// What was being done, as in "writing".
        doing: &'static str,
        /// The target.
        path: PathBuf,
        /// What keeps it from growing.
        limit: Limit,
    },
    /// A file of a target cannot be made where it was asked for.
    #[error("cannot create {}{}", path.display(), because_of(folder, source))]
    Create {
        /// The file.
        path: PathBuf,
        /// The folder that it was to be in.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The disk cannot be written as the qcow2 file that was asked for.
    #[error("planning the qcow2 file")]
    Qcow2 {
        /// Why there is no plan.
        source: LayoutError,
    },
    /// The disk has data where it had none when the target was planned.
    #[error("data at offset {offset:#x} of the disk was not there when the target was planned")]
    Unplanned {
        /// Where the data begins, in bytes of the disk.
        offset: u64,
    },
    /// Sharing blocks with the source was asked for, and is not possible.
    #[error("sharing blocks with {} at offset {offset:#x}", path.display())]
    CannotShare {
        /// The target.
        path: PathBuf,
        /// Where in the target, in bytes.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// A compressor could not be made ready.
    #[error("starting a compressor")]
    Compressor {
        /// What the compressor said.
        source: io::Error,
    },
    /// A disk could not be attached to this machine, or not be taken away.
    #[error(transparent)]
    Attach {
        /// Why.
        source: AttachError,
    },
    /// The caller asked to stop.
    #[error("stopped")]
    Stopped,
    /// Something is where a server was to listen.
    #[error("{} exists, and {why}", path.display())]
    SocketTaken {
        /// The path.
        path: PathBuf,
        /// Why it is not replaced.
        why: &'static str,
    },
    /// Threads could not be started.
    #[error("starting {threads} threads")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the thread pool said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// An error, and another way to read the disk.
#[derive(Debug)]
pub struct Refused {
    /// Why the disk cannot be read as it was asked for.
    pub error: Error,
    /// What could be asked for instead.
    pub instead: Alternative,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// What an error means to the person who reads its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It could not be done.
    Failed,
    /// The image is damaged.
    Damaged,
    /// The image is in use.
    InUse,
}

impl Error {
    /// An operating system's refusal, without an offset.
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            doing,
            path: path.to_owned(),
            offset: None,
            source,
        }
    }

    /// An operating system's refusal at `offset` bytes into the file.
    pub(crate) fn io_at(doing: &'static str, path: &Path, offset: u64, source: io::Error) -> Self {
        Self::Io {
            doing,
            path: path.to_owned(),
            offset: Some(offset),
            source,
        }
    }

    /// Sorts the error by what a user does next.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Damaged { .. } | Self::Lost { .. } | Self::PartitionTable { .. } => {
                Class::Damaged
            }
            Self::Header { source, .. } if source.is_damage() => Class::Damaged,
            Self::Index { .. } => Class::Damaged,
            Self::Descriptor { source, .. } if source.is_damage() => Class::Damaged,
            Self::Select { source, .. } if source.is_damage() => Class::Damaged,
            Self::Qcow2Image { source, .. } => source.class(),
            Self::InUse { .. } | Self::Changed { .. } | Self::Unplanned { .. } => Class::InUse,
            Self::UnknownRole { source, .. } => source.class(),
            Self::Refused(refused) => refused.error.class(),
            Self::Attach {
                source: AttachError::Busy { .. } | AttachError::Taken { .. },
            } => Class::InUse,
            _ => Class::Failed,
        }
    }

    /// The same error with another way to read the disk.
    pub(crate) fn or(self, instead: Option<Alternative>) -> Self {
        match instead {
            Some(instead) => Self::Refused(Box::new(Refused {
                error: self,
                instead,
            })),
            None => self,
        }
    }

    /// Whether the reader of a pipe has gone away.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn at(offset: Option<u64>) -> String {
    offset.map_or_else(String::new, |offset| format!(" at offset {offset:#x}"))
}

/// What a refusal to make a file says about its folder.
fn because_of(folder: &Path, source: &io::Error) -> String {
    let name = folder.display();
    match source.kind() {
        io::ErrorKind::NotFound => format!(": there is no folder {name}"),
        io::ErrorKind::NotADirectory => format!(": {name} is not a folder"),
        io::ErrorKind::PermissionDenied => format!(": the folder {name} may not be written to"),
        io::ErrorKind::ReadOnlyFilesystem => {
            format!(": the folder {name} is on a read-only file system")
        }
        _ => format!(" in the folder {name}"),
    }
}

fn holds(whole: FileSystem) -> String {
    format!(": all of it is {}", whole.title())
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
        name.display().to_string()
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

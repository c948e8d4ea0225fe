//! Why the files of a disk do not become an archive.

use crate::error::{Detail, Error, ErrorKind};
use crate::util::text;

/// Why the files of a disk do not become an archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TarError {
    /// A file cannot be read.
    #[error("reading {} in the image", shown(path))]
    File {
        /// Its path in the archive.
        path: Vec<u8>,
        /// Why not.
        source: Error,
    },
    /// A directory is in the tree for the second time, so the tree may have no end.
    #[error("inode {inode} is a directory with two names")]
    DirectoryTwice {
        /// The number of its inode.
        inode: u64,
    },
    /// Directories are nested deeper than any program can reach by a path.
    #[error("more than {most} directories are nested")]
    TooDeep {
        /// The most that are read.
        most: usize,
    },
    /// A symbolic link leads nowhere: its target is empty, or has a byte that no path has.
    #[error("inode {inode} is a symbolic link without a target")]
    NoTarget {
        /// The number of its inode.
        inode: u64,
    },
    /// The archive is not as long as it was when it was planned.
    #[error("the archive has {written} bytes, and {planned} were planned")]
    Unplanned {
        /// Its size in bytes.
        written: u64,
        /// The size that was planned.
        planned: u64,
    },
    /// A compressor could not be made.
    #[error("starting a compressor")]
    Compressor {
        /// What it said.
        source: std::io::Error,
    },
}

impl Detail for TarError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::File { source, .. } => source.kind(),
            Self::DirectoryTwice { .. } | Self::NoTarget { .. } => ErrorKind::Corrupt,
            Self::TooDeep { .. } => ErrorKind::Unsupported,
            Self::Unplanned { .. } => ErrorKind::Changed,
            Self::Compressor { .. } => ErrorKind::Io,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::File { source, .. } => source.code(),
            // As for all that contradicts itself in a file system.
            Self::DirectoryTwice { .. } | Self::NoTarget { .. } => "file-system",
            Self::TooDeep { .. } => "too-deep",
            Self::Unplanned { .. } => "unplanned",
            Self::Compressor { .. } => "compressor",
        }
    }
}

/// A path of the archive, for people.
pub(super) fn shown(path: &[u8]) -> String {
    text::safe(&String::from_utf8_lossy(path)).into_owned()
}

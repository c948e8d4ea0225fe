//! Why a conversion is refused, or its target is.

use std::path::PathBuf;

use crate::error::{Detail, ErrorKind};
use crate::partition::FileSystem;

/// Why a conversion is refused, or its target is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The target is part of the source.
    #[error("{} is a file of the image that is being read", path.display())]
    TargetIsSource {
        /// The target.
        path: PathBuf,
    },
    /// The format is written in another order than a device or a stream takes it, or is not for
    /// such a target.
    #[error("{format} is not written from start to end; its target has to be a file")]
    WantsFile {
        /// The format.
        format: &'static str,
    },
    /// The files of the disk are wanted, and it has no file system that is known.
    #[error("the disk has no file system whose files can be read")]
    NoFileSystem,
    /// The files of the disk are wanted, and its file system is another one.
    #[error("{} is {}: files are read from ext2, ext3 and ext4", place(*partition), kind.title())]
    OtherFileSystem {
        /// What it is.
        kind: FileSystem,
        /// The partition that it is in; `None` where it fills the disk.
        partition: Option<u32>,
    },
    /// The files of the disk are wanted, and it has several file systems.
    #[error("several partitions have files: {}", list(available))]
    SeveralFileSystems {
        /// The partitions, with what they hold.
        available: Vec<(u32, FileSystem)>,
    },
    /// A target was read back and does not hold what it was made from.
    #[error("the target was read back and is wrong, and {fate}: {found}")]
    WrongTarget {
        /// Where the two differ.
        found: String,
        /// What became of the target.
        fate: &'static str,
    },
}

fn place(partition: Option<u32>) -> String {
    partition.map_or("the disk".to_owned(), |number| {
        format!("partition {number}")
    })
}

fn list(available: &[(u32, FileSystem)]) -> String {
    let one = |(number, kind): &(u32, FileSystem)| format!("{number} ({})", kind.name());
    available.iter().map(one).collect::<Vec<_>>().join(", ")
}

impl Detail for ConvertError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TargetIsSource { .. } | Self::WantsFile { .. } | Self::WrongTarget { .. } => {
                ErrorKind::Target
            }
            Self::NoFileSystem | Self::SeveralFileSystems { .. } => ErrorKind::Input,
            Self::OtherFileSystem { .. } => ErrorKind::Unsupported,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::TargetIsSource { .. } => "target-is-source",
            Self::WantsFile { .. } => "target-kind",
            Self::NoFileSystem => "no-file-system",
            Self::OtherFileSystem { .. } => "other-file-system",
            Self::SeveralFileSystems { .. } => "several-file-systems",
            Self::WrongTarget { .. } => "different",
        }
    }
}

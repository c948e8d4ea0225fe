//! Why files cannot be read.

use crate::error::{Detail, Error, ErrorKind};

/// Why a file system, or a file of it, cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// The disk holds no ext2, ext3 or ext4.
    #[error("the disk holds no ext2, ext3 or ext4 file system")]
    NotExt4,
    /// The file system uses something that is not read here.
    #[error("the file system uses {0}, which is not read here")]
    Feature(String),
    /// The superblock, a group or something else that belongs to no file is damaged.
    #[error("the file system is damaged: {0}")]
    Damaged(&'static str),
    /// The journal is to be replayed, and cannot be.
    #[error("the file system's journal cannot be replayed: {0}")]
    Journal(&'static str),
    /// An inode, or what it leads to, is damaged.
    #[error("inode {inode} is damaged: {problem}")]
    Inode {
        /// The number of the inode.
        inode: u64,
        /// What makes no sense.
        problem: &'static str,
    },
    /// Part of what an inode leads to cannot be read.
    #[error("part of inode {inode} is lost")]
    Lost {
        /// The number of the inode.
        inode: u64,
        /// What the disk says.
        source: Box<Error>,
    },
    /// A file is encrypted, and its key is not stored.
    #[error("inode {0} is encrypted")]
    Encrypted(u64),
}

impl Detail for FilesError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotExt4 => ErrorKind::NotThisFormat,
            Self::Feature(_) | Self::Encrypted(_) => ErrorKind::Unsupported,
            Self::Damaged(_) | Self::Journal(_) | Self::Inode { .. } => ErrorKind::Corrupt,
            Self::Lost { .. } => ErrorKind::Lost,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotExt4 => "not-ext4",
            Self::Feature(_) => "file-system-feature",
            Self::Damaged(_) | Self::Inode { .. } => "file-system",
            Self::Journal(_) => "journal",
            Self::Lost { .. } => "lost",
            Self::Encrypted(_) => "encrypted",
        }
    }
}

/// The error of a journal that cannot be replayed.
pub(super) fn refused(problem: &'static str) -> Error {
    FilesError::Journal(problem).into()
}

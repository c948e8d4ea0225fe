//! Why files could not be mounted.

use std::io;
use std::path::PathBuf;

use crate::error::{Detail, ErrorKind};

/// Why files could not be mounted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FuseError {
    /// The kernel has no FUSE, or this user has no way to it.
    #[error("there is no FUSE here: {why}")]
    NoFuse {
        /// What is missing.
        why: String,
    },
    /// The kernel, or the program that mounts for users, refused.
    #[error("mounting on {}", dir.display())]
    Refused {
        /// The directory.
        dir: PathBuf,
        /// What was said.
        source: io::Error,
    },
    /// What is to be read lies below the directory, and the mount would hide it.
    #[error("{} lies below {}, and a mount there would hide it", file.display(), dir.display())]
    Hides {
        /// The directory.
        dir: PathBuf,
        /// The file.
        file: PathBuf,
    },
}

impl Detail for FuseError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoFuse { .. } | Self::Refused { .. } => ErrorKind::Io,
            Self::Hides { .. } => ErrorKind::Input,
        }
    }

    fn code(&self) -> &'static str {
        "mount"
    }
}

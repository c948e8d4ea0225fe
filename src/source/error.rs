//! Why a file is not read.

use std::path::PathBuf;

use crate::error::{Detail, ErrorKind};

/// Why a file is not read, where the operating system would let it be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Something that has to be a regular file is not one.
    #[error("{} is {what}, not a file", path.display())]
    NotAFile {
        /// What was to be opened.
        path: PathBuf,
        /// What it is, with its article.
        what: &'static str,
    },
    /// A source changed while it was being read.
    #[error("{} changed while it was being read", path.display())]
    Changed {
        /// The file that changed.
        path: PathBuf,
    },
}

impl Detail for SourceError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotAFile { .. } => ErrorKind::Input,
            Self::Changed { .. } => ErrorKind::Changed,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotAFile { .. } => "not-a-file",
            Self::Changed { .. } => "changed",
        }
    }
}

//! What a server of files says while it runs.

use std::error::Error as _;
use std::fmt;

use crate::error::Error;

/// What a server of files says while it runs.
#[derive(Debug)]
#[non_exhaustive]
pub enum FuseEvent<'a> {
    /// A file could not be read, and the reader got an I/O error.
    Failed {
        /// The number of its inode.
        inode: u64,
        /// Why.
        error: &'a Error,
    },
    /// The source changed: what is read from now on is an I/O error.
    Changed {
        /// What changed.
        error: &'a Error,
    },
}

impl fmt::Display for FuseEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Failed { error, .. } | Self::Changed { error }) = self;
        if let Self::Failed { inode, .. } = self {
            write!(f, "reading inode {inode}: ")?;
        }
        write!(f, "{error}")?;
        let mut cause = error.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        match self {
            Self::Failed { .. } => f.write_str("; answered as an I/O error"),
            Self::Changed { .. } => f.write_str("; every read is an I/O error from now on"),
        }
    }
}

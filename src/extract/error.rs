//! Why a file is not written.

use std::path::PathBuf;

use crate::error::{Detail, ErrorKind};

/// Why a file is not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// A file that is read would be replaced.
    #[error("{} is a file of the image that is being read", path.display())]
    IsSource {
        /// The file.
        path: PathBuf,
    },
}

impl Detail for ExtractError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Target
    }

    fn code(&self) -> &'static str {
        "target-is-source"
    }
}

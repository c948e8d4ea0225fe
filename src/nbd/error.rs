//! Why a server does not listen at a path.

use std::path::PathBuf;

use crate::error::{Detail, ErrorKind};

/// Why a server does not listen at a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Something is where the server was to listen.
    #[error("{} exists, and {why}", path.display())]
    Taken {
        /// The path.
        path: PathBuf,
        /// Why it is not replaced.
        why: &'static str,
    },
}

impl Detail for ListenError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Taken { .. } => ErrorKind::Target,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "socket-taken",
        }
    }
}

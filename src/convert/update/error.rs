//! Why a target is not brought up to date.

use std::path::PathBuf;

use crate::error::{Detail, ErrorKind};

/// Why a target is not brought up to date. Whatever the reason is, a conversion of the whole disk
/// is right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// Nothing says what the target holds.
    #[error("{} is not there, so it is not known what the target holds", state.display())]
    NoState {
        /// The file that would say it.
        state: PathBuf,
    },
    /// What says it cannot be used.
    #[error("{} does not say what the target holds: {why}", state.display())]
    State {
        /// The file.
        state: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The image is not the one that the target was made from, or its snapshot is gone.
    #[error("the target was made from other layers: {why}")]
    Source {
        /// What is different.
        why: String,
    },
    /// The target is not what it was when it was made.
    #[error("{} was changed since it was made: {why}", path.display())]
    Target {
        /// The target.
        path: PathBuf,
        /// What is different.
        why: String,
    },
    /// The options make another target.
    #[error("the target was made with other options: {was}; now they are {now}")]
    Options {
        /// Those that the target was made with.
        was: String,
        /// Those that were given.
        now: String,
    },
    /// Such a target, or such a disk, is not brought up to date.
    #[error("{why}")]
    Unsupported {
        /// What it is.
        why: String,
    },
}

impl Detail for UpdateError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Source { .. } => ErrorKind::Input,
            _ => ErrorKind::Target,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NoState { .. } => "no-state",
            Self::State { .. } => "state",
            Self::Source { .. } => "other-layers",
            Self::Target { .. } => "target-changed",
            Self::Options { .. } => "other-options",
            Self::Unsupported { .. } => "no-update",
        }
    }
}

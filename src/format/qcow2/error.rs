//! Why a qcow2 file cannot be written.

use std::io;

use crate::error::{Detail, ErrorKind};

/// Why a qcow2 file cannot be written, once there is a plan for it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The disk has data where it had none when the target was planned.
    #[error("data at offset {offset:#x} of the disk was not there when the target was planned")]
    Unplanned {
        /// Where the data begins, in bytes of the disk.
        offset: u64,
    },
    /// A compressor could not be made ready.
    #[error("starting a compressor")]
    Compressor {
        /// What the compressor said.
        source: io::Error,
    },
}

impl Detail for WriteError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unplanned { .. } => ErrorKind::Changed,
            Self::Compressor { .. } => ErrorKind::Io,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unplanned { .. } => "unplanned",
            Self::Compressor { .. } => "compressor",
        }
    }
}

//! Why bytes of a disk cannot be given.

use std::ops::Range;

use crate::error::{Detail, ErrorKind};

/// Why bytes of a disk cannot be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// A read past the end of a disk.
    #[error("{len} bytes at offset {offset:#x} do not lie inside the disk of {size} bytes")]
    OutOfRange {
        /// Where the read began, in bytes of the disk.
        offset: u64,
        /// How many bytes were asked for.
        len: u64,
        /// The size of the disk in bytes.
        size: u64,
    },
    /// A range of the disk that its image cannot give.
    #[error("{len} bytes at offset {offset:#x} of the disk are lost")]
    Lost {
        /// Where the lost range begins, in bytes of the disk.
        offset: u64,
        /// How many bytes are lost.
        len: u64,
    },
}

impl DiskError {
    /// The `len` bytes at `offset` as a range, where they lie inside a disk of `size` bytes.
    pub(crate) fn check_range(offset: u64, len: u64, size: u64) -> Result<Range<u64>, Self> {
        let end = offset.checked_add(len).filter(|&end| end <= size);
        let end = end.ok_or(Self::OutOfRange { offset, len, size })?;
        Ok(offset..end)
    }
}

impl Detail for DiskError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::OutOfRange { .. } => ErrorKind::Input,
            Self::Lost { .. } => ErrorKind::Lost,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::OutOfRange { .. } => "out-of-range",
            Self::Lost { .. } => "lost",
        }
    }
}

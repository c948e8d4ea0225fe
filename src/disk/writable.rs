//! A disk that can be written.

use std::fmt::Debug;

use crate::error::Result;

/// A layer over a disk that can be written: the disk's own reads show what was written.
pub trait Writable: Debug + Send + Sync {
    /// Writes `data` at `offset`.
    ///
    /// # Errors
    ///
    /// Where it cannot be kept. Of an [`ErrorKind::Io`](crate::ErrorKind::Io), clients learn
    /// whether its source is `ENOSPC` or the like.
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()>;

    /// Makes `len` bytes from `offset` on read as zeros.
    ///
    /// # Errors
    ///
    /// As [`Writable::write_at`].
    fn zero_at(&self, offset: u64, len: u64) -> Result<()>;

    /// Makes sure that what was written stays, as far as it is meant to.
    ///
    /// # Errors
    ///
    /// As [`Writable::write_at`].
    fn flush(&self) -> Result<()>;
}

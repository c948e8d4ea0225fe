//! Blocks of a file.

/// Blocks of a file that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockRun {
    /// How many; at least one.
    pub(super) len: u64,
    /// The first one's number in the file system; `None` where they read as zeros.
    pub(super) first: Option<u64>,
}

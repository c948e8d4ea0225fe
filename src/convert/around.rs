//! Where the bytes of a disk lie in one that is made around it.

use std::ops::Range;

/// Where the bytes of a disk lie in one that is made around it. All others of that disk are new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Around {
    /// How many bytes further on than before.
    pub(super) moved: u64,
    /// The ranges that have them, in bytes of the new disk, in order.
    pub(super) kept: Vec<Range<u64>>,
}

impl Around {
    /// Of a disk of `size` bytes that has nothing around it.
    pub(super) fn nothing(size: u64) -> Self {
        Self {
            moved: 0,
            kept: std::iter::once(0..size).collect(),
        }
    }
}

//! An extent, as the leaves of a tree of extents and fast commits have it.

use crate::util::bytes::{le_u16, le_u32};

/// Blocks that follow each other in a file and on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// The number of the first block in the file.
    pub(super) logical: u64,
    /// The number of the first block in the file system.
    pub(super) physical: u64,
    /// The number of blocks.
    pub(super) len: u64,
    /// Whether the blocks are kept for the file but were never written: they read as zeros.
    pub(super) unwritten: bool,
}

impl Extent {
    /// Reads the 12 bytes of an extent.
    pub(super) fn parse(entry: &[u8]) -> Self {
        /// The most blocks of an extent; what is more says that they were never written.
        const MOST: u16 = 0x8000;
        let len = le_u16(entry, 4);
        Self {
            logical: u64::from(le_u32(entry, 0)),
            physical: u64::from(le_u32(entry, 8)) | u64::from(le_u16(entry, 6)) << 32,
            len: u64::from(if len > MOST { len - MOST } else { len }),
            unwritten: len > MOST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_above_the_most_blocks_says_that_they_were_never_written() {
        let lens = [1u16, 0x8000, 0x8001, 0xffff];
        let parsed = lens.map(|len| {
            let [low, high] = len.to_le_bytes();
            let extent = Extent::parse(&[7, 0, 0, 0, low, high, 1, 0, 9, 0, 0, 0]);
            assert_eq!((extent.logical, extent.physical), (7, (1 << 32) + 9));
            (extent.len, extent.unwritten)
        });
        let expected = [(1, false), (0x8000, false), (1, true), (0x7fff, true)];
        assert_eq!(parsed, expected);
    }
}

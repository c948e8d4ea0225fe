//! Where the newest copies of blocks lie.

use std::collections::HashMap;

use crate::util::bytes::{to_u64, to_usize};

/// What every block of a log but copies of other blocks begins with.
pub(super) const MAGIC: [u8; 4] = [0xc0, 0x3b, 0x39, 0x98];

/// Blocks of a file system whose newest copies lie in its journal.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    /// Ordered by the number of the block.
    copies: Vec<(u64, Copy)>,
}

/// A copy of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copy {
    /// Where it lies on the disk, in bytes.
    pub(super) offset: u64,
    /// Whether its first four bytes are zeros for those that a block of the log begins with.
    pub(super) escaped: bool,
}

/// Bytes that lie together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The number of bytes, at most as many as were asked for.
    pub(super) len: u64,
    /// Where they are in the journal: the copy of their block, from the place that was asked for
    /// on. `None` where they lie on the disk.
    pub(super) from: Option<Copy>,
}

impl Replayed {
    pub(super) fn new(newest: HashMap<u64, Copy>) -> Self {
        let mut copies: Vec<_> = newest.into_iter().collect();
        copies.sort_unstable_by_key(|(block, _)| *block);
        Self { copies }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.copies.is_empty()
    }

    /// Where the bytes at `offset` lie, and how many of `len` lie together.
    pub(super) fn run_at(&self, offset: u64, len: u64, block_size: u64) -> Run {
        let (block, into) = (offset / block_size, offset % block_size);
        let next = self.copies.partition_point(|(copy, _)| *copy < block);
        match self.copies.get(next) {
            Some((found, copy)) if *found == block => Run {
                len: len.min(block_size - into),
                from: Some(Copy {
                    offset: copy.offset.saturating_add(into),
                    ..*copy
                }),
            },
            Some((next, _)) => Run {
                len: len.min(next.saturating_mul(block_size) - offset),
                from: None,
            },
            None => Run { len, from: None },
        }
    }
}

impl Copy {
    /// Makes good what was changed in the log, in bytes that begin `into` a block.
    pub(super) fn unescape(&self, bytes: &mut [u8], into: u64) {
        if !self.escaped || into >= to_u64(MAGIC.len()) {
            return;
        }
        let original = MAGIC.get(to_usize(into)..).unwrap_or_default();
        for (byte, original) in bytes.iter_mut().zip(original) {
            *byte = *original;
        }
    }
}

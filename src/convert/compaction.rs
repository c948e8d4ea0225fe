//! What was left out of a disk, and what was not.

use std::sync::Arc;

use crate::error::Result;
use crate::partition::FileSystem;
use crate::salvage::View;

/// A partition that stays whole, because it is not known which of its blocks are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WholePartition {
    /// Its number.
    pub number: u32,
    /// What it holds, where that is known.
    pub content: Option<FileSystem>,
}

/// What was left out of a disk.
#[derive(Debug, Clone)]
pub(super) struct Compaction {
    /// The disk with all that it stores.
    pub(super) before: View,
    /// The disk without what was left out.
    pub(super) after: View,
    pub(super) whole: Arc<[WholePartition]>,
}

impl Compaction {
    /// The same of a part of the disk, in bytes.
    pub(super) fn part(&self, start: u64, len: u64) -> Result<Self> {
        Ok(Self {
            before: self.before.part(start, len)?,
            after: self.after.part(start, len)?,
            ..self.clone()
        })
    }
}

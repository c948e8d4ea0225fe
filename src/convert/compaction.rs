//! What was left out of a disk, and what was not.

use std::fmt;
use std::sync::Arc;

use crate::error::Result;
use crate::partition::FileSystem;
use crate::salvage::View;

/// A partition that stays whole, because it is not known which of its blocks are free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholePartition {
    /// Its number.
    pub number: u32,
    /// What it holds, where that is known.
    pub content: Option<FileSystem>,
    /// Why it stays whole.
    pub why: WhyWhole,
}

/// Why it is not known which blocks of a partition are free.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhyWhole {
    /// It is of another kind.
    OtherKind,
    /// Something else says that the partition is its own: names for people. One of them was there
    /// before the other, and its signature was not removed.
    Claimed(Vec<&'static str>),
    /// It is swap space that states more pages than there is room for.
    LargerSwap,
}

impl fmt::Display for WhyWhole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherKind => f.write_str("free blocks are known of ext2, ext3 and ext4"),
            Self::Claimed(rivals) => write!(
                f,
                "it has the signature of {} too, and only one of them is in use",
                rivals.join(" and of ")
            ),
            Self::LargerSwap => f.write_str("its header states more pages than it has room for"),
        }
    }
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

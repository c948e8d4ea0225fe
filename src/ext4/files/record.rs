//! What fast commits say: changes of files, and not of blocks.

use crate::ext4::extent::Extent;

/// A change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// Blocks of a file lie elsewhere now, or nowhere.
    Range(u32, Range),
    /// A directory has a name for an inode, which is new or is not.
    Name { name: Name, is_new: bool },
    /// A directory has a name no longer.
    NoName(Name),
    /// An inode has these bytes.
    Inode(u32, Vec<u8>),
}

/// Blocks of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    /// The first one's number in the file.
    pub(super) logical: u64,
    /// How many.
    pub(super) len: u64,
    /// The first one's number in the file system; `None` where they read as zeros.
    pub(super) physical: Option<u64>,
}

/// A name in a directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) directory: u32,
    pub(super) inode: u32,
    pub(super) name: Vec<u8>,
}

impl From<Extent> for Range {
    fn from(extent: Extent) -> Self {
        Self {
            logical: extent.logical,
            len: extent.len,
            physical: (!extent.unwritten).then_some(extent.physical),
        }
    }
}

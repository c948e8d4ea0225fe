//! Why it is not known which blocks are free.

use crate::error::{Detail, ErrorKind};

/// Why it is not known which blocks of a file system are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FreeError {
    /// The journal is to be replayed first.
    #[error(
        "the file system was not unmounted cleanly: which of its blocks are free stands in its \
         journal"
    )]
    Journal,
    /// The file system has no journal, or one that does not help, and was not unmounted cleanly.
    #[error("the file system was not unmounted cleanly, and has to be checked first")]
    NotClosed,
    /// The kernel found errors and kept that in mind.
    #[error("the kernel found errors in the file system, and it was not checked since")]
    HasErrors,
    /// The superblock makes no sense for the disk.
    #[error("the superblock contradicts the disk: {0}")]
    Superblock(&'static str),
    /// The file system is larger than what it is in: neither it nor what cut it says which one is
    /// right.
    #[error(
        "the file system has {stated} blocks, and there is room for {held}: it is cut, or was \
         made for a larger disk or partition"
    )]
    Cut {
        /// The number of blocks that the superblock states.
        stated: u64,
        /// The number of blocks that there is room for.
        held: u64,
    },
    /// A group contradicts itself.
    #[error("block group {group} contradicts itself: {problem}")]
    Group {
        /// The number of the group.
        group: u64,
        /// What does not fit.
        problem: &'static str,
    },
    /// The counts of the superblock are not those of the groups.
    #[error("the superblock counts other free blocks or inodes than its groups")]
    Totals,
    /// A block of the file system's own tables is marked free.
    #[error("block {block} is marked free, and the file system keeps its own tables in it")]
    TableFree {
        /// The number of the block.
        block: u64,
    },
    /// A block is marked free, and an inode has it.
    #[error("block {block} is marked free, and inode {inode} has it")]
    BlockFree {
        /// The number of the block.
        block: u64,
        /// The number of the inode.
        inode: u64,
    },
    /// A block is claimed twice.
    #[error("block {block} belongs to inode {inode}, and to something else")]
    BlockShared {
        /// The number of the block.
        block: u64,
        /// The number of an inode that claims it.
        inode: u64,
    },
    /// Two of the file system's own tables share a block.
    #[error("block {block} belongs to two of the file system's own tables")]
    TablesShared {
        /// The number of the block.
        block: u64,
    },
    /// An inode is marked free, and holds a file.
    #[error("inode {inode} is marked free, and holds a file")]
    InodeFree {
        /// The number of the inode.
        inode: u64,
    },
}

impl Detail for FreeError {
    fn kind(&self) -> ErrorKind {
        match self {
            // It can be replayed and is not damaged.
            Self::Journal | Self::NotClosed => ErrorKind::Unsupported,
            _ => ErrorKind::Corrupt,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Journal | Self::NotClosed => "not-unmounted",
            Self::Cut { .. } => "cut-file-system",
            _ => "free-blocks",
        }
    }
}

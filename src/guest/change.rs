//! A change to a tree of files, with its reason.

/// What becomes of one path of a container's files, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path from the root, by directories only and without links: names with `/` between them
    /// and none in front, as in [`Resolved::path`](crate::tree::Resolved::path).
    pub path: Vec<u8>,
    /// What becomes of it.
    pub what: What,
    /// Why, in words for a person: what it was for, or what the new host does instead.
    pub reason: String,
}

/// What becomes of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// A regular file with these contents. A file that is there keeps its owner and mode, which are
    /// repeated here; another name of the same file (a hard link) keeps the old contents.
    Write {
        /// All bytes of the file.
        contents: Vec<u8>,
        /// The lowest 12 bits of the mode.
        mode: u16,
        /// The owner.
        uid: u32,
        /// The group.
        gid: u32,
    },
    /// The file, the link, or the directory with everything in it goes.
    Remove,
    /// What is in the directory goes, and the directory stays.
    Empty,
    /// A symbolic link, in place of a file or link that is there.
    Link {
        /// Where it leads.
        target: Vec<u8>,
    },
    /// A directory that is missing.
    Mkdir {
        /// The lowest 12 bits of the mode.
        mode: u16,
        /// The owner.
        uid: u32,
        /// The group.
        gid: u32,
    },
    /// Nothing: the reason says what stays on purpose, or what a person has to see to.
    Keep,
}

impl What {
    /// The word that listings show.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Write { .. } => "write",
            Self::Remove => "remove",
            Self::Empty => "empty",
            Self::Link { .. } => "link",
            Self::Mkdir { .. } => "mkdir",
            Self::Keep => "keep",
        }
    }
}

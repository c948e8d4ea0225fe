//! What a file system lost.

use std::ops::Range;

/// What a file system lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Affected {
    /// Files that lost bytes, at most [`Affected::MOST_FILES`], in the order of their inodes; those
    /// whose inode is lost come last.
    pub files: Vec<AffectedFile>,
    /// How many more there are.
    pub more_files: u64,
    /// Metadata that is lost.
    pub metadata: Vec<LostMetadata>,
    /// Whether the journal holds changes that are not in their places yet: names and places are
    /// those before them.
    pub journal_dirty: bool,
    /// Whether the file system was so inconsistent that the search was given up.
    pub gave_up: bool,
}

impl Affected {
    /// The most files that are named.
    pub const MOST_FILES: usize = 50_000;

    pub(super) fn add(&mut self, file: AffectedFile) {
        if self.files.len() < Self::MOST_FILES {
            self.files.push(file);
        } else {
            self.more_files += 1;
        }
    }
}

/// A file that lost bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AffectedFile {
    /// The inode number.
    pub inode: u32,
    /// The path from the root of the file system, the first one that was found: someone else's
    /// text. `None` where no directory that can be read names the file.
    pub path: Option<String>,
    /// What it is.
    pub kind: FileKind,
    /// The size in bytes; zero where the inode is lost.
    pub size: u64,
    /// The first ranges of the file that are lost, in bytes; at most [`AffectedFile::MOST_RANGES`].
    pub ranges: Vec<Range<u64>>,
    /// The bytes in all lost ranges.
    pub bytes: u64,
    /// How many of them are doubtful and not zeros.
    pub doubtful: u64,
    /// Whether part of the list of its blocks is lost too, so that more may be.
    pub map_lost: bool,
}

impl AffectedFile {
    /// The most ranges that are kept for a file.
    pub const MOST_RANGES: usize = 16;

    /// A file of which no path is known, and nothing lost yet.
    pub(super) fn new(inode: u32, kind: FileKind, size: u64) -> Self {
        Self {
            inode,
            path: None,
            kind,
            size,
            ranges: Vec::new(),
            bytes: 0,
            doubtful: 0,
            map_lost: false,
        }
    }

    pub(super) fn add(&mut self, range: Range<u64>, doubtful: bool) {
        let len = range.end - range.start;
        self.bytes = self.bytes.saturating_add(len);
        if doubtful {
            self.doubtful = self.doubtful.saturating_add(len);
        }
        let has_room = self.ranges.len() < Self::MOST_RANGES;
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ if has_room => self.ranges.push(range),
            _ => {}
        }
    }
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory: names may be missing from it.
    Directory,
    /// A symbolic link.
    Symlink,
    /// The journal.
    Journal,
    /// Another file of the file system's own, such as a quota file.
    System,
    /// The inode is lost, and with it everything but the name.
    InodeLost,
}

impl FileKind {
    /// The word that users and scripts see.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::Journal => "journal",
            Self::System => "system",
            Self::InodeLost => "inode-lost",
        }
    }
}

/// Metadata of one kind that is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostMetadata {
    /// What it is.
    pub kind: MetadataKind,
    /// Lost bytes.
    pub bytes: u64,
    /// The inodes in them, used or not.
    pub inodes: u64,
}

/// Metadata of a file system that belongs to no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MetadataKind {
    /// The superblock.
    Superblock,
    /// The descriptors of the block groups.
    GroupDescriptors,
    /// A copy of the two.
    Backup,
    /// A map of blocks or inodes in use.
    Bitmap,
    /// A table of inodes.
    InodeTable,
}

impl MetadataKind {
    /// The words that users and scripts see.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Superblock => "superblock",
            Self::GroupDescriptors => "group descriptors",
            Self::Backup => "backup of superblock and group descriptors",
            Self::Bitmap => "bitmaps",
            Self::InodeTable => "inode tables",
        }
    }
}

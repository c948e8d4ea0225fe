//! What keeps a target from growing.

use std::fmt;
use std::path::PathBuf;

/// What keeps a target from growing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    /// The file system that is mounted here has no free block; `None` where the program was given
    /// an open file and does not know where it lies.
    FileSystem(Option<PathBuf>),
    /// The file system that is mounted here can hold no more files, whatever their size.
    Inodes(PathBuf),
    /// A block device takes no more: it keeps its blocks on something that is full.
    Device,
    /// The user, group or project may use no more of the file system that is mounted here.
    Quota(Option<PathBuf>),
    /// No file may be so large: for the file system, or for this process (`RLIMIT_FSIZE`).
    FileSize,
}

impl fmt::Display for Limit {
    /// What the operating system says, because people look for that, and what it means.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileSystem(None) | Self::Device => f.write_str("No space left on device"),
            Self::FileSystem(Some(place)) => write!(
                f,
                "No space left on device: the file system {} is full",
                place.display()
            ),
            Self::Inodes(place) => write!(
                f,
                "No space left on device: the file system {} can hold no more files",
                place.display()
            ),
            Self::Quota(None) => f.write_str("Disk quota exceeded"),
            Self::Quota(Some(place)) => write!(
                f,
                "Disk quota exceeded on the file system {}",
                place.display()
            ),
            Self::FileSize => f.write_str("File too large"),
        }
    }
}

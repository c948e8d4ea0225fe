//! A file that is looked for, and what the kernel knows it by.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file that may be in use.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Its path.
    pub path: PathBuf,
    /// Whether a device that has the file as one of its layers writes to it: only the last layer
    /// of a chain, or a lone image.
    pub top: bool,
}

/// Device and inode number.
pub(super) type Identity = (u64, u64);

pub(super) fn identity(path: &Path) -> Option<Identity> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}

//! How files are written.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::observe::Progress;
use crate::sink::IfExists;
use crate::tree::IfLost;
use crate::workers::Workers;

/// How files are written into a directory, and by what.
#[derive(Clone, Copy)]
pub struct ExtractOptions<'a> {
    /// The directory, which exists.
    pub into: &'a Path,
    /// What becomes of a file that is there. Directories stay, and get what the tree has besides.
    pub if_exists: IfExists,
    /// What becomes of a file that lost bytes.
    pub if_lost: IfLost,
    /// Whether device and inode number are those of a file that must not be replaced, because it is
    /// read.
    pub is_source: &'a (dyn Fn((u64, u64)) -> bool + Sync),
    /// The threads that write.
    pub workers: &'a Workers,
    /// Ends the work once it is set.
    pub stop: &'a AtomicBool,
    /// Sees how far it has come, in bytes of regular files.
    pub progress: &'a dyn Progress,
}

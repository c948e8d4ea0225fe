//! Files that hold a disk already and are brought up to date.

use std::fmt::Debug;
use std::path::PathBuf;

use crate::sink::ExistingSink;

/// A file before it is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileBefore {
    /// Its path.
    pub path: PathBuf,
    /// Its first [`FileBefore::HEAD`] bytes. Where an earlier change did not come to its end, the
    /// file has zeros there, and these are the bytes that it had before.
    pub head: Vec<u8>,
    /// How many of its bytes hold something; what follows them is of a change that did not come to
    /// its end.
    pub len: u64,
}

impl FileBefore {
    /// Without these bytes no program takes the file for one of its format.
    pub const HEAD: u64 = 4096;
}

/// Whether a file can be brought up to date.
#[derive(Debug)]
pub enum FileChange {
    /// It can.
    Possible(Box<dyn PlannedChange>),
    /// Not with these options: why.
    Unknown(&'static str),
    /// The file is not one that this program left: what shows that.
    Foreign(&'static str),
}

/// A change that was planned.
///
/// Until it is complete, all that describes the file as it was stays where it is, but for the head:
/// the same change can be planned again and begun anew, wherever it ended.
pub trait PlannedChange: Debug + Send + Sync {
    /// What the file was.
    fn before(&self) -> &FileBefore;

    /// How long the file will be, in bytes.
    fn file_len(&self) -> u64;

    /// What takes the ranges of the disk and puts them into `file`, which is as long as planned;
    /// what it has more than [`FileBefore::len`] reads as zeros.
    fn sink(self: Box<Self>, file: Box<dyn ExistingSink>) -> Box<dyn ExistingSink>;
}

//! A tree of files as it is read, whatever stores it: directories, what is known of each file, and
//! its bytes.
//!
//! Nothing is mounted and nothing is followed: a name leads to the number of an inode, and the
//! inode is a [`Node`]. `&self` everywhere, so many threads read one tree.

mod capacity;
mod contents;
mod glob;
mod metadata;
mod path;
#[cfg(test)]
pub(crate) mod testing;
mod walk;

use std::fmt::Debug;

pub use self::capacity::Capacity;
pub use self::contents::{IfLost, Piece, contents, read_over_losses};
pub use self::glob::expand;
pub use self::metadata::{DeviceNumber, FileType, Metadata, Moment};
pub use self::path::{LastLink, PathError, Resolved, resolve};
pub use self::walk::{Ancestors, TreeError, sorted_entries};

use crate::error::Result;

/// A tree of files, read-only.
pub trait Tree: Debug + Send + Sync {
    /// The number of the root directory's inode.
    fn root(&self) -> u64;

    /// The file with this inode number.
    ///
    /// # Errors
    ///
    /// Where there is none, or what is stored of it is damaged or lost.
    fn node(&self, inode: u64) -> Result<Box<dyn Node + '_>>;

    /// What there is room for, and what of it is free; nothing where the tree has no room of its
    /// own.
    ///
    /// # Errors
    ///
    /// Where what is stored of it is damaged or lost.
    fn capacity(&self) -> Result<Capacity> {
        Ok(Capacity::default())
    }
}

/// A file of any type.
pub trait Node: Debug + Send + Sync {
    /// What is known of it beside its contents.
    fn metadata(&self) -> &Metadata;

    /// The entries of a directory, without `.` and `..`, in the order in which they are stored;
    /// none where it is no directory. After an error come no more.
    fn entries(&self) -> Entries<'_>;

    /// The inode of the parent, of a directory; the root is its own.
    ///
    /// # Errors
    ///
    /// As [`Tree::node`].
    fn parent(&self) -> Result<u64>;

    /// The inode that a name of a directory leads to; `None` where it has no such entry.
    ///
    /// # Errors
    ///
    /// As [`Tree::node`].
    fn lookup(&self, name: &[u8]) -> Result<Option<u64>> {
        for entry in self.entries() {
            let entry = entry?;
            if entry.name == name {
                return Ok(Some(entry.inode));
            }
        }
        Ok(None)
    }

    /// Where a symbolic link leads, never empty in a sound tree; empty for other types.
    ///
    /// # Errors
    ///
    /// As [`Tree::node`].
    fn link_target(&self) -> Result<Vec<u8>>;

    /// The extended attributes, ordered by name, each name once. POSIX ACLs are among them, as the
    /// kernel gives them to programs (`system.posix_acl_access`, version 2).
    ///
    /// # Errors
    ///
    /// As [`Tree::node`].
    fn attributes(&self) -> Result<Vec<Attribute>>;

    /// What a regular file has at `offset`, in bytes: data or a hole, and how far. `offset` lies
    /// inside its size.
    ///
    /// # Errors
    ///
    /// As [`Tree::node`], and [`DiskError::OutOfRange`](crate::disk::DiskError::OutOfRange) where
    /// the offset does not lie inside.
    fn run_at(&self, offset: u64) -> Result<Run>;

    /// How many bytes from `offset` on are certainly lost where [`Node::run_at`] says that what is
    /// stored of them is, at least one: all whose place the same lost block would have said.
    fn lost_at(&self, _offset: u64) -> u64 {
        1
    }

    /// Fills all of `buf` with the bytes of a regular file from `offset`; holes are zeros.
    ///
    /// # Errors
    ///
    /// As [`Node::run_at`], and what the disk says.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()>;
}

/// The entries of a directory.
pub type Entries<'a> = Box<dyn Iterator<Item = Result<Entry>> + Send + 'a>;

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name: any bytes but NUL and `/`, never empty, `.` or `..`.
    pub name: Vec<u8>,
    /// The number of its inode.
    pub inode: u64,
    /// The type of the file, where the directory says it.
    pub file_type: Option<FileType>,
}

/// An extended attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The name with its namespace, as in `user.comment`.
    pub name: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

/// Bytes of a file that are stored, or that are not and read as zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The number of bytes: at least one, and all of them lie before the end of the file.
    pub len: u64,
    /// Whether they are stored.
    pub data: bool,
}

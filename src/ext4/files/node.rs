//! A file of the file system, as a node of its tree.

use super::directory::Walk;
use super::inode::{Inode, ROOT};
use super::reader::Reader;
use crate::error::Result;
use crate::tree::{Attribute, Entries, FileType, Metadata, Node, Run};

/// A file of a file system.
#[derive(Debug)]
pub(super) struct File<'a> {
    files: &'a Reader,
    inode: Inode,
}

impl<'a> File<'a> {
    /// Opens the file with this inode; those that are the file system's own are no files.
    pub(super) fn open(files: &'a Reader, number: u32) -> Result<Self> {
        if number < files.features.first_inode && number != ROOT {
            return Err(files.damaged(number, "it is the file system's own"));
        }
        let inode = files.inode(number)?;
        if inode.is_attribute() {
            return Err(files.damaged(number, "it holds an attribute, and is no file"));
        }
        Ok(Self { files, inode })
    }
}

impl Node for File<'_> {
    fn metadata(&self) -> &Metadata {
        &self.inode.metadata
    }

    fn entries(&self) -> Entries<'_> {
        match self.inode.metadata.file_type {
            FileType::Directory => Box::new(Walk::new(self.files, &self.inode)),
            _ => Box::new(std::iter::empty()),
        }
    }

    fn parent(&self) -> Result<u64> {
        self.files.parent_of(&self.inode)
    }

    fn link_target(&self) -> Result<Vec<u8>> {
        match self.inode.metadata.file_type {
            FileType::Symlink => self.files.target_of(&self.inode),
            _ => Ok(Vec::new()),
        }
    }

    fn attributes(&self) -> Result<Vec<Attribute>> {
        self.files.attributes_of(&self.inode)
    }

    fn run_at(&self, offset: u64) -> Result<Run> {
        self.files.run_at(&self.inode, offset)
    }

    fn lost_at(&self, offset: u64) -> u64 {
        self.files.lost_at(&self.inode, offset)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.files.read_file(&self.inode, buf, offset)
    }
}

//! Lays what fast commits say over a file system, as the kernel does it with blocks.

use super::directory::{Walk, is_name};
use super::reader::Reader;
use super::record::{Name, Record};
use crate::error::Result;
use crate::tree::FileType;

impl Reader {
    /// Lays changes over the file system, in their order.
    pub(super) fn change(&mut self, records: Vec<Record>) -> Result<()> {
        for record in records {
            match record {
                Record::Inode(inode, bytes) => {
                    self.changed.inodes.insert(inode, bytes);
                }
                Record::Range(inode, range) => {
                    self.changed.ranges.entry(inode).or_default().push(range);
                }
                Record::Name { name, is_new } => {
                    if !is_name(&name.name) {
                        let problem = "a name in a fast commit of the directory is no name";
                        return Err(self.damaged(name.directory, problem));
                    }
                    if is_new && self.is_directory(name.inode)? {
                        self.changed.parents.insert(name.inode, name.directory);
                    }
                    // A name that is there stays what it is.
                    if self.inode_of(&name)?.is_none() {
                        let inode = Some(name.inode);
                        self.changed.set(name, inode);
                    }
                }
                Record::NoName(name) => {
                    if self.inode_of(&name)? == Some(u64::from(name.inode)) {
                        self.changed.set(name, None);
                    }
                }
            }
        }
        Ok(())
    }

    fn is_directory(&self, inode: u32) -> Result<bool> {
        let inode = self.inode(inode)?;
        Ok(inode.metadata.file_type == FileType::Directory)
    }

    /// What a name leads to now.
    fn inode_of(&self, name: &Name) -> Result<Option<u64>> {
        let directory = self.inode(name.directory)?;
        for entry in Walk::new(self, &directory) {
            let entry = entry?;
            if entry.name == name.name {
                return Ok(Some(entry.inode));
            }
        }
        Ok(None)
    }
}

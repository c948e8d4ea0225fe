//! The files of an ext2, ext3 or ext4 file system, as the kernel would show them.
//!
//! This reader is strict where the search for what a loss cost is lenient: what makes no sense, or
//! has a wrong checksum, is an error that names the inode, and other files are read on. A journal
//! is replayed in memory, so that a container which was killed shows its newest files.

mod acl;
mod apply;
mod attributes;
mod capacity;
mod changed;
mod checksum;
mod contents;
mod directory;
mod error;
mod features;
mod free;
mod group;
mod index;
mod inode;
mod journal;
mod map;
mod node;
mod reader;
mod record;
mod replayed;
mod run;
mod volume;

use std::ops::Range;
use std::sync::Arc;

pub use self::error::FilesError;
pub use self::free::{FreeError, IfDirty, free_ranges};

use self::error::refused;
use self::features::Journal;
use self::inode::ROOT;
use self::journal::Newer;
use self::node::File;
use self::reader::Reader;
use super::blocks::{BlockPieces, Blocks, DiskBlocks, Reading};
use super::superblock::Superblock;
use crate::disk::VirtualDisk;
use crate::error::{Error, ErrorKind, Result};
use crate::tree::{Capacity, Node, Tree};

/// The files of a file system.
#[derive(Debug)]
pub struct Files(Reader);

impl Files {
    /// Opens the file system that fills `disk`. A journal that is to be replayed is replayed in
    /// memory; the disk is not written.
    ///
    /// # Errors
    ///
    /// [`FilesError::NotExt4`], [`FilesError::Feature`], [`FilesError::Damaged`],
    /// [`FilesError::Journal`], and what the disk says.
    pub fn open(disk: Arc<dyn VirtualDisk>) -> Result<Self> {
        let superblock = Superblock::read_first(&DiskBlocks::new(&*disk))?;
        let superblock = superblock.ok_or(FilesError::NotExt4)?;
        let reader = Reader::new(disk, superblock, false)?;
        match newer_of(&reader)? {
            None => Ok(Self(reader)),
            Some(newer) => Self::with(reader, newer),
        }
    }

    /// Opens a damaged file system: a copy stands in for a superblock or a group's descriptor that
    /// is damaged or lost. The disk gives errors for what is lost, and so do the files that had it.
    /// Besides gives what holds for all files: that the superblock is a copy, or that the journal
    /// is not replayed, so that files may be older than they were.
    ///
    /// # Errors
    ///
    /// As [`Files::open`], where not even a copy is left.
    pub fn open_over_damage(disk: Arc<dyn VirtualDisk>) -> Result<(Self, Vec<Error>)> {
        let mut problems = Vec::new();
        let opened = match Superblock::read_first(&OverDamage::new(&*disk))? {
            Some(superblock) => Reader::new(Arc::clone(&disk), superblock, true),
            None => Err(FilesError::NotExt4.into()),
        };
        let reader = match opened {
            Ok(reader) => reader,
            Err(error) if error.kind() == ErrorKind::Unsupported => return Err(error),
            Err(error) => {
                let Some(copy) = Superblock::read_copy(&OverDamage::new(&*disk))? else {
                    return Err(error);
                };
                problems.push(error);
                Reader::new(disk, copy, true)?
            }
        };
        match newer_of(&reader) {
            Ok(None) => Ok((Self(reader), problems)),
            Ok(Some(newer)) => Ok((Self::with(reader, newer)?, problems)),
            Err(error) => {
                problems.push(error);
                Ok((Self(reader), problems))
            }
        }
    }

    /// The files with what their journal has newer.
    fn with(reader: Reader, newer: Newer) -> Result<Self> {
        let mut reader = reader.with_blocks(newer.blocks)?;
        reader.change(newer.changes)?;
        Ok(Self(reader))
    }
}

/// What the journal has newer, where it is to be replayed and has anything.
fn newer_of(reader: &Reader) -> Result<Option<Newer>> {
    // A copy of the superblock does not say whether there is something to replay.
    let is_copy = reader.superblock.group > 0;
    let wanted = reader.features.needs_recovery || is_copy;
    let newer = match reader.features.journal {
        _ if !wanted => return Ok(None),
        Some(Journal::Inode(inode)) => journal::replay(reader, inode)?,
        Some(Journal::External) => return Err(refused("it lies on another disk")),
        None if is_copy => return Ok(None),
        None => return Err(refused("the file system has none")),
    };
    let has_any = !newer.blocks.is_empty() || !newer.changes.is_empty();
    Ok(has_any.then_some(newer))
}

impl Tree for Files {
    fn root(&self) -> u64 {
        u64::from(ROOT)
    }

    fn node(&self, inode: u64) -> Result<Box<dyn Node + '_>> {
        let Ok(number) = u32::try_from(inode) else {
            let problem = "there is no inode with this number";
            return Err(FilesError::Inode { inode, problem }.into());
        };
        Ok(Box::new(File::open(&self.0, number)?))
    }

    fn capacity(&self) -> Result<Capacity> {
        self.0.capacity()
    }
}

/// A disk that gives errors for what it lost.
#[derive(Debug)]
struct OverDamage<'a>(DiskBlocks<'a>);

impl<'a> OverDamage<'a> {
    fn new(disk: &'a dyn VirtualDisk) -> Self {
        Self(DiskBlocks::new(disk))
    }
}

impl Blocks for OverDamage<'_> {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<Reading> {
        match self.0.read_at(buf, offset) {
            Err(error) if error.kind() == ErrorKind::Lost => Ok(Reading::Lost),
            read => read,
        }
    }

    fn pieces_in(&self, range: Range<u64>) -> BlockPieces<'_> {
        self.0.pieces_in(range)
    }
}

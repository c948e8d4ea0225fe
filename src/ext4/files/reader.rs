//! A file system that is open: its blocks, its shape, and what is newer than both.

use std::sync::Arc;

use super::changed::Changed;
use super::error::FilesError;
use super::features::{self, Features};
use super::replayed::Replayed;
use super::volume::{Block, Volume};
use crate::disk::VirtualDisk;
use crate::error::{Error, ErrorKind, Result};
use crate::ext4::superblock::Superblock;

/// A file system that is open. What it reads of inodes, directories and so on stands with these.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) volume: Volume,
    pub(super) superblock: Superblock,
    pub(super) features: Features,
    pub(super) changed: Changed,
    /// Whether copies stand in for what is damaged.
    pub(super) over_damage: bool,
}

impl Reader {
    /// The file system as it lies on the disk.
    pub(super) fn new(
        disk: Arc<dyn VirtualDisk>,
        superblock: Superblock,
        over_damage: bool,
    ) -> Result<Self> {
        let mut bytes = [0; features::SIZE];
        disk.read_at(&mut bytes, superblock.place)?;
        Ok(Self {
            volume: Volume::new(disk, superblock.block_size, Replayed::default()),
            features: Features::parse(&bytes)?,
            superblock,
            changed: Changed::default(),
            over_damage,
        })
    }

    /// The same file system with these newer blocks, its superblock perhaps.
    pub(super) fn with_blocks(self, newer: Replayed) -> Result<Self> {
        let Superblock { place, group, .. } = self.superblock;
        let disk = Arc::clone(self.volume.disk());
        let size = disk.size();
        let volume = Volume::new(disk, self.superblock.block_size, newer);
        let mut bytes = [0; features::SIZE];
        volume.read_at(&mut bytes, place)?;
        let superblock = Superblock::parse(&bytes, place, size, group);
        Ok(Self {
            superblock: superblock.ok_or(FilesError::Damaged("its superblock is none"))?,
            features: Features::parse(&bytes)?,
            volume,
            changed: Changed::default(),
            over_damage: self.over_damage,
        })
    }

    /// Reads a block of metadata that belongs to an inode.
    pub(super) fn read_block(&self, inode: u32, block: u64) -> Result<Arc<Block>> {
        let read = self.volume.block(block);
        read.map_err(|error| self.lost(inode, error))
    }

    /// The same error, with the inode that it is about, where part of the disk is lost.
    pub(super) fn lost(&self, inode: u32, error: Error) -> Error {
        if error.kind() != ErrorKind::Lost || error.detail::<FilesError>().is_some() {
            return error;
        }
        let inode = u64::from(inode);
        let source = Box::new(error);
        FilesError::Lost { inode, source }.into()
    }

    /// An error of an inode.
    pub(super) fn damaged(&self, inode: u32, problem: &'static str) -> Error {
        let inode = u64::from(inode);
        FilesError::Inode { inode, problem }.into()
    }
}

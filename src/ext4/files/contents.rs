//! The bytes of files.

use super::error::FilesError;
use super::inode::Inode;
use super::reader::Reader;
use crate::disk::DiskError;
use crate::error::Result;
use crate::tree::Run;
use crate::util::bytes::{to_u64, to_usize};

/// What an inode says of the place where its link's target stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) inode: u32,
    /// The length of the target in bytes.
    pub(super) size: u64,
    /// The room that the inode takes, its block of attributes counted, in sectors of 512 bytes.
    pub(super) sectors: u64,
    /// The block of its attributes, or 0.
    pub(super) attribute_block: u64,
    /// Whether the inode says that its contents are in itself.
    pub(super) is_inline: bool,
}

impl Link {
    fn of(inode: &Inode) -> Self {
        Self {
            inode: inode.number,
            size: inode.metadata.size,
            sectors: inode.metadata.sectors,
            attribute_block: inode.attribute_block(),
            is_inline: inode.is_inline(),
        }
    }
}

impl Reader {
    /// What a file has at `offset`, and how far.
    ///
    /// # Errors
    ///
    /// As [`Reader::blocks_at`]; [`FilesError::Encrypted`].
    pub(super) fn run_at(&self, inode: &Inode, offset: u64) -> Result<Run> {
        let size = inode.metadata.size;
        DiskError::check_range(offset, 1, size)?;
        self.refuse_encrypted(inode)?;
        if inode.is_inline() {
            let (len, data) = (size - offset, true);
            return Ok(Run { len, data });
        }
        let block_size = self.superblock.block_size;
        let blocks = self.blocks_at(inode, offset / block_size)?;
        let len = blocks.len.saturating_mul(block_size) - offset % block_size;
        Ok(Run {
            len: len.min(size - offset),
            data: blocks.first.is_some(),
        })
    }

    /// How many bytes from `offset` on are lost with the part of the map that says where they are.
    pub(super) fn lost_at(&self, inode: &Inode, offset: u64) -> u64 {
        let block_size = self.superblock.block_size;
        let blocks = self.lost_blocks_at(inode, offset / block_size);
        let len = blocks.saturating_mul(block_size) - offset % block_size;
        len.min(inode.metadata.size.saturating_sub(offset)).max(1)
    }

    /// Fills all of `buf` with the bytes of a file from `offset`.
    ///
    /// # Errors
    ///
    /// As [`Reader::run_at`]; [`DiskError::OutOfRange`] where the range does not lie inside.
    pub(super) fn read_file(&self, inode: &Inode, buf: &mut [u8], offset: u64) -> Result<()> {
        DiskError::check_range(offset, to_u64(buf.len()), inode.metadata.size)?;
        self.refuse_encrypted(inode)?;
        if inode.is_inline() {
            return self.read_inline(inode, buf, offset);
        }
        let block_size = self.superblock.block_size;
        let (mut rest, mut at) = (buf, offset);
        while !rest.is_empty() {
            let blocks = self.blocks_at(inode, at / block_size)?;
            let into = at % block_size;
            let len = blocks.len.saturating_mul(block_size) - into;
            let len = len.min(to_u64(rest.len()));
            let (here, after) = rest.split_at_mut(to_usize(len));
            match blocks.first {
                None => here.fill(0),
                Some(first) => {
                    let place = self.superblock.offset_of(first).saturating_add(into);
                    let read = self.volume.read_at(here, place);
                    read.map_err(|error| self.lost(inode.number, error))?;
                }
            }
            at = at.saturating_add(len);
            rest = after;
        }
        Ok(())
    }

    fn read_inline(&self, inode: &Inode, buf: &mut [u8], offset: u64) -> Result<()> {
        let bytes = self.inline_data(inode)?;
        let here = bytes.get(to_usize(offset)..).unwrap_or_default();
        let (stored, zeros) = buf.split_at_mut(here.len().min(buf.len()));
        stored.copy_from_slice(here.get(..stored.len()).unwrap_or_default());
        // What the kernel gives where the file was made longer.
        zeros.fill(0);
        Ok(())
    }

    /// What an inode stores in itself: 60 bytes, and those of an attribute.
    pub(super) fn inline_data(&self, inode: &Inode) -> Result<Vec<u8>> {
        let mut bytes = inode.root().to_vec();
        bytes.extend(self.inline_attribute(inode)?);
        Ok(bytes)
    }

    /// Where a symbolic link leads.
    pub(super) fn target_of(&self, inode: &Inode) -> Result<Vec<u8>> {
        /// The longest path that the kernel takes.
        const LONGEST: u64 = 4095;
        let size = inode.metadata.size;
        self.refuse_encrypted(inode)?;
        // The kernel looks into one block, which has room for a NUL too.
        if size > LONGEST.min(self.superblock.block_size - 1) {
            return Err(self.damaged(inode.number, "its target is too long"));
        }
        let mut target = vec![0; to_usize(size)];
        if self.is_short_link(&Link::of(inode))? {
            target = inode.root().to_vec();
            target.truncate(to_usize(size));
            if target.contains(&0) {
                return Err(self.damaged(inode.number, "its target is shorter than its size"));
            }
        } else {
            self.read_file(inode, &mut target, 0)?;
        }
        // The kernel reads up to the first NUL.
        if let Some(end) = target.iter().position(|&byte| byte == 0) {
            target.truncate(end);
        }
        if target.is_empty() {
            return Err(self.damaged(inode.number, "its target is empty"));
        }
        Ok(target)
    }

    /// Whether a link's target stands where others list their blocks. The kernel goes by the room
    /// that the link takes, and by the length of the target where inodes hold large attributes: a
    /// library of 2007 put short targets into blocks.
    pub(super) fn is_short_link(&self, link: &Link) -> Result<bool> {
        /// The bytes of a list of blocks.
        const ROOM: u64 = 60;
        let fits = link.size < ROOM;
        if self.features.attribute_inodes {
            return Ok(fits);
        }
        let of_attributes = match link.attribute_block {
            0 => 0,
            _ => self.features.attribute_sectors,
        };
        let is_short = !link.is_inline && link.sectors == of_attributes;
        match is_short && !fits {
            true => Err(self.damaged(link.inode, "its target does not fit the room it takes")),
            false => Ok(is_short),
        }
    }

    pub(super) fn refuse_encrypted(&self, inode: &Inode) -> Result<()> {
        match inode.is_encrypted() {
            true => Err(FilesError::Encrypted(u64::from(inode.number)).into()),
            false => Ok(()),
        }
    }
}

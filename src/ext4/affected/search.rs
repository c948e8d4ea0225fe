//! The search through one file system: its metadata and every inode.

use std::ops::Range;

use super::budget::Budget;
use super::lost::{LostInodes, LostRanges};
use super::metadata::Metadata;
use super::report::{Affected, AffectedFile, FileKind, MetadataKind};
use crate::error::Result;
use crate::ext4::blocks::{Blocks, Reading};
use crate::ext4::groups::{Group, Groups};
use crate::ext4::inode::{Inode, Kind};
use crate::ext4::mapping::Mapping;
use crate::ext4::superblock::Superblock;
use crate::util::bytes::to_usize;

/// A search through one file system.
pub(super) struct Search<'a> {
    pub(super) superblock: &'a Superblock,
    pub(super) lost: &'a LostRanges,
    pub(super) budget: &'a Budget,
    /// For what is read once a group; its number is taken from the budget beforehand.
    pub(super) descriptors: &'a dyn Blocks,
    /// For lists of blocks: lost where the disk lost them, and where the budget is spent.
    pub(super) lists: &'a dyn Blocks,
    /// For inodes and directories: what stands there is read even where it is lost. Lost only where
    /// the budget is spent.
    pub(super) contents: &'a dyn Blocks,
    /// The inodes of all directories, ascending.
    pub(super) directories: Vec<u32>,
}

/// The inodes that are the file system's own are below this one.
const FIRST_FREE_INODE: u32 = 11;

pub(super) const ROOT_INODE: u32 = 2;

pub(super) const JOURNAL_INODE: u32 = 8;

/// A map of blocks kept for growing: no file.
const RESIZE_INODE: u32 = 7;

impl<'a> Search<'a> {
    /// Goes through all block groups: what of their metadata is lost, and every inode. Gives the
    /// inodes that are lost.
    pub(super) fn groups(&mut self, found: &mut Affected) -> Result<LostInodes> {
        let superblock = self.superblock;
        let mut lost_inodes = LostInodes::default();
        // Every group has a descriptor that is stored: more than the disk can have are a claim.
        let descriptors = superblock.groups.saturating_mul(superblock.descriptor_size);
        if !self.budget.take(descriptors) {
            return Ok(lost_inodes);
        }
        let mut metadata = Metadata::default();
        self.superblocks(&mut metadata);
        let mut groups = Groups::new(self.descriptors, superblock);
        for number in 0..superblock.groups {
            let Some(group) = groups.get(number)? else {
                continue;
            };
            for bitmap in [group.block_bitmap, group.inode_bitmap] {
                let bytes = self.lost_bytes(&superblock.block_range(bitmap, 1));
                metadata.add(MetadataKind::Bitmap, bytes, 0);
            }
            let first_inode = number * u64::from(superblock.inodes_per_group) + 1;
            let table = self.table(&group);
            let inode_size = superblock.inode_size;
            for (part, _) in self.lost_parts(&table) {
                let from = (part.start - table.start) / inode_size;
                let to = (part.end - table.start).div_ceil(inode_size);
                lost_inodes.add(first_inode + from..first_inode + to);
                metadata.add(MetadataKind::InodeTable, part.end - part.start, to - from);
            }
            self.inodes(&table, first_inode, found)?;
            if self.budget.is_spent() {
                break;
            }
        }
        found.metadata = metadata.into_list();
        Ok(lost_inodes)
    }

    /// Adds how much of superblock, descriptors and their copies is lost.
    fn superblocks(&self, metadata: &mut Metadata) {
        let superblock = self.superblock;
        let bytes = self.lost_bytes(&Superblock::RANGE);
        metadata.add(MetadataKind::Superblock, bytes, 0);
        for index in 0..superblock.descriptor_block_count() {
            let first = superblock.descriptor_blocks(index).first().copied();
            let bytes = self.lost_bytes(&superblock.block_range(first.unwrap_or(0), 1));
            metadata.add(MetadataKind::GroupDescriptors, bytes, 0);
        }
        for copy in superblock.copies() {
            metadata.add(MetadataKind::Backup, self.lost_bytes(&copy), 0);
        }
    }

    /// Where the inodes of a group that were ever used lie, in bytes.
    fn table(&self, group: &Group) -> Range<u64> {
        let start = self.superblock.offset_of(group.inode_table);
        let len = u64::from(group.inodes_used) * self.superblock.inode_size;
        start..start.saturating_add(len)
    }

    /// The lost parts of a range, each with whether it is doubtful, until the budget is spent: many
    /// things may claim one range.
    fn lost_parts(&self, range: &Range<u64>) -> impl Iterator<Item = (Range<u64>, bool)> {
        let budget = self.budget;
        self.lost.within(range).take_while(|_| budget.take(1))
    }

    fn lost_bytes(&self, range: &Range<u64>) -> u64 {
        let parts = self.lost_parts(range);
        parts.map(|(part, _)| part.end - part.start).sum()
    }

    /// The pieces of a file, until the budget is spent.
    pub(super) fn mappings(
        &self,
        inode: &Inode,
    ) -> impl Iterator<Item = Result<Mapping>> + use<'a> {
        /// What a piece takes in the list of them, at the least.
        const PIECE: u64 = 4;
        let budget = self.budget;
        let mappings = inode.mappings(self.lists, self.superblock);
        mappings.take_while(|_| budget.take(PIECE))
    }

    /// Looks at all inodes of a table; holes of the disk have none.
    fn inodes(&mut self, table: &Range<u64>, first_inode: u64, found: &mut Affected) -> Result<()> {
        const CHUNK: u64 = 64 << 10;
        let (size, contents) = (self.superblock.inode_size, self.contents);
        let end = table.end.min(contents.size());
        // An inode may lie over the edge of two pieces.
        let mut next = 0;
        let mut buffer = Vec::new();
        for piece in contents.pieces_in(table.start.min(end)..end) {
            let piece = piece?;
            if !piece.data {
                continue;
            }
            let last = (piece.end() - table.start).div_ceil(size);
            let mut index = ((piece.offset - table.start) / size).max(next);
            while index < last {
                let start = table.start + index * size;
                let len = (CHUNK.min((last - index) * size)).min(end.saturating_sub(start));
                let len = len / size * size;
                if len == 0 {
                    break;
                }
                buffer.resize(to_usize(len), 0);
                if contents.read_at(&mut buffer, start)? == Reading::Lost {
                    return Ok(());
                }
                let bytes = buffer.chunks_exact(to_usize(size));
                for (number, bytes) in (first_inode + index..).zip(bytes) {
                    // The table may have more room than there are inodes.
                    let Ok(number) = u32::try_from(number) else {
                        return Ok(());
                    };
                    if let Some(inode) = Inode::parse(number, bytes).filter(Inode::has_blocks) {
                        self.inode(&inode, found)?;
                    }
                }
                index += len / size;
            }
            next = index;
        }
        Ok(())
    }

    /// Notes an inode if it lost something.
    fn inode(&mut self, inode: &Inode, found: &mut Affected) -> Result<()> {
        if inode.kind == Kind::Directory {
            self.directories.push(inode.number);
        }
        if inode.number == RESIZE_INODE {
            return Ok(());
        }
        let mut file = AffectedFile::new(inode.number, kind_of(inode), inode.size);
        for mapping in self.mappings(inode) {
            match mapping? {
                Mapping::Unknown => file.map_lost = true,
                // What was reserved and never written reads as zeros anyway.
                Mapping::Blocks {
                    unwritten: true, ..
                } => {}
                Mapping::Blocks {
                    logical,
                    physical,
                    len,
                    ..
                } => {
                    let stored = self.superblock.block_range(physical, len);
                    let first = self.superblock.offset_of(logical);
                    for (part, doubtful) in self.lost_parts(&stored) {
                        let start = first.saturating_add(part.start - stored.start);
                        let end = start.saturating_add(part.end - part.start).min(inode.size);
                        if start < end {
                            file.add(start..end, doubtful);
                        }
                    }
                }
            }
        }
        if file.bytes > 0 || file.map_lost {
            found.add(file);
        }
        Ok(())
    }
}

fn kind_of(inode: &Inode) -> FileKind {
    match (inode.number, inode.kind) {
        (JOURNAL_INODE, _) => FileKind::Journal,
        (ROOT_INODE, _) | (_, Kind::Directory) => FileKind::Directory,
        (number, _) if number < FIRST_FREE_INODE => FileKind::System,
        (_, Kind::Symlink) => FileKind::Symlink,
        (_, Kind::File | Kind::Special | Kind::BadBlocks) => FileKind::File,
    }
}

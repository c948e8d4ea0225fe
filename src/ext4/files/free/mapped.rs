//! All blocks of a file: those of its bytes, written or not, and those that list them.

use std::ops::Range;

use super::claims::Claims;
use super::owner::{BAD_BLOCKS, Claimant, List, Owner};
use crate::error::Result;
use crate::ext4::extent::Extent;
use crate::ext4::files::map::{Node, OUTSIDE, UNREADABLE};
use crate::ext4::files::reader::Reader;
use crate::util::bytes::{le_u16, le_u32};

/// Which blocks of a file a node of its tree should list.
struct Reach {
    /// The first one, where that is known.
    start: Option<u64>,
    /// The one after the last.
    end: u64,
}

/// Claims the blocks of an inode. A list of blocks that leads back to itself claims a block twice,
/// which is an error, so there is an end.
pub(super) struct Mapped<'a> {
    pub(super) reader: &'a Reader,
    pub(super) claims: &'a Claims<'a>,
    pub(super) owner: &'a Owner<'a>,
}

impl Mapped<'_> {
    /// Claims all blocks of a list.
    ///
    /// # Errors
    ///
    /// As [`Claims::take`]; [`FilesError::Inode`](crate::ext4::FilesError::Inode) where the list
    /// makes no sense, and what the disk says.
    pub(super) fn take_all(&self, list: List) -> Result<()> {
        let root = self.owner.root();
        match list {
            List::None => Ok(()),
            List::Extents => {
                let all = Reach {
                    start: None,
                    end: u64::MAX,
                };
                self.extents(&root, None, all)
            }
            List::Pointers => {
                let (direct, trees) = root.split_at(48);
                self.pointers(direct, 0)?;
                trees
                    .chunks_exact(4)
                    .zip(1..)
                    .try_for_each(|(tree, depth)| self.pointers(tree, depth))
            }
            List::Tables => self.tables(&root),
        }
    }

    fn outside(&self) -> crate::Error {
        self.reader.damaged(self.owner.number, OUTSIDE)
    }

    fn take(&self, blocks: Range<u64>) -> Result<()> {
        let len = blocks.end.saturating_sub(blocks.start);
        if !self.reader.superblock.holds(blocks.start, len) {
            return Err(self.outside());
        }
        self.claims.take(Claimant::Inode(self.owner.number), blocks)
    }

    /// Claims blocks that a list leads to, and that list nothing themselves.
    fn take_data(&self, mut blocks: Range<u64>) -> Result<()> {
        if self.owner.number != BAD_BLOCKS {
            return self.take(blocks);
        }
        // mke2fs keeps copies of the superblock and its descriptors in bad blocks, too; they are
        // claimed as tables.
        blocks.try_for_each(|block| match self.is_of_a_copy(block) {
            true => Ok(()),
            false => self.take(block..block + 1),
        })
    }

    /// Whether a group other than the first one keeps a copy of the superblock or of descriptors in
    /// a block: what e2fsck takes for no error.
    fn is_of_a_copy(&self, block: u64) -> bool {
        let superblock = &self.reader.superblock;
        let since_first = block.checked_sub(superblock.group_start(0));
        let group = since_first.map(|blocks| blocks / superblock.blocks_per_group);
        group.is_some_and(|group| group > 0 && superblock.copy_of(group).contains(&block))
    }

    /// Claims what a node of a tree of extents lists. It should have this depth, and reach from
    /// where to where in the file.
    fn extents(&self, bytes: &[u8], depth: Option<u16>, reach: Reach) -> Result<()> {
        let number = self.owner.number;
        let damaged = |problem| self.reader.damaged(number, problem);
        let node = Node::parse(bytes, depth).ok_or_else(|| damaged(UNREADABLE))?;
        node.check(reach.start, reach.end).map_err(damaged)?;
        let Some(below) = node.depth.checked_sub(1) else {
            for entry in node.entries {
                let extent = Extent::parse(entry);
                let end = extent.physical.checked_add(extent.len);
                self.take_data(extent.physical..end.ok_or_else(|| self.outside())?)?;
            }
            return Ok(());
        };
        let start = |entry: &[u8; 12]| u64::from(le_u32(entry, 0));
        let ends = node.entries.iter().skip(1).map(start);
        let ends = ends.chain(std::iter::once(reach.end));
        for (entry, end) in node.entries.iter().zip(ends) {
            let block = u64::from(le_u32(entry, 4)) | u64::from(le_u16(entry, 8)) << 32;
            self.take(block..block + 1)?;
            let read = self.reader.read_block(number, block)?;
            let check = |bytes: &[u8]| self.reader.check_extents(number, self.owner.seed, bytes);
            read.check(check)?;
            let reach = Reach {
                start: Some(start(entry)),
                end,
            };
            self.extents(&read.bytes, Some(below), reach)?;
        }
        Ok(())
    }

    /// Claims what pointers lead to, `depth` blocks of pointers above the blocks of the file.
    fn pointers(&self, pointers: &[u8], depth: u32) -> Result<()> {
        let mut words = pointers
            .chunks_exact(4)
            .map(|word| u64::from(le_u32(word, 0)))
            .filter(|&block| block != 0)
            .peekable();
        while let Some(first) = words.next() {
            let mut end = first + 1;
            while depth == 0 && words.next_if_eq(&end).is_some() {
                end += 1;
            }
            let Some(below) = depth.checked_sub(1) else {
                self.take_data(first..end)?;
                continue;
            };
            self.take(first..end)?;
            let read = self.reader.read_block(self.owner.number, first)?;
            self.pointers(&read.bytes, below)?;
        }
        Ok(())
    }

    /// Claims the block that lists the room that is kept for descriptors. What it lists are tables
    /// of the file system, which are known.
    fn tables(&self, root: &[u8; 60]) -> Result<()> {
        /// Where the pointer to blocks of pointers to blocks of pointers stands.
        const DOUBLE: usize = 52;
        let block = u64::from(le_u32(root, DOUBLE));
        if block == 0 {
            return Ok(());
        }
        self.take(block..block + 1)?;
        let read = self.reader.read_block(self.owner.number, block)?;
        let words = read.bytes.chunks_exact(4).map(|word| le_u32(word, 0));
        for table in words.map(u64::from).filter(|&table| table != 0) {
            if !self.reader.superblock.holds(table, 1) {
                return Err(self.outside());
            }
            let claimant = Claimant::Inode(self.owner.number);
            self.claims.take_unless_table(claimant, table)?;
        }
        Ok(())
    }
}

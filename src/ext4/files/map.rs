//! Where the blocks of a file lie: a tree of extents, or pointers.

use std::sync::Arc;

use super::checksum::crc32c;
use super::inode::Inode;
use super::reader::Reader;
use super::run::BlockRun;
use super::volume::Block;
use crate::error::{ErrorKind, Result};
use crate::ext4::extent::Extent;
use crate::util::bytes::{le_u16, le_u32, to_u64, to_usize};

pub(super) const UNREADABLE: &str = "its list of blocks makes no sense";
pub(super) const OUTSIDE: &str = "one of its blocks lies outside the file system";

impl Reader {
    /// What lies at block `logical` of a file, and how far.
    ///
    /// # Errors
    ///
    /// [`FilesError::Inode`](super::FilesError::Inode) where the list of blocks makes no sense,
    /// and what the disk says.
    pub(super) fn blocks_at(&self, inode: &Inode, logical: u64) -> Result<BlockRun> {
        let found = self.stored_at(inode, logical, &mut 0)?;
        let found = self.changed.blocks(inode.number, logical, found);
        match found.first {
            Some(first) if !self.superblock.holds(first, found.len) => {
                Err(self.damaged(inode.number, OUTSIDE))
            }
            _ => Ok(found),
        }
    }

    /// How many blocks from `logical` on have the block of the map in common that is lost.
    pub(super) fn lost_blocks_at(&self, inode: &Inode, logical: u64) -> u64 {
        let mut reach = 1;
        match self.stored_at(inode, logical, &mut reach) {
            Err(error) if error.kind() == ErrorKind::Lost => reach.max(1),
            _ => 1,
        }
    }

    /// What the map says; `reach` is how many blocks the block of the map has that was read last.
    fn stored_at(&self, inode: &Inode, logical: u64, reach: &mut u64) -> Result<BlockRun> {
        if inode.has_extents() {
            self.extent_at(inode, logical, reach)
        } else {
            self.pointer_at(inode, logical, reach)
        }
    }

    fn extent_at(&self, inode: &Inode, logical: u64, reach: &mut u64) -> Result<BlockRun> {
        let damaged = |problem| self.damaged(inode.number, problem);
        let root = inode.root();
        // The node that the walk is at, and the levels that it should have below it.
        let (mut block, mut depth): (Option<Arc<Block>>, _) = (None, None);
        // From where to where this part of the tree reaches.
        let (mut start, mut end) = (None, u64::MAX);
        loop {
            let bytes = block.as_ref().map_or(root.as_slice(), |block| &block.bytes);
            let node = Node::parse(bytes, depth).ok_or_else(|| damaged(UNREADABLE))?;
            node.check(start, end).map_err(damaged)?;
            let (entry, next) = node.entries_around(logical);
            end = next.unwrap_or(end);
            let Some(entry) = entry else {
                return Ok(BlockRun {
                    len: end - logical,
                    first: None,
                });
            };
            let Some(below) = node.depth.checked_sub(1) else {
                return self.in_extent(inode, entry, logical, end);
            };
            start = Some(u64::from(le_u32(entry, 0)));
            let number = u64::from(le_u32(entry, 4)) | u64::from(le_u16(entry, 8)) << 32;
            if !self.superblock.holds(number, 1) {
                return Err(damaged(OUTSIDE));
            }
            *reach = end.saturating_sub(logical);
            let read = self.read_block(inode.number, number)?;
            read.check(|bytes| self.check_extents(inode.number, inode.seed, bytes))?;
            (block, depth) = (Some(read), Some(below));
        }
    }

    fn in_extent(&self, inode: &Inode, entry: &[u8], logical: u64, end: u64) -> Result<BlockRun> {
        let extent = Extent::parse(entry);
        let into = logical - extent.logical;
        if into >= extent.len {
            return Ok(BlockRun {
                len: end - logical,
                first: None,
            });
        }
        if !self.superblock.holds(extent.physical, extent.len) {
            return Err(self.damaged(inode.number, OUTSIDE));
        }
        Ok(BlockRun {
            len: extent.len - into,
            first: (!extent.unwritten).then_some(extent.physical + into),
        })
    }

    /// Checks the checksum of a block of a file's extents, which begins with `seed`.
    pub(super) fn check_extents(&self, inode: u32, seed: Option<u32>, bytes: &[u8]) -> Result<()> {
        let Some(seed) = seed else {
            return Ok(());
        };
        let end = Node::HEADER + usize::from(le_u16(bytes, 4)) * Node::ENTRY;
        let sum = bytes.get(..end).map(|bytes| crc32c(seed, bytes));
        if bytes.len() < end + 4 || sum != Some(le_u32(bytes, end)) {
            let problem = "the checksum of a block of its extents is wrong";
            return Err(self.damaged(inode, problem));
        }
        Ok(())
    }

    fn pointer_at(&self, inode: &Inode, logical: u64, reach: &mut u64) -> Result<BlockRun> {
        /// The pointers to blocks of the file itself; three to trees of pointers follow them.
        const DIRECT: u64 = 12;
        let hole = |len| Ok(BlockRun { len, first: None });
        let per_block = self.superblock.block_size / 4;
        let root = inode.root();
        if logical < DIRECT {
            let pointers = root.get(..48).unwrap_or_default();
            return self.pointers_at(inode, pointers, to_usize(logical));
        }
        // Which tree: where it begins, and how many blocks of the file it has.
        let (mut into, mut covered) = (logical - DIRECT, per_block);
        let mut depth = 1usize;
        while into >= covered {
            into -= covered;
            covered = covered.saturating_mul(per_block);
            depth += 1;
            if depth > 3 {
                return hole(u64::MAX - logical);
            }
        }
        let mut pointer = le_u32(&root, 44 + 4 * depth);
        let mut block;
        loop {
            if pointer == 0 {
                return hole(covered - into);
            }
            if !self.superblock.holds(u64::from(pointer), 1) {
                return Err(self.damaged(inode.number, OUTSIDE));
            }
            *reach = covered - into;
            block = self.read_block(inode.number, u64::from(pointer))?;
            covered /= per_block;
            depth -= 1;
            let index = to_usize(into / covered);
            if depth == 0 {
                return self.pointers_at(inode, &block.bytes, index);
            }
            into %= covered;
            pointer = le_u32(&block.bytes, index * 4);
        }
    }

    /// The pointers from the one at `index` on that go on from each other.
    fn pointers_at(&self, inode: &Inode, pointers: &[u8], index: usize) -> Result<BlockRun> {
        let mut rest = (pointers.chunks_exact(4).skip(index)).map(|word| le_u32(word, 0));
        let first = rest.next().unwrap_or(0);
        let follows = |(ahead, word): (u32, u32)| match first {
            0 => word == 0,
            first => first.checked_add(ahead) == Some(word),
        };
        let len = 1 + to_u64((1..).zip(rest).take_while(|&pair| follows(pair)).count());
        if first == 0 {
            return Ok(BlockRun { len, first: None });
        }
        let first = u64::from(first);
        if !self.superblock.holds(first, len) {
            return Err(self.damaged(inode.number, OUTSIDE));
        }
        let first = Some(first);
        Ok(BlockRun { len, first })
    }
}

/// A node of a tree of extents.
pub(super) struct Node<'a> {
    /// The levels below this one.
    pub(super) depth: u16,
    pub(super) entries: &'a [[u8; Node::ENTRY]],
}

impl<'a> Node<'a> {
    const HEADER: usize = 12;
    const ENTRY: usize = 12;

    /// Reads a node; `None` where it is none, or has another depth than its parent says.
    pub(super) fn parse(bytes: &'a [u8], should_be: Option<u16>) -> Option<Self> {
        /// The kernel's own limit.
        const DEEPEST: u16 = 5;
        const MAGIC: u16 = 0xf30a;
        let (header, entries) = bytes.split_at_checked(Self::HEADER)?;
        let (count, room, depth) = (le_u16(header, 2), le_u16(header, 4), le_u16(header, 6));
        let fits = depth <= DEEPEST && should_be.is_none_or(|should_be| depth == should_be);
        if le_u16(header, 0) != MAGIC || count > room || !fits {
            return None;
        }
        let (entries, _) = entries.as_chunks::<{ Node::ENTRY }>();
        Some(Self {
            depth,
            entries: entries.get(..usize::from(count))?,
        })
    }

    /// Whether entries are in order, without overlap, and all before `end`; the first one begins
    /// where the node above says, if there is one.
    pub(super) fn check(
        &self,
        begin: Option<u64>,
        end: u64,
    ) -> std::result::Result<(), &'static str> {
        if self.entries.is_empty() && self.depth > 0 {
            return Err(UNREADABLE);
        }
        let first = self
            .entries
            .first()
            .map(|entry| u64::from(le_u32(entry, 0)));
        if let (Some(begin), Some(first)) = (begin, first)
            && begin != first
        {
            return Err("its extents do not begin where their index says");
        }
        let mut from = 0;
        for (index, entry) in self.entries.iter().enumerate() {
            let start = u64::from(le_u32(entry, 0));
            let past = match self.depth {
                0 => Extent::parse(entry).len + start,
                _ => start + 1,
            };
            if start < from && index > 0 || past == start || past > end {
                return Err("its extents are out of order");
            }
            from = past;
        }
        Ok(())
    }

    /// The last entry that begins at `logical` or before it, and where the one after it begins.
    fn entries_around(&self, logical: u64) -> (Option<&'a [u8]>, Option<u64>) {
        let start = |entry: &[u8; 12]| u64::from(le_u32(entry, 0));
        let after = self
            .entries
            .partition_point(|entry| start(entry) <= logical);
        let entry = after.checked_sub(1).and_then(|at| self.entries.get(at));
        let next = self.entries.get(after).map(start);
        (entry.map(<[u8; 12]>::as_slice), next)
    }
}

//! The index of a large directory: a tree of hashes. Names are found without it, block by block;
//! but it knows blocks that a directory which was made shorter by mistake lost.

use super::inode::Inode;
use super::reader::Reader;
use crate::error::Result;
use crate::util::bytes::{le_u16, le_u32, to_usize};

/// Where the entries of the root begin, and those of other nodes.
const IN_ROOT: usize = 32;
const IN_NODE: usize = 8;

impl Reader {
    /// Checks that the directory has all blocks that its index names. What does not look like an
    /// index is none, as for the kernel, which then reads block by block too.
    ///
    /// # Errors
    ///
    /// Where a block lies past the end of the directory, and what the disk says.
    pub(super) fn check_index(&self, inode: &Inode) -> Result<()> {
        if !inode.has_index() || !self.features.directory_index || inode.is_inline() {
            return Ok(());
        }
        let blocks = inode.metadata.size.div_ceil(self.superblock.block_size);
        let root = self.directory_block(inode, 0)?;
        let Some(levels) = self.levels(&root.bytes) else {
            return Ok(());
        };
        let mut nodes = self.below(inode, &root.bytes, IN_ROOT, blocks)?;
        for _ in 0..levels {
            let mut lower = Vec::new();
            for node in nodes {
                let node = self.directory_block(inode, node)?;
                lower.extend(self.below(inode, &node.bytes, IN_NODE, blocks)?);
                // Each block of the directory stands below one node.
                if lower.len() > to_usize(blocks) {
                    return Err(self.damaged(inode.number, "its index names blocks again"));
                }
            }
            nodes = lower;
        }
        Ok(())
    }

    /// How many levels of nodes are below the root; `None` where this is no root.
    fn levels(&self, root: &[u8]) -> Option<u8> {
        let info = root.get(24..IN_ROOT)?.first_chunk::<8>()?;
        let [.., hash, len, levels, flags] = *info;
        let most = if self.features.large_directories {
            2
        } else {
            1
        };
        let room = (root.len() - IN_ROOT - self.tail()) / 8;
        let is_root = le_u32(info, 0) == 0
            && hash <= 6
            && len == 8
            && levels <= most
            && flags & 1 == 0
            && usize::from(le_u16(root, IN_ROOT)) == room;
        is_root.then_some(levels)
    }

    /// The bytes of a checksum after the entries.
    fn tail(&self) -> usize {
        if self.features.seed.is_some() { 8 } else { 0 }
    }

    /// The blocks that the entries of a node name.
    fn below(&self, inode: &Inode, bytes: &[u8], at: usize, blocks: u64) -> Result<Vec<u64>> {
        const BLOCK: u32 = 0x0fff_ffff;
        let damaged = |problem| self.damaged(inode.number, problem);
        let (room, used) = (le_u16(bytes, at), le_u16(bytes, at + 2));
        let entries = bytes.get(at..at + usize::from(used) * 8);
        let entries = entries.filter(|_| used > 0 && used <= room);
        let entries = entries.ok_or_else(|| damaged("its index makes no sense"))?;
        let numbers = entries
            .chunks_exact(8)
            .map(|entry| u64::from(le_u32(entry, 4) & BLOCK));
        let numbers: Vec<_> = numbers.collect();
        match numbers.iter().all(|&number| number < blocks) {
            true => Ok(numbers),
            false => Err(damaged("its index names a block past its end")),
        }
    }
}

//! The blocks of a file: by a tree of extents, or by blocks of pointers.

#[cfg(test)]
mod tests;

use super::blocks::Blocks;
use super::extent::Extent;
use super::superblock::Superblock;
use crate::error::Result;
use crate::util::bytes::{le_u16, le_u32, saturating_u32};

/// A piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mapping {
    /// Blocks that follow each other in the file and on the disk; all lie inside the file system.
    Blocks {
        /// The number of the first block in the file.
        logical: u64,
        /// The number of the first block in the file system.
        physical: u64,
        /// The number of blocks.
        len: u64,
        /// Whether the blocks are kept for the file but were never written: they read as zeros.
        unwritten: bool,
    },
    /// Part of the list is lost or makes no sense.
    Unknown,
}

/// What an inode says of its blocks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Root<'a> {
    /// There are none.
    Empty,
    /// The root of a tree of extents.
    Extents(&'a [u8; 60]),
    /// Twelve pointers to blocks, and three to trees of pointers of growing depth.
    Pointers(&'a [u8; 60]),
}

/// The pieces of a file, in its order, without its holes. Reads the nodes of the list as it comes
/// to them, and keeps at most six of them.
#[derive(Debug)]
pub(crate) struct Mappings<'a> {
    blocks: &'a dyn Blocks,
    superblock: &'a Superblock,
    nodes: Nodes,
}

/// From the root of the list to where the walk is.
#[derive(Debug)]
enum Nodes {
    Empty,
    /// The root is no node of a tree.
    Broken,
    Extents(Vec<ExtentNode>),
    Pointers {
        nodes: Vec<PointerNode>,
        /// The block of the file that the next pointer is for.
        logical: u64,
    },
}

impl<'a> Mappings<'a> {
    pub(super) fn new(blocks: &'a dyn Blocks, superblock: &'a Superblock, root: Root<'_>) -> Self {
        let nodes = match root {
            Root::Empty => Nodes::Empty,
            Root::Extents(root) => match ExtentNode::parse(root.to_vec(), None) {
                Some(node) => Nodes::Extents(vec![node]),
                None => Nodes::Broken,
            },
            Root::Pointers(root) => Nodes::Pointers {
                nodes: vec![PointerNode::root(root)],
                logical: 0,
            },
        };
        Self {
            blocks,
            superblock,
            nodes,
        }
    }
}

impl Iterator for Mappings<'_> {
    type Item = Result<Mapping>;

    fn next(&mut self) -> Option<Self::Item> {
        let (blocks, superblock) = (self.blocks, self.superblock);
        let found = match &mut self.nodes {
            Nodes::Empty => return None,
            Nodes::Broken => {
                self.nodes = Nodes::Empty;
                return Some(Ok(Mapping::Unknown));
            }
            Nodes::Extents(nodes) => next_extent(nodes, blocks, superblock),
            Nodes::Pointers { nodes, logical } => next_block(nodes, logical, blocks, superblock),
        };
        if !matches!(found, Ok(Some(_))) {
            self.nodes = Nodes::Empty;
        }
        found.transpose()
    }
}

/// A node of a tree of extents, and how far the walk is in it.
#[derive(Debug)]
struct ExtentNode {
    bytes: Vec<u8>,
    /// How many levels of nodes are below this one.
    depth: u16,
    /// How many entries the node has.
    count: usize,
    /// How many of them were passed.
    passed: usize,
}

impl ExtentNode {
    const HEADER: usize = 12;
    const ENTRY: usize = 12;

    /// Reads a node; `None` where it is none. `depth` is what its parent says.
    fn parse(bytes: Vec<u8>, depth: Option<u16>) -> Option<Self> {
        const MAGIC: u16 = 0xf30a;
        /// The kernel's own limit.
        const DEEPEST: u16 = 5;
        let (count, found) = (le_u16(&bytes, 2), le_u16(&bytes, 6));
        let fits = found <= DEEPEST && depth.is_none_or(|depth| depth == found);
        (le_u16(&bytes, 0) == MAGIC && fits).then_some(Self {
            bytes,
            depth: found,
            count: usize::from(count),
            passed: 0,
        })
    }

    /// The next entry; none past the end of the node, however many it claims.
    fn next_entry(&mut self) -> Option<&[u8]> {
        let at = Self::HEADER + self.passed * Self::ENTRY;
        let entry = self.bytes.get(at..)?.get(..Self::ENTRY)?;
        self.passed += 1;
        (self.passed <= self.count).then_some(entry)
    }
}

/// Walks on to the next extent of a tree.
fn next_extent(
    nodes: &mut Vec<ExtentNode>,
    blocks: &dyn Blocks,
    superblock: &Superblock,
) -> Result<Option<Mapping>> {
    while let Some(node) = nodes.last_mut() {
        let depth = node.depth;
        let Some(entry) = node.next_entry() else {
            nodes.pop();
            continue;
        };
        let Some(depth) = depth.checked_sub(1) else {
            return Ok(Some(extent(entry, superblock)));
        };
        let block = u64::from(le_u32(entry, 4)) | u64::from(le_u16(entry, 8)) << 32;
        let bytes = superblock.read_block(blocks, block)?;
        match bytes.and_then(|bytes| ExtentNode::parse(bytes, Some(depth))) {
            Some(node) => nodes.push(node),
            None => return Ok(Some(Mapping::Unknown)),
        }
    }
    Ok(None)
}

/// What an entry of a leaf says.
fn extent(entry: &[u8], superblock: &Superblock) -> Mapping {
    let extent = Extent::parse(entry);
    if !superblock.holds(extent.physical, extent.len) {
        return Mapping::Unknown;
    }
    Mapping::Blocks {
        logical: extent.logical,
        physical: extent.physical,
        len: extent.len,
        unwritten: extent.unwritten,
    }
}

/// A block of pointers, and how far the walk is in it.
#[derive(Debug)]
struct PointerNode {
    bytes: Vec<u8>,
    /// How many levels of pointers are below this one; `None` for the root, whose pointers differ.
    depth: Option<u32>,
    /// How many pointers were passed.
    passed: usize,
}

impl PointerNode {
    fn root(bytes: &[u8; 60]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            depth: None,
            passed: 0,
        }
    }

    /// The next pointer, and how many levels of pointers are below it: 0 for a block of the file.
    fn next_pointer(&mut self) -> Option<(u64, u32)> {
        /// The pointers of an inode to blocks of the file itself.
        const DIRECT: usize = 12;
        let index = self.passed;
        let word = self.bytes.get(index * 4..)?.get(..4)?;
        self.passed += 1;
        let of_root = (index + 1).saturating_sub(DIRECT);
        let depth = self.depth.unwrap_or(saturating_u32(of_root as u64));
        Some((u64::from(le_u32(word, 0)), depth))
    }
}

/// Walks on to the next block that a tree of pointers names.
fn next_block(
    nodes: &mut Vec<PointerNode>,
    logical: &mut u64,
    blocks: &dyn Blocks,
    superblock: &Superblock,
) -> Result<Option<Mapping>> {
    while let Some(node) = nodes.last_mut() {
        let Some((block, depth)) = node.next_pointer() else {
            nodes.pop();
            continue;
        };
        // What the pointer covers, in blocks of the file.
        let covered = (superblock.block_size / 4).saturating_pow(depth);
        let first = *logical;
        if block == 0 {
            *logical = first.saturating_add(covered);
            continue;
        }
        if let Some(depth) = depth.checked_sub(1)
            && let Some(bytes) = superblock.read_block(blocks, block)?
        {
            nodes.push(PointerNode {
                bytes,
                depth: Some(depth),
                passed: 0,
            });
            continue;
        }
        *logical = first.saturating_add(covered);
        let is_block = depth == 0 && superblock.holds(block, 1);
        return Ok(Some(if is_block {
            Mapping::Blocks {
                logical: first,
                physical: block,
                len: 1,
                unwritten: false,
            }
        } else {
            Mapping::Unknown
        }));
    }
    Ok(None)
}

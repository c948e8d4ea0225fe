//! Lists of blocks in a file system that is made by hand.

use std::ops::Range;

use super::*;
use crate::ext4::blocks::{BlockPieces, Reading};

const BLOCK: usize = 1024;

/// A file system of 64 blocks of 1 KiB with a superblock and nothing else; some are lost.
#[derive(Debug)]
struct Memory {
    bytes: Vec<u8>,
    lost: Vec<u64>,
}

impl Memory {
    fn new() -> Self {
        let mut memory = Self {
            bytes: vec![0; 64 * BLOCK],
            lost: Vec::new(),
        };
        // Blocks, first data block, blocks and inodes of a group, the magic number.
        for (at, word) in [(4, 64), (20, 1), (32, 8192), (40, 16), (56, 0xef53)] {
            memory.put(1, at, word);
        }
        memory
    }

    fn put(&mut self, block: usize, at: usize, word: u32) {
        put(&mut self.bytes[block * BLOCK..], at, word);
    }

    fn mappings(&self, root: Root<'_>) -> Vec<Mapping> {
        let superblock = Superblock::read(self).unwrap().unwrap();
        let mappings = Mappings::new(self, &superblock, root);
        mappings.map(Result::unwrap).collect()
    }
}

impl Blocks for Memory {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn read_at(&self, buf: &mut [u8], offset: u64) -> crate::error::Result<Reading> {
        if self.lost.contains(&(offset / BLOCK as u64)) {
            return Ok(Reading::Lost);
        }
        let at = usize::try_from(offset).unwrap();
        buf.copy_from_slice(&self.bytes[at..at + buf.len()]);
        Ok(Reading::Whole)
    }
    fn pieces_in(&self, _range: Range<u64>) -> BlockPieces<'_> {
        unimplemented!("a list of blocks is read, stored or not")
    }
}

fn put(bytes: &mut [u8], at: usize, word: u32) {
    bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
}

/// A node of extents; each entry is three words, as they are stored.
fn node(bytes: &mut [u8], depth: u32, entries: &[[u32; 3]]) {
    put(
        bytes,
        0,
        0xf30a | u32::try_from(entries.len()).unwrap() << 16,
    );
    put(bytes, 4, 4 | depth << 16);
    for (at, word) in (12..).step_by(4).zip(entries.as_flattened()) {
        put(bytes, at, *word);
    }
}

fn root(depth: u32, entries: &[[u32; 3]]) -> [u8; 60] {
    let mut root = [0; 60];
    node(&mut root, depth, entries);
    root
}

fn run(logical: u64, physical: u64, len: u64) -> Mapping {
    Mapping::Blocks {
        logical,
        physical,
        len,
        unwritten: false,
    }
}

#[test]
fn extents_are_told_with_their_place_and_whether_they_were_written() {
    let root = root(
        0,
        &[[0, 3, 10], [7, 0x8000 + 2, 20], [9, 1, 63], [10, 2, 63]],
    );

    let found = Memory::new().mappings(Root::Extents(&root));

    let unwritten = Mapping::Blocks {
        logical: 7,
        physical: 20,
        len: 2,
        unwritten: true,
    };
    // The last one goes past the end of the file system.
    let expected = [run(0, 10, 3), unwritten, run(9, 63, 1), Mapping::Unknown];
    assert_eq!(found, expected);
}

#[test]
fn a_tree_of_extents_is_walked_over_lost_nodes_and_nodes_of_another_depth() {
    let mut memory = Memory::new();
    for (block, first) in [(40, 0), (41, 100), (43, 300)] {
        let entries = [[first, 1, 10], [first + 5, 2, 20]];
        node(&mut memory.bytes[block * BLOCK..], 0, &entries);
    }
    // This node says that its entries are nodes too.
    node(&mut memory.bytes[42 * BLOCK..], 1, &[[200, 42, 0]]);
    memory.lost = vec![41];
    let root = root(1, &[[0, 40, 0], [100, 41, 0], [200, 42, 0], [300, 43, 0]]);

    let found = memory.mappings(Root::Extents(&root));

    let unknown = Mapping::Unknown;
    let first = [run(0, 10, 1), run(5, 20, 2)];
    let last = [run(300, 10, 1), run(305, 20, 2)];
    assert_eq!(found, [&first[..], &[unknown, unknown], &last[..]].concat());
}

#[test]
fn a_root_that_is_no_node_is_unknown_and_a_count_is_not_believed() {
    let memory = Memory::new();
    assert_eq!(memory.mappings(Root::Extents(&[1; 60])), [Mapping::Unknown]);
    let mut root = root(0, &[[0, 1, 10]; 4]);
    root[2..4].copy_from_slice(&[255; 2]);
    assert_eq!(memory.mappings(Root::Extents(&root)), [run(0, 10, 1); 4]);
    assert_eq!(memory.mappings(Root::Empty), []);
}

#[test]
fn pointers_are_counted_over_holes_and_over_lost_blocks_of_pointers() {
    let mut memory = Memory::new();
    let mut root = [0; 60];
    // Blocks 0 and 11 of the file, and the trees of one, two and three levels.
    for (index, block) in [(0, 10), (11, 11), (12, 40), (13, 41), (14, 42)] {
        put(&mut root, index * 4, block);
    }
    memory.put(40, 4, 12);
    memory.put(40, 255 * 4, 64); // past the end
    memory.put(41, 0, 43); // lost
    memory.put(41, 4, 44);
    memory.put(44, 8, 13);
    memory.put(42, 0, 45);
    memory.put(45, 4, 46);
    memory.put(46, 12, 14);
    memory.lost = vec![43];

    let found = memory.mappings(Root::Pointers(&root));

    let (one, two) = (12, 12 + 256);
    let three = two + 256 * 256;
    let expected = [
        run(0, 10, 1),
        run(11, 11, 1),
        run(one + 1, 12, 1),
        Mapping::Unknown,
        Mapping::Unknown,
        run(two + 256 + 2, 13, 1),
        run(three + 256 + 3, 14, 1),
    ];
    assert_eq!(found, expected);
}

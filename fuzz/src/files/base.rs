//! A sound ext4 of 1 KiB blocks with a little of everything, written byte by byte.

use std::sync::LazyLock;

use crate::sparse::Sparse;

/// The size of an inode in bytes.
pub(super) const INODE: usize = 256;
/// The bytes of an inode that are left for attributes.
pub(super) const OWN_ATTRIBUTES: usize = INODE - 128 - 32;

const BLOCK: usize = 1024;
const BLOCKS: usize = 1200;
const INODES: usize = 32;
const TABLE: usize = 5;

// Numbers of inodes.
const ROOT: usize = 2;
const LOG: usize = 8;
pub(super) const DIRECTORY: usize = 12;
pub(super) const FILE: usize = 13;
const LINK: usize = 14;
/// Holds the value of an attribute, where that is so.
pub(super) const VALUE: usize = 15;

// Numbers of blocks.
const ROOT_ENTRIES: usize = 16;
/// Sixteen of a directory.
pub(super) const ENTRIES: usize = 20;
/// Eight for lists of blocks.
pub(super) const LISTS: usize = 40;
pub(super) const ATTRIBUTES: usize = 50;
const TARGET: usize = 51;
const VALUES: usize = 52;
const DATA: usize = 60;
/// Those of the journal: 1024 of the log, and more for fast commits.
pub(super) const JOURNAL: usize = 128;
const JOURNAL_LEN: usize = 1024 + FAST_LEN;
const FAST_LEN: usize = 24;

/// Where a block lies, in bytes.
pub(super) fn block(number: usize) -> usize {
    number * BLOCK
}

/// Where an inode lies, in bytes.
pub(super) fn inode(number: usize) -> usize {
    block(TABLE) + (number - 1) * INODE
}

/// The file system.
#[derive(Clone)]
pub(super) struct Base {
    /// As far as there is something; a journal of zeros follows.
    bytes: Vec<u8>,
    /// How many bytes came from the input.
    laid: usize,
}

impl Base {
    /// A copy of the one that every execution begins with.
    pub(super) fn new() -> Self {
        static SOUND: LazyLock<Base> = LazyLock::new(Base::build);
        SOUND.clone()
    }

    fn build() -> Self {
        let mut base = Self {
            bytes: vec![0; block(JOURNAL)],
            laid: 0,
        };
        base.superblock();
        let first_extent = [(0, 16, ENTRIES)];
        base.file(ROOT, 0o040_755, BLOCK, &[(0, 1, ROOT_ENTRIES)]);
        base.file(
            LOG,
            0o100_600,
            JOURNAL_LEN * BLOCK,
            &[(0, JOURNAL_LEN, JOURNAL)],
        );
        base.file(DIRECTORY, 0o040_755, 16 * BLOCK, &first_extent);
        base.file(
            FILE,
            0o100_644,
            40 * BLOCK,
            &[(0, 5, DATA), (30, 4, DATA + 20)],
        );
        base.file(LINK, 0o120_777, 100, &[(0, 1, TARGET)]);
        base.file(VALUE, 0o100_600, 3000, &[(0, 3, VALUES)]);
        // Its checksum, which begins with that of the UUID.
        let sum = crc32c(crc32c(!0, &[0; 16]), &[b'v'; 3000]);
        base.word(inode(VALUE) + 8, sum as usize);
        base.word(inode(FILE) + 104, ATTRIBUTES);
        base.put(block(TARGET), &[b't'; 100]);
        base.put(block(VALUES), &[b'v'; 3 * BLOCK]);
        base.put(block(DATA), &[b'd'; 40 * BLOCK]);
        base.entries(
            ROOT_ENTRIES,
            &[
                (b".", ROOT, 2),
                (b"..", ROOT, 2),
                (b"directory", DIRECTORY, 2),
                (b"file", FILE, 1),
                (b"link", LINK, 7),
            ],
        );
        base.entries(
            ENTRIES,
            &[(b".", DIRECTORY, 2), (b"..", ROOT, 2), (b"again", FILE, 1)],
        );
        for number in 1..16 {
            base.entries(ENTRIES + number, &[]);
        }
        base
    }

    /// The disk with it.
    pub(super) fn into_file(self) -> Sparse {
        Sparse {
            bytes: self.bytes,
            len: (BLOCKS * BLOCK) as u64,
        }
    }

    /// Whether nothing was changed: then it can be read.
    pub(super) fn is_sound(&self) -> bool {
        self.laid == 0
    }

    /// Lays bytes of an input over what is there; those past the end are left out.
    pub(super) fn lay(&mut self, at: usize, bytes: &[u8]) {
        self.laid += bytes.len();
        self.put(at, bytes);
    }

    /// Lays bytes over what is there; those past the end are left out.
    fn put(&mut self, at: usize, bytes: &[u8]) {
        let len = bytes.len().min((BLOCKS * BLOCK).saturating_sub(at));
        if self.bytes.len() < at + len {
            self.bytes.resize(at + len, 0);
        }
        self.bytes[at..at + len].copy_from_slice(&bytes[..len]);
    }

    fn word(&mut self, at: usize, word: usize) {
        self.put(at, &(word as u32).to_le_bytes());
    }

    fn half(&mut self, at: usize, half: usize) {
        self.put(at, &(half as u16).to_le_bytes());
    }

    fn superblock(&mut self) {
        let words = [
            (0, INODES),
            (4, BLOCKS),
            (20, 1), // the first block
            (24, 0), // 1 KiB
            (28, 0),
            (32, 8192), // blocks, clusters and inodes of a group
            (36, 8192),
            (40, INODES),
            (76, 1),     // revision
            (84, 11),    // the first inode that is not the file system's own
            (92, 0x2c),  // has_journal, ext_attr, dir_index
            (96, 0x42),  // filetype, extent
            (100, 0x6b), // sparse_super, large_file, huge_file, dir_nlink, extra_isize
            (224, LOG),
        ];
        for (at, word) in words {
            self.word(BLOCK + at, word);
        }
        for (at, half) in [(56, 0xef53), (58, 1), (88, INODE), (348, 32), (350, 32)] {
            self.half(BLOCK + at, half);
        }
        // Its bitmaps and its table of inodes.
        for (at, word) in [(0, 3), (4, 4), (8, TABLE)] {
            self.word(2 * BLOCK + at, word);
        }
    }

    /// An inode with extents: the first block of the file, how many, the first on the disk.
    fn file(&mut self, number: usize, mode: usize, size: usize, extents: &[(usize, usize, usize)]) {
        let at = inode(number);
        self.half(at, mode);
        self.word(at + 4, size);
        self.half(at + 26, 1);
        self.word(at + 32, 0x8_0000);
        self.half(at + 128, 32);
        let root = at + 40;
        for (place, half) in [(0, 0xf30a), (2, extents.len()), (4, 4), (6, 0)] {
            self.half(root + place, half);
        }
        for (&(first, len, start), at) in extents.iter().zip((root + 12..).step_by(12)) {
            self.word(at, first);
            self.half(at + 4, len);
            self.word(at + 8, start);
        }
    }

    /// A block of a directory.
    fn entries(&mut self, number: usize, entries: &[(&[u8], usize, u8)]) {
        let mut at = block(number);
        let end = at + BLOCK;
        if entries.is_empty() {
            self.half(at + 4, BLOCK);
        }
        for (index, (name, inode, kind)) in entries.iter().enumerate() {
            let len = match index + 1 == entries.len() {
                true => end - at,
                false => (8 + name.len()).next_multiple_of(4),
            };
            self.word(at, *inode);
            self.half(at + 4, len);
            self.put(at + 6, &[name.len() as u8, *kind]);
            self.put(at + 8, name);
            at += len;
        }
    }

    fn add_bits(&mut self, at: usize, bits: u32) {
        // What they announce may not be there.
        self.laid += 1;
        let old = u32::from_le_bytes(self.bytes[at..at + 4].try_into().expect("four bytes"));
        self.put(at, &(old | bits).to_le_bytes());
    }

    pub(super) fn add_flags(&mut self, number: usize, flags: u32) {
        self.add_bits(inode(number) + 32, flags);
    }

    pub(super) fn set_compat(&mut self, bits: u32) {
        self.add_bits(BLOCK + 92, bits);
    }

    pub(super) fn set_incompat(&mut self, bits: u32) {
        self.add_bits(BLOCK + 96, bits);
    }

    pub(super) fn clear_incompat(&mut self, bits: u32) {
        let at = BLOCK + 96;
        let old = u32::from_le_bytes(self.bytes[at..at + 4].try_into().expect("four bytes"));
        self.put(at, &(old & !bits).to_le_bytes());
    }

    /// Puts what a file has into its inode: 60 bytes where its blocks are listed, and the rest into
    /// an attribute.
    pub(super) fn keep_inline(&mut self, number: usize, bytes: &[u8]) {
        let at = inode(number);
        let bytes = &bytes[..bytes.len().min(60 + OWN_ATTRIBUTES - 28)];
        self.laid += bytes.len();
        let (root, rest) = bytes.split_at(bytes.len().min(60));
        self.word(at + 4, bytes.len());
        self.word(at + 32, 0x1000_0000);
        self.put(at + 40, &[0; 60]);
        self.put(at + 40, root);
        let own = at + 128 + 32;
        self.word(own, 0xea02_0000);
        self.put(own + 4, &[4, 7]);
        self.half(own + 6, 24);
        self.word(own + 12, rest.len());
        self.put(own + 20, b"data");
        self.put(own + 28, rest);
    }

    /// A journal with an empty log and one fast commit in one block.
    pub(super) fn fast_commit(&mut self, records: &[u8]) {
        let header = [
            (0, 0xc03b_3998),
            (4, 4),
            (12, BLOCK),
            (16, JOURNAL_LEN),
            (20, 1), // the first block of the log
            (24, 3), // the number of the next transaction
            (28, 1), // where that would begin
            (40, 0x20),
            (84, FAST_LEN),
        ];
        for (at, word) in header {
            self.put(block(JOURNAL) + at, &(word as u32).to_be_bytes());
        }
        self.laid += records.len();
        // The head: its kind, its length, no features, the number of the transaction.
        let mut commit = vec![9, 0, 8, 0, 0, 0, 0, 0, 3, 0, 0, 0];
        commit.extend(&records[..records.len().min(BLOCK - commit.len() - 12)]);
        let rest = BLOCK - commit.len() - 4;
        commit.extend([8, 0]);
        commit.extend((rest as u16).to_le_bytes());
        commit.extend(3u32.to_le_bytes());
        commit.extend(crc32c(0, &commit).to_le_bytes());
        self.put(block(JOURNAL + JOURNAL_LEN - FAST_LEN + 1), &commit);
    }
}

/// CRC-32C that goes on from `sum`, and is not turned over at its end.
fn crc32c(sum: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(sum, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| match sum & 1 {
            0 => sum >> 1,
            _ => sum >> 1 ^ 0x82f6_3b78,
        })
    })
}

//! The entries of a directory.

use crate::util::bytes::{le_u16, le_u32};

/// An entry of a directory, as it is stored: someone else's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// The name, never empty; `.` and `..` are among them.
    pub(crate) name: &'a [u8],
    /// The inode, never 0.
    pub(crate) inode: u32,
}

/// The entries in a block of a directory. A block of an index looks like one without names.
#[derive(Debug, Clone)]
pub(crate) struct Entries<'a> {
    block: &'a [u8],
    /// The offset of the next entry in the block; `None` after the last one.
    at: Option<usize>,
}

impl<'a> Entries<'a> {
    /// Takes all bytes of a block.
    pub(crate) fn of(block: &'a [u8]) -> Self {
        Self { block, at: Some(0) }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        /// An entry's bytes in front of its name.
        const HEADER: usize = 8;
        while let Some(at) = self.at.take() {
            let bytes = self.block.get(at..)?;
            let (header, names) = bytes.split_first_chunk::<HEADER>()?;
            let len = match le_u16(header, 4) {
                // Blocks of 64 KiB: more than the field can count.
                0 | 0xffff => self.block.len(),
                len => usize::from(len),
            };
            self.at = (len >= HEADER).then_some(at + len);
            let [.., name_len, _] = *header;
            let (name, inode) = (names.get(..usize::from(name_len)), le_u32(header, 0));
            if let Some(name) = name.filter(|name| inode != 0 && !name.is_empty()) {
                return Some(Entry { name, inode });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(inode: u32, len: u16, name: &[u8], file_type: u8) -> Vec<u8> {
        let mut bytes = inode.to_le_bytes().to_vec();
        bytes.extend(len.to_le_bytes());
        bytes.extend([u8::try_from(name.len()).unwrap(), file_type]);
        bytes.extend(name);
        bytes.resize(usize::from(len), 0);
        bytes
    }

    #[test]
    fn a_block_gives_names_and_inodes_and_passes_over_removed_entries() {
        let block = [
            entry(2, 12, b".", 2),
            entry(0, 12, b"gone", 1),
            entry(9, 16, b"link", 7),
            entry(8, 24, b"unknown", 0),
        ];

        let block = block.concat();
        let found: Vec<_> = Entries::of(&block)
            .map(|entry| (entry.name, entry.inode))
            .collect();

        let expected: [(&[u8], u32); 3] = [(b".", 2), (b"link", 9), (b"unknown", 8)];
        assert_eq!(found, expected);
    }

    #[test]
    fn an_entry_that_goes_nowhere_or_past_the_block_is_the_last() {
        let mut short = entry(5, 12, b"a", 1);
        short[4..6].copy_from_slice(&4u16.to_le_bytes());
        let long = [entry(5, 12, b"a", 1), entry(6, 500, b"b", 1)].concat();
        assert_eq!(Entries::of(&short.repeat(2)).count(), 1);
        assert_eq!(Entries::of(&long[..40]).count(), 2);
        let name_past_the_block = &entry(5, 16, b"longer", 1)[..12];
        assert_eq!(Entries::of(name_past_the_block).count(), 0);
    }
}

//! The entries of directories, checked as the kernel checks them.

use super::checksum::crc32c;
use super::inode::{Inode, ROOT};
use super::reader::Reader;
use crate::error::Result;
use crate::tree::{Entry, FileType};
use crate::util::bytes::{le_u16, le_u32, to_u64};

/// An entry's bytes in front of its name.
const HEADER: usize = 8;

/// The bytes of a checksum that looks like an entry at the end of a block.
const TAIL: usize = 12;

/// An entry as it is stored: `.` and `..` are among them.
struct Stored<'a> {
    inode: u32,
    name: &'a [u8],
    file_type: u8,
}

/// Whether a file may have this name.
pub(super) fn is_name(name: &[u8]) -> bool {
    let is_short = (1..=255).contains(&name.len());
    let is_plain = !name.iter().any(|byte| matches!(byte, 0 | b'/'));
    is_short && is_plain && !matches!(name, b"." | b"..")
}

/// The blocks of a directory, and the entries of the one that was read last.
pub(super) struct Walk<'a> {
    files: &'a Reader,
    inode: &'a Inode,
    /// The next block of the directory; `None` after the last one.
    next: Option<u64>,
    read: std::vec::IntoIter<Entry>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(files: &'a Reader, inode: &'a Inode) -> Self {
        Self {
            files,
            inode,
            next: Some(0),
            read: Vec::new().into_iter(),
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.read.next() {
                return Some(Ok(entry));
            }
            let block = self.next.take()?;
            match self.files.entries_in(self.inode, block) {
                Ok(None) => self.read = self.files.changed.added(self.inode.number).into_iter(),
                Ok(Some(entries)) => {
                    self.read = entries.into_iter();
                    self.next = block.checked_add(1);
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Reader {
    /// The entries in a block of a directory; `None` past its end.
    fn entries_in(&self, inode: &Inode, block: u64) -> Result<Option<Vec<Entry>>> {
        self.refuse_encrypted(inode)?;
        let mut entries = Vec::new();
        if self.changed.parent_of_new(inode.number).is_some() {
            return Ok(None);
        }
        if inode.is_inline() {
            if block > 0 {
                return Ok(None);
            }
            // Four bytes are the parent; what an attribute has is a second piece.
            let bytes = self.inline_data(inode)?;
            let (first, second) = bytes.split_at(inode.root().len().min(bytes.len()));
            let first = first.get(4..).unwrap_or_default();
            for piece in [first, second] {
                self.parse_entries(inode, piece, &mut entries)?;
            }
            self.changed.drop_changed(inode.number, &mut entries);
            return Ok(Some(entries));
        }
        let block_size = self.superblock.block_size;
        if block >= inode.metadata.size.div_ceil(block_size) {
            return Ok(None);
        }
        if block == 0 {
            self.check_index(inode)?;
        }
        let bytes = self.directory_block(inode, block)?;
        self.parse_entries(inode, &bytes.bytes, &mut entries)?;
        self.changed.drop_changed(inode.number, &mut entries);
        Ok(Some(entries))
    }

    pub(super) fn directory_block(
        &self,
        inode: &Inode,
        block: u64,
    ) -> Result<std::sync::Arc<super::volume::Block>> {
        let damaged = |problem| self.damaged(inode.number, problem);
        let place = self.blocks_at(inode, block)?.first;
        let place = place.ok_or_else(|| damaged("the directory has a hole"))?;
        let bytes = self.read_block(inode.number, place)?;
        bytes.check(|bytes| match inode.seed {
            Some(seed) if !sum_is_right(bytes, seed, inode.has_index()) => {
                Err(damaged("the checksum of a block of the directory is wrong"))
            }
            _ => Ok(()),
        })?;
        Ok(bytes)
    }

    /// Adds the entries in `bytes`, without `.` and `..`.
    fn parse_entries(&self, inode: &Inode, bytes: &[u8], entries: &mut Vec<Entry>) -> Result<()> {
        let mut at = 0;
        while at < bytes.len() {
            let (stored, len) = self.entry_at(inode, bytes, at)?;
            at += len;
            let Some(stored) = stored else { continue };
            if matches!(stored.name, b"." | b"..") {
                continue;
            }
            if !is_name(stored.name) {
                return Err(self.damaged(inode.number, "a name in the directory is no name"));
            }
            entries.push(Entry {
                name: stored.name.to_vec(),
                inode: u64::from(stored.inode),
                file_type: match self.features.file_types {
                    true => file_type(stored.file_type),
                    false => None,
                },
            });
        }
        Ok(())
    }

    /// The entry at a place, where it is in use, and how long it is.
    fn entry_at<'a>(
        &self,
        inode: &Inode,
        bytes: &'a [u8],
        at: usize,
    ) -> Result<(Option<Stored<'a>>, usize)> {
        let damaged = |problem| self.damaged(inode.number, problem);
        let rest = bytes.get(at..).unwrap_or_default();
        let Some((header, names)) = rest.split_first_chunk::<HEADER>() else {
            // Inline pieces may end with less than an entry.
            return match rest.iter().all(|&byte| byte == 0) {
                true => Ok((None, rest.len())),
                false => Err(damaged("an entry of the directory is cut off")),
            };
        };
        let len = entry_len(header, bytes.len());
        let [.., name_len, file_type] = *header;
        let number = le_u32(header, 0);
        let needs = (HEADER + usize::from(name_len)).next_multiple_of(4);
        if len < HEADER || !len.is_multiple_of(4) || len > rest.len() {
            return Err(damaged("an entry of the directory has a wrong length"));
        }
        if number == 0 {
            return Ok((None, len));
        }
        let name = names.get(..usize::from(name_len));
        let name = name.filter(|name| !name.is_empty() && needs <= len);
        let name = name.ok_or_else(|| damaged("a name in the directory does not fit"))?;
        if number > self.features.inodes {
            return Err(damaged("a name in the directory leads to no inode"));
        }
        Ok((
            Some(Stored {
                inode: number,
                name,
                file_type,
            }),
            len,
        ))
    }

    /// The parent of a directory.
    ///
    /// # Errors
    ///
    /// Where the directory does not say it, and what the disk says.
    pub(super) fn parent_of(&self, inode: &Inode) -> Result<u64> {
        if inode.number == ROOT {
            return Ok(u64::from(ROOT));
        }
        if let Some(parent) = self.changed.parent_of_new(inode.number) {
            return Ok(parent);
        }
        if inode.is_inline() {
            return Ok(u64::from(le_u32(&inode.root(), 0)));
        }
        let bytes = self.directory_block(inode, 0)?;
        let (_, len) = self.entry_at(inode, &bytes.bytes, 0)?;
        match self.entry_at(inode, &bytes.bytes, len)? {
            (Some(stored), _) if stored.name == b".." => Ok(u64::from(stored.inode)),
            _ => Err(self.damaged(inode.number, "the directory does not say its parent")),
        }
    }
}

/// How long an entry is, in a piece of `all` bytes: blocks of 64 KiB are more than the field can
/// count.
fn entry_len(header: &[u8; HEADER], all: usize) -> usize {
    match le_u16(header, 4) {
        0 | 0xffff if all == 1 << 16 => all,
        len => {
            let len = usize::from(len);
            len & 0xfffc | (len & 3) << 16
        }
    }
}

fn file_type(byte: u8) -> Option<FileType> {
    Some(match byte {
        1 => FileType::File,
        2 => FileType::Directory,
        3 => FileType::CharacterDevice,
        4 => FileType::BlockDevice,
        5 => FileType::Fifo,
        6 => FileType::Socket,
        7 => FileType::Symlink,
        _ => return None,
    })
}

/// Whether the checksum of a block of a directory is right: at its end, or, in a block of an
/// index, after the room for entries of the index.
fn sum_is_right(bytes: &[u8], seed: u32, has_index: bool) -> bool {
    let index = has_index.then(|| index_at(bytes)).flatten();
    let Some(at) = index else {
        let Some((entries, tail)) = bytes.split_at_checked(bytes.len().saturating_sub(TAIL)) else {
            return false;
        };
        let is_tail = le_u32(tail, 0) == 0 && le_u32(tail, 4) == 0xde00_000c;
        return is_tail && crc32c(seed, entries) == le_u32(tail, 8);
    };
    // The first entry of an index says how much room there is, and how much is used.
    let (room, used) = (
        usize::from(le_u16(bytes, at)),
        usize::from(le_u16(bytes, at + 2)),
    );
    let (used, tail) = (at + used * 8, at + room * 8);
    let (Some(used), Some(tail)) = (bytes.get(..used), bytes.get(tail..)) else {
        return false;
    };
    let sum = crc32c(crc32c(seed, used), tail.get(..4).unwrap_or_default());
    tail.len() >= 8 && crc32c(sum, &[0; 4]) == le_u32(tail, 4)
}

/// Where the entries of an index begin, in a block of one.
fn index_at(bytes: &[u8]) -> Option<usize> {
    let block = to_u64(bytes.len());
    let len = |at: usize| {
        let header = bytes.get(at..)?.first_chunk::<HEADER>()?;
        Some(to_u64(entry_len(header, bytes.len())))
    };
    if len(0)? == block {
        return Some(8);
    }
    // The root: after `.` comes `..`, which goes on to the end of the block.
    (len(0)? == 12 && len(12)? == block - 12).then_some(32)
}

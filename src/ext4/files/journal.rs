//! The journal, replayed in memory: which blocks of the file system it has newer than they lie on
//! the disk. Facts are those of the kernel's documentation of jbd2 and of how it recovers.
//!
//! What the kernel would refuse to replay is refused here as well.

mod block;
mod fast;
mod file;
mod header;
mod log;

use self::file::JournalFile;
use self::header::Header;
use self::log::Log;
use super::error::refused;
use super::reader::Reader;
use super::record::Record;
use super::replayed::Replayed;
use crate::error::Result;
use crate::tree::FileType;

/// The most blocks that mke2fs and tune2fs give a journal.
const MOST_BLOCKS: u64 = 10_240_000;

/// What a journal has newer than the file system.
#[derive(Debug, Default)]
pub(super) struct Newer {
    /// Blocks.
    pub(super) blocks: Replayed,
    /// Changes that came after them.
    pub(super) changes: Vec<Record>,
}

/// Says what the journal in inode `number` has newer.
///
/// # Errors
///
/// [`FilesError::Journal`](super::FilesError::Journal) where it cannot be replayed, and what the
/// disk says.
pub(super) fn replay(reader: &Reader, number: u32) -> Result<Newer> {
    let (journal, header) = open(reader, number)?;
    let Some(start) = header.start else {
        return Ok(Newer::default());
    };
    let log = Log::scan(&journal, &header, start)?;
    let changes = match header.has_fast_commits() {
        true => fast::read(&journal, &header, log.next)?,
        false => Vec::new(),
    };
    let blocks = log.replayed(&journal, &header)?;
    Ok(Newer { blocks, changes })
}

/// What the first block of a journal says of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct JournalState {
    /// Whether nothing is to be replayed.
    pub(super) is_empty: bool,
    /// Whether the kernel gave up writing, and kept why.
    pub(super) has_failed: bool,
}

/// Says how the journal in inode `number` was left.
///
/// # Errors
///
/// As [`replay`].
pub(super) fn state(reader: &Reader, number: u32) -> Result<JournalState> {
    let (_, header) = open(reader, number)?;
    Ok(JournalState {
        is_empty: header.start.is_none(),
        has_failed: header.failure != 0,
    })
}

fn open(reader: &Reader, number: u32) -> Result<(JournalFile<'_>, Header)> {
    let inode = reader.inode(number)?;
    if inode.metadata.file_type != FileType::File || inode.is_inline() {
        return Err(refused("its inode is no file of blocks"));
    }
    let blocks = inode.metadata.size / reader.superblock.block_size;
    // A list of blocks that names some of them again and again has no end in practice.
    if blocks > reader.superblock.blocks.min(MOST_BLOCKS) {
        return Err(refused("it is larger than a journal can be"));
    }
    let journal = JournalFile { reader, inode };
    let header = Header::parse(&journal.read(0)?, blocks)?;
    if u64::from(header.block_size) != reader.superblock.block_size {
        return Err(refused("its blocks have another size"));
    }
    Ok((journal, header))
}

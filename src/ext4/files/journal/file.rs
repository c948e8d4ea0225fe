//! The file of a journal, by its blocks.

use crate::error::Result;
use crate::ext4::files::error::refused;
use crate::ext4::files::inode::Inode;
use crate::ext4::files::reader::Reader;
use crate::util::bytes::to_usize;

/// The file of a journal.
#[derive(Debug)]
pub(super) struct JournalFile<'a> {
    pub(super) reader: &'a Reader,
    pub(super) inode: Inode,
}

impl JournalFile<'_> {
    /// Where a block lies on the disk, in bytes.
    pub(super) fn place(&self, number: u32) -> Result<u64> {
        let found = self.reader.blocks_at(&self.inode, u64::from(number))?;
        let block = found.first.ok_or_else(|| refused("it has a hole"))?;
        Ok(self.reader.superblock.offset_of(block))
    }

    pub(super) fn read(&self, number: u32) -> Result<Vec<u8>> {
        let place = self.place(number)?;
        let mut bytes = vec![0; to_usize(self.reader.superblock.block_size)];
        let read = self.reader.volume.read_at(&mut bytes, place);
        read.map_err(|error| self.reader.lost(self.inode.number, error))?;
        Ok(bytes)
    }
}

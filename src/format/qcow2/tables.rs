//! Writes tables into the file, and leaves their empty blocks out.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::Result;
use crate::util::bytes::{is_zero, to_usize, zero_pieces};

/// The file that is written. Where nothing is written, it reads as zeros.
#[derive(Debug, Clone, Copy)]
pub(super) struct TargetFile<'a> {
    pub(super) file: &'a File,
    /// What messages call the file.
    pub(super) name: &'a Path,
}

/// Blocks of file systems, and of tables that are written.
pub(super) const BLOCK: u64 = BLOCK_BYTES as u64;

/// The same, as the memory of a buffer.
pub(super) const BLOCK_BYTES: usize = 4096;

/// In entries of the L1 table and of L2 tables: the refcount of what the entry names is 1.
pub(super) const COPIED: u64 = 1 << 63;

impl TargetFile<'_> {
    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|error| crate::sink::refusal("writing", self.name, Some(offset), error))
    }
}

/// What tables are written into.
pub(super) trait TakesTables {
    /// Writes `bytes` at `offset` of the file.
    fn put(&self, bytes: &[u8], offset: u64) -> Result<()>;
}

impl TakesTables for TargetFile<'_> {
    fn put(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.write_at(bytes, offset)
    }
}

/// Sees bytes of the file, in the order of the file.
pub(super) type SeenBy<'a> = &'a mut (dyn FnMut(&[u8]) + Send);

/// Writes tables into the file, one after the other. Somebody may see every byte of them.
pub(super) struct Tables<'a, 'b> {
    file: &'a dyn TakesTables,
    /// Where the last table ended.
    at: u64,
    seen_by: Option<SeenBy<'b>>,
}

impl<'a, 'b> Tables<'a, 'b> {
    /// Tables from `offset` on.
    pub(super) fn new(file: &'a dyn TakesTables, offset: u64, seen_by: Option<SeenBy<'b>>) -> Self {
        Self {
            file,
            at: offset,
            seen_by,
        }
    }

    /// Writes a table, less its blocks of 4 KiB that hold only zeros.
    pub(super) fn write_blocks(&mut self, table: &[u8], offset: u64) -> Result<()> {
        self.zeros_until(offset);
        let mut at = offset;
        for run in table
            .as_chunks::<{ BLOCK_BYTES }>()
            .0
            .chunk_by(|a, b| is_zero(a) == is_zero(b))
        {
            let bytes = run.as_flattened();
            if !is_zero(bytes) {
                self.file.put(bytes, at)?;
            }
            at += bytes.len() as u64;
        }
        if let Some(seen_by) = &mut self.seen_by {
            seen_by(table);
        }
        self.at = at;
        Ok(())
    }

    /// Writes entries of a long table at `offset`: their numbers, which ascend, and what they hold.
    pub(super) fn write_entries(
        &mut self,
        offset: u64,
        entries: impl Iterator<Item = (u64, u64)>,
    ) -> Result<()> {
        let mut block = [0; BLOCK_BYTES];
        let mut current = 0;
        for (number, entry) in entries {
            let at = number * 8;
            if at / BLOCK != current {
                self.write_blocks(&block, offset + current * BLOCK)?;
                block = [0; BLOCK_BYTES];
                current = at / BLOCK;
            }
            let within = to_usize(at % BLOCK);
            if let Some(place) = block.get_mut(within..within + 8) {
                place.copy_from_slice(&entry.to_be_bytes());
            }
        }
        self.write_blocks(&block, offset + current * BLOCK)
    }

    /// Nothing but zeros comes before `offset`.
    pub(super) fn zeros_until(&mut self, offset: u64) {
        let Some(seen_by) = &mut self.seen_by else {
            return;
        };
        zero_pieces(offset.saturating_sub(self.at)).for_each(seen_by);
        self.at = self.at.max(offset);
    }
}

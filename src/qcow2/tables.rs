//! Writes tables into the file, and leaves their empty blocks out.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::layout::{BLOCK, BLOCK_BYTES};
use crate::bytes::is_zero;
use crate::error::{Error, Result};

/// The file that is written. Where nothing is written, it reads as zeros.
#[derive(Debug, Clone, Copy)]
pub(super) struct TargetFile<'a> {
    pub(super) file: &'a File,
    /// What messages call the file.
    pub(super) name: &'a Path,
}

/// In entries of the L1 table and of L2 tables: the refcount of what the entry names is 1.
pub(super) const COPIED: u64 = 1 << 63;

impl TargetFile<'_> {
    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|error| Error::io_at("writing", self.name, offset, error))
    }

    /// Writes a table, less its blocks of 4 KiB that hold only zeros.
    pub(super) fn write_blocks(&self, table: &[u8], offset: u64) -> Result<()> {
        let mut at = offset;
        for run in table
            .as_chunks::<{ BLOCK_BYTES }>()
            .0
            .chunk_by(|a, b| is_zero(a) == is_zero(b))
        {
            let bytes = run.as_flattened();
            if !is_zero(bytes) {
                self.write_at(bytes, at)?;
            }
            at += bytes.len() as u64;
        }
        Ok(())
    }

    /// Writes entries of a long table at `offset`: their numbers, which ascend, and what they hold.
    pub(super) fn write_entries(
        &self,
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
            let within = usize::try_from(at % BLOCK).unwrap_or(0);
            if let Some(place) = block.get_mut(within..within + 8) {
                place.copy_from_slice(&entry.to_be_bytes());
            }
        }
        self.write_blocks(&block, offset + current * BLOCK)
    }
}

//! Which clusters of a file are in use.

use super::options::Qcow2ClusterSize;
use super::reader::Qcow2Disk;
use super::tables::COPIED;
use crate::disk::VirtualDisk;
use crate::error::Result;
use crate::util::bytes::{be_u64, to_usize};

/// A bit for every cluster of a file.
#[derive(Debug)]
pub(super) struct Used {
    words: Vec<u64>,
    clusters: u64,
}

/// Why a file is not one that this program left.
pub(super) type Foreign = &'static str;

impl Used {
    /// The header and the clusters of data that the tables of `disk` name, in a file of `clusters`
    /// clusters. Tables are not among them.
    ///
    /// # Errors
    ///
    /// What the file says while it is read. The inner error is for entries that this program does
    /// not write.
    pub(super) fn by_data(
        disk: &Qcow2Disk,
        cluster_size: Qcow2ClusterSize,
        clusters: u64,
    ) -> Result<std::result::Result<Self, Foreign>> {
        let mut used = Self {
            words: vec![0; to_usize(clusters.div_ceil(64))],
            clusters,
        };
        used.add(0);
        let mut table = vec![0; cluster_size.buffer()];
        for index in 0..disk.table_count() {
            let Some(offset) = disk.l2_table(index)? else {
                continue;
            };
            disk.file().read_at(&mut table, offset)?;
            for at in (0..table.len()).step_by(8) {
                let entry = be_u64(&table, at);
                let host_offset = entry & !COPIED;
                if entry == 0 {
                    continue;
                }
                let bytes = cluster_size.bytes();
                if entry == host_offset || !host_offset.is_multiple_of(bytes) {
                    return Ok(Err("it has entries that this program does not write"));
                }
                if !used.add(host_offset / bytes) {
                    return Ok(Err("clusters of it are used twice, or lie past its end"));
                }
            }
        }
        Ok(Ok(used))
    }

    /// Adds a cluster; whether it is one of the file and was not used before.
    pub(super) fn add(&mut self, cluster: u64) -> bool {
        let bit = 1 << (cluster % 64);
        match self.words.get_mut(to_usize(cluster / 64)) {
            Some(word) if cluster < self.clusters && *word & bit == 0 => {
                *word |= bit;
                true
            }
            _ => false,
        }
    }

    pub(super) fn has(&self, cluster: u64) -> bool {
        let word = self.words.get(to_usize(cluster / 64));
        word.is_some_and(|word| word >> (cluster % 64) & 1 == 1)
    }
}

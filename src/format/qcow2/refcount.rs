//! The refcount table and its blocks, which lie after everything they count and count themselves.

use super::options::Qcow2ClusterSize;
use super::tables::Tables;
use crate::error::Result;
use crate::util::bytes::saturating_u32;

/// Where the refcounts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Section {
    cluster_size: Qcow2ClusterSize,
    /// Clusters before the section; the table comes first.
    body: u64,
    table_clusters: u64,
    blocks: u64,
}

impl Section {
    /// The refcounts of a file with `body` clusters before them.
    pub(super) fn after(body: u64, cluster_size: Qcow2ClusterSize) -> Self {
        let mut section = Self {
            cluster_size,
            body,
            table_clusters: 1,
            blocks: 1,
        };
        // It counts its own clusters too, and both numbers only grow.
        loop {
            let blocks = section.clusters().div_ceil(cluster_size.per_block());
            let table_clusters = (blocks * 8).div_ceil(cluster_size.bytes());
            if (blocks, table_clusters) == (section.blocks, section.table_clusters) {
                return section;
            }
            (section.blocks, section.table_clusters) = (blocks, table_clusters);
        }
    }

    /// The number of clusters in the whole file.
    fn clusters(&self) -> u64 {
        self.body + self.table_clusters + self.blocks
    }

    /// The length of the whole file in bytes.
    pub(super) fn file_len(&self) -> u64 {
        self.clusters().saturating_mul(self.cluster_size.bytes())
    }

    /// Where the refcount table is, and its number of clusters.
    pub(super) fn table(&self) -> (u64, u32) {
        let clusters = saturating_u32(self.table_clusters);
        (self.body * self.cluster_size.bytes(), clusters)
    }

    /// Writes the table and the blocks; `count` gives the refcount of a cluster of the body.
    pub(super) fn write(
        &self,
        tables: &mut Tables<'_, '_>,
        count: impl Fn(u64) -> u16,
    ) -> Result<()> {
        let bytes = self.cluster_size.bytes();
        let first_block = self.body + self.table_clusters;
        let places = (0..self.blocks).map(|block| (block, (first_block + block) * bytes));
        tables.write_entries(self.body * bytes, places)?;

        let mut buffer = vec![0; self.cluster_size.buffer()];
        let per_block = self.cluster_size.per_block();
        for block in 0..self.blocks {
            let counted = (block * per_block)..;
            for (cluster, place) in counted.zip(buffer.as_chunks_mut::<2>().0) {
                let count = if cluster < self.body {
                    count(cluster)
                } else {
                    u16::from(cluster < self.clusters())
                };
                *place = count.to_be_bytes();
            }
            tables.write_blocks(&buffer, (first_block + block) * bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refcounts_count_themselves_also_where_that_needs_one_more_block() {
        let size = Qcow2ClusterSize::from_bytes(4096).unwrap();
        for body in (0..5000).chain([2048 * 512 - 515, 2048 * 512 - 514, 2048 * 512, 1 << 40]) {
            let section = Section::after(body, size);
            assert!(section.blocks * 2048 >= section.clusters(), "{body}");
            assert!(section.table_clusters * 512 >= section.blocks, "{body}");
            let less = Section {
                blocks: section.blocks - 1,
                ..section
            };
            assert!(
                less.blocks * 2048 < less.clusters() || section.blocks == 1,
                "{body}"
            );
        }
    }
}

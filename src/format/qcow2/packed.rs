//! Places for compressed clusters, which lie packed one after the other, byte by byte.
//!
//! Clusters that do not become smaller are stored plain and need a host cluster of their own. So
//! that they do not cut the packed ones apart, these have areas of some host clusters, and an
//! area grows where nothing lies after it. Only a rest that is smaller than the next compressed
//! cluster is lost, once an area.

use std::ops::Range;

use super::options::Qcow2ClusterSize;
use crate::util::bytes::to_usize;

/// Host clusters in an area; those at its end that nothing came to have the refcount 0.
const AREA: u64 = 16;

/// The host clusters after the tables, and who uses them.
#[derive(Debug)]
pub(super) struct Space {
    cluster_bytes: u64,
    /// The first host cluster of data.
    first: u64,
    /// The first free host cluster.
    next: u64,
    /// The bytes that are left in the area of packed clusters.
    area: Range<u64>,
    /// How often each host cluster from the first one on is used. The last one is.
    counts: Vec<u16>,
}

impl Space {
    /// All of the file from `offset` on.
    pub(super) fn new(offset: u64, cluster_size: Qcow2ClusterSize) -> Self {
        let cluster_bytes = cluster_size.bytes();
        let first = offset / cluster_bytes;
        Self {
            cluster_bytes,
            first,
            next: first,
            area: offset..offset,
            counts: Vec::new(),
        }
    }

    /// A place for a compressed cluster of `len` bytes, less than a whole one.
    pub(super) fn pack(&mut self, len: u64) -> u64 {
        if self.count(self.area.start / self.cluster_bytes) == u16::MAX {
            // No more can be counted for this host cluster.
            self.area.start = self.area.start.next_multiple_of(self.cluster_bytes);
        }
        if self.area.end.saturating_sub(self.area.start) < len {
            let free = self.next * self.cluster_bytes;
            if self.area.end != free {
                self.area.start = free;
            }
            self.next += AREA;
            self.area.end = self.next * self.cluster_bytes;
        }
        let place = self.area.start;
        self.area.start += len;
        let last = (self.area.start - 1) / self.cluster_bytes;
        for cluster in place / self.cluster_bytes..=last {
            self.use_cluster(cluster);
        }
        place
    }

    /// A place for a cluster that is stored plain.
    pub(super) fn whole(&mut self) -> u64 {
        let cluster = self.next;
        self.next += 1;
        self.use_cluster(cluster);
        cluster * self.cluster_bytes
    }

    /// The first byte after all that are used.
    pub(super) fn end(&self) -> u64 {
        (self.first + self.counts.len() as u64) * self.cluster_bytes
    }

    /// How often a host cluster is used.
    pub(super) fn count(&self, cluster: u64) -> u16 {
        self.index(cluster)
            .and_then(|at| self.counts.get(at))
            .copied()
            .unwrap_or(0)
    }

    fn index(&self, cluster: u64) -> Option<usize> {
        cluster.checked_sub(self.first).map(to_usize)
    }

    fn use_cluster(&mut self, cluster: u64) {
        let Some(at) = self.index(cluster) else {
            return;
        };
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
    }
}

/// The L2 entry of a compressed cluster of `len` bytes at `offset` of the file.
pub(super) fn entry(offset: u64, len: u64, cluster_size: Qcow2ClusterSize) -> u64 {
    const COMPRESSED: u64 = 1 << 62;
    const SECTOR: u64 = 512;
    // The format counts the sectors that the bytes touch, less the first one.
    let sectors = (offset + len - 1) / SECTOR - offset / SECTOR;
    COMPRESSED | sectors << (70 - cluster_size.bits) | offset
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> Space {
        Space::new(3 * 4096, Qcow2ClusterSize::from_bytes(4096).unwrap())
    }

    fn counts(space: &Space) -> Vec<u16> {
        (3..space.end() / 4096).map(|at| space.count(at)).collect()
    }

    #[test]
    fn compressed_clusters_lie_one_behind_the_other_and_over_borders() {
        let mut space = space();
        let places: Vec<_> = (0..40).map(|_| space.pack(3000)).collect();
        let expected: Vec<_> = (0..40).map(|k| 3 * 4096 + 3000 * k).collect();
        assert_eq!(places, expected);
        assert_eq!(
            space.end(),
            (3 * 4096 + 40 * 3000u64).next_multiple_of(4096)
        );
        // Every byte range counts for each host cluster that it touches.
        assert_eq!(counts(&space)[..4], [2, 2, 3, 2]);
    }

    #[test]
    fn plain_clusters_leave_the_packed_ones_together() {
        let mut space = space();
        assert_eq!(space.pack(100), 3 * 4096);
        assert_eq!(space.whole(), (3 + 16) * 4096);
        assert_eq!(space.pack(4000), 3 * 4096 + 100);
        assert_eq!(counts(&space)[..3], [2, 1, 0]);
        assert_eq!(space.end(), 20 * 4096);
        for _ in 0..15 {
            space.pack(4000);
        }
        // The area is full and cannot grow.
        assert_eq!(space.pack(4000), 20 * 4096);
        assert_eq!(space.end(), 21 * 4096);
    }

    #[test]
    fn a_refcount_never_runs_over() {
        let mut space = Space::new(0, Qcow2ClusterSize::from_bytes(2 << 20).unwrap());
        for k in 0..u64::from(u16::MAX) {
            assert_eq!(space.pack(10), 10 * k);
        }
        assert_eq!(space.pack(10), 2 << 20);
        assert_eq!((space.count(0), space.count(1)), (u16::MAX, 1));
    }

    #[test]
    fn an_entry_counts_the_sectors_after_the_first() {
        let size = Qcow2ClusterSize::default();
        assert_eq!(entry(0x50000, 512, size), 1 << 62 | 0x50000);
        assert_eq!(entry(0x50000, 513, size), 1 << 62 | 1 << 54 | 0x50000);
        assert_eq!(entry(0x501ff, 2, size), 1 << 62 | 1 << 54 | 0x501ff);
    }
}

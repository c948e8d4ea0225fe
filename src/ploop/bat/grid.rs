//! From bytes to clusters.

/// Cuts bytes into clusters. Nearly every cluster size is a power of two, and a division takes
/// longer than all else that is done with an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    cluster: u64,
    /// The power of two that a cluster is.
    bits: Option<u32>,
}

impl Grid {
    /// Clusters of `cluster` bytes, not zero.
    pub(super) fn new(cluster: u64) -> Self {
        let bits = cluster
            .is_power_of_two()
            .then_some(cluster.trailing_zeros());
        Self { cluster, bits }
    }

    /// The number of the cluster that byte `at` lies in, and the byte's place there.
    pub(super) fn split(self, at: u64) -> (u64, u64) {
        match self.bits {
            Some(bits) => (at >> bits, at & (self.cluster - 1)),
            None => (at / self.cluster, at % self.cluster),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_are_no_power_of_two_are_cut_like_those_that_are() {
        for (cluster, at, expected) in [
            (512, 511, (0, 511)),
            (1 << 20, (7 << 20) + 3, (7, 3)),
            (63 * 512, 63 * 512 * 5 - 1, (4, 63 * 512 - 1)),
            (2 << 30, u64::MAX, (u64::MAX >> 31, (2 << 30) - 1)),
        ] {
            assert_eq!(Grid::new(cluster).split(at), expected);
        }
    }
}

//! What a qcow2 file is to look like.

use std::fmt;

/// The size of a qcow2 cluster in bytes: a power of two from 4 KiB to 2 MiB.
///
/// The format knows smaller ones too. They would need more tables than they save room: file
/// systems keep blocks of 4 KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Qcow2ClusterSize {
    pub(super) bits: u32,
}

impl Default for Qcow2ClusterSize {
    /// 64 KiB, as `qemu-img` makes them.
    fn default() -> Self {
        Self { bits: 16 }
    }
}

/// As `qemu-img` takes it: `64K`, `2M`.
impl fmt::Display for Qcow2ClusterSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes() >> 20 {
            0 => write!(f, "{}K", self.bytes() >> 10),
            mib => write!(f, "{mib}M"),
        }
    }
}

impl Qcow2ClusterSize {
    const SMALLEST_BITS: u32 = 12;
    const LARGEST_BITS: u32 = 21;

    /// A cluster of `bytes` bytes; `None` where that is no power of two from 4 KiB to 2 MiB.
    #[must_use]
    pub fn from_bytes(bytes: u64) -> Option<Self> {
        let bits = bytes.checked_ilog2().filter(|_| bytes.is_power_of_two())?;
        (Self::SMALLEST_BITS..=Self::LARGEST_BITS)
            .contains(&bits)
            .then_some(Self { bits })
    }

    /// Every size, the smallest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (Self::SMALLEST_BITS..=Self::LARGEST_BITS).map(|bits| Self { bits })
    }

    /// The size in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        1 << self.bits
    }

    /// The size as the memory of a buffer.
    pub(super) fn buffer(self) -> usize {
        1 << self.bits
    }

    /// The number of clusters that one L2 table knows: it fills a cluster with 8-byte entries.
    pub(super) fn per_table(self) -> u64 {
        self.bytes() / 8
    }

    /// The number of host clusters that one refcount block counts, with 2 bytes each.
    pub(super) fn per_block(self) -> u64 {
        self.bytes() / 2
    }

    /// The largest disk, in bytes: QEMU refuses an L1 table of more than 32 MiB.
    pub(super) fn largest_disk(self) -> u64 {
        (32 << 20) / 8 * self.per_table() * self.bytes()
    }

    /// The largest file, in bytes: QEMU refuses a refcount table of more than 8 MiB, entries have
    /// bits 9 to 55 for a host offset, and those of compressed clusters fewer, for they hold a
    /// size too.
    pub(super) fn largest_file(self, compressed: bool) -> u64 {
        let counted = (8 << 20) / 8 * self.per_block() * self.bytes();
        let named = if compressed { 70 - self.bits } else { 56 };
        counted.min(1 << named)
    }
}

/// What a qcow2 file is to look like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Qcow2Options {
    /// The size of a cluster.
    pub cluster_size: Qcow2ClusterSize,
    /// How clusters are compressed, or not at all.
    pub compression: Option<Compression>,
}

/// How clusters are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Zstandard: QEMU 5.1 and later.
    Zstd,
    /// Deflate, without a zlib header: everything that reads qcow2.
    Zlib,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_a_power_of_two_from_4k_to_2m() {
        let of = Qcow2ClusterSize::from_bytes;
        for wrong in [0, 1, 512, 2048, 4097, 65535, 4 << 20, u64::MAX] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        let names: Vec<_> = Qcow2ClusterSize::all()
            .map(|size| size.to_string())
            .collect();
        assert_eq!(names.join(" "), "4K 8K 16K 32K 64K 128K 256K 512K 1M 2M");
        assert_eq!(of(65536), Some(Qcow2ClusterSize::default()));
    }

    #[test]
    fn the_bounds_are_those_of_the_format() {
        let of = |bytes| Qcow2ClusterSize::from_bytes(bytes).unwrap();
        // As in "maximum size" of QEMU's documentation: 64K gives 2 PiB, 4K gives 8 TiB.
        assert_eq!(of(65536).largest_disk(), 2 << 50);
        assert_eq!(of(4096).largest_disk(), 8 << 40);
        assert_eq!(of(2 << 20).largest_disk(), 2 << 60);
        assert_eq!(of(2 << 20).largest_file(true), 512 << 40);
    }
}

//! Table entries: 8 bytes to what they mean.

use super::header::Version;

/// What an L2 entry says of its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cluster {
    /// It reads as zeros: stored nowhere, or said to be zeros.
    Zeros,
    /// It is stored as it is.
    Plain {
        /// In bytes from the start of the file: a multiple of the cluster size, never 0.
        host_offset: u64,
    },
    /// It is stored compressed.
    Compressed(Packed),
}

/// Where a compressed cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed {
    /// In bytes from the start of the file.
    pub(super) host_offset: u64,
    /// The bytes that it may take, two clusters at most; it is counted in sectors, so others may
    /// follow in the last one.
    pub(super) len: u64,
}

/// Bits 9 to 55, in both tables.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// The refcount is one: nothing that a reader needs.
const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
const ZERO: u64 = 1;
const SECTOR: u64 = 512;

pub(super) type Why = &'static str;
const RESERVED: Why = "has reserved bits set";
const MISALIGNED: Why = "does not point to the start of a cluster";

/// Where the L2 table is that an L1 entry names, in bytes from the start of the file; `None` where
/// there is none.
pub(super) fn l1(entry: u64, cluster_bits: u32) -> Result<Option<u64>, Why> {
    if entry & !(OFFSET | COPIED) != 0 {
        return Err(RESERVED);
    }
    match entry & OFFSET {
        0 => Ok(None),
        offset if offset.trailing_zeros() < cluster_bits => Err(MISALIGNED),
        offset => Ok(Some(offset)),
    }
}

/// What an L2 entry says of its cluster.
pub(super) fn l2(entry: u64, cluster_bits: u32, version: Version) -> Result<Cluster, Why> {
    if entry & COMPRESSED != 0 {
        // The offset has as many bits as the number of sectors, above it, leaves.
        let offset_bits = 70 - cluster_bits;
        let fields = entry & !(COMPRESSED | COPIED);
        let host_offset = fields & ((1 << offset_bits) - 1);
        let more_sectors = fields >> offset_bits;
        let len = (more_sectors + 1) * SECTOR - host_offset % SECTOR;
        return Ok(Cluster::Compressed(Packed { host_offset, len }));
    }
    if entry & !(OFFSET | COPIED | ZERO) != 0 {
        return Err(RESERVED);
    }
    let host_offset = entry & OFFSET;
    if host_offset != 0 && host_offset.trailing_zeros() < cluster_bits {
        return Err(MISALIGNED);
    }
    match (entry & ZERO != 0, version) {
        (true, Version::V2) => Err("says zeros, which version 2 does not know"),
        // A cluster that says zeros may have room already.
        (true, Version::V3) => Ok(Cluster::Zeros),
        (false, _) if host_offset == 0 => Ok(Cluster::Zeros),
        (false, _) => Ok(Cluster::Plain { host_offset }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l1_entries_point_to_clusters_or_nowhere() {
        assert_eq!(l1(0, 16), Ok(None));
        assert_eq!(l1(COPIED | 0x5_0000, 16), Ok(Some(0x5_0000)));
        assert_eq!(l1(0x5_0200, 16), Err(MISALIGNED));
        assert_eq!(l1(0x5_0200, 9), Ok(Some(0x5_0200)));
        for bit in (0..9).chain(56..63) {
            assert_eq!(l1(0x5_0000 | 1 << bit, 16), Err(RESERVED), "bit {bit}");
        }
    }

    #[test]
    fn l2_entries_are_zeros_plain_or_compressed() {
        let v3 = |entry| l2(entry, 16, Version::V3);
        assert_eq!(v3(0), Ok(Cluster::Zeros));
        assert_eq!(v3(ZERO), Ok(Cluster::Zeros));
        assert_eq!(v3(COPIED | 0x5_0000 | ZERO), Ok(Cluster::Zeros));
        let host_offset = 0x5_0000;
        assert_eq!(v3(COPIED | 0x5_0000), Ok(Cluster::Plain { host_offset }));
        assert_eq!(v3(0x5_0200), Err(MISALIGNED));
        assert!(l2(0x5_0001, 16, Version::V2).is_err());
        for bit in (1..9).chain(56..62) {
            assert_eq!(v3(0x5_0000 | 1 << bit), Err(RESERVED), "bit {bit}");
        }
    }

    #[test]
    fn the_parts_of_a_compressed_entry_move_with_the_cluster_size() {
        // 64 KiB: 54 bits of offset and 8 of sectors; 2 MiB: 49 and 13.
        for (bits, sectors_at) in [(9, 61), (16, 54), (21, 49)] {
            let packed = |fields| match l2(COMPRESSED | fields, bits, Version::V2) {
                Ok(Cluster::Compressed(Packed { host_offset, len })) => (host_offset, len),
                other => panic!("{other:?}"),
            };
            assert_eq!(packed(0x1234), (0x1234, 512 - 0x34));
            assert_eq!(packed(1 << sectors_at | 0x1234), (0x1234, 1024 - 0x34));
            let all = !(COMPRESSED | COPIED);
            let (offset, len) = packed(all);
            assert_eq!(offset, (1 << sectors_at) - 1);
            assert!(len <= 2 << bits, "{len} bytes for clusters of 2^{bits}");
        }
    }
}

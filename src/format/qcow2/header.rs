//! The header of a version 3 file.

use super::layout::Qcow2Layout;
use super::options::{Compression, Qcow2ClusterSize};

/// Up to and with the compression type, and padded to a multiple of 8, as QEMU writes it.
const HEADER_LENGTH: u32 = 112;

/// The fields that depend on the disk; all others are constants of this writer.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) cluster_size: Qcow2ClusterSize,
    pub(super) virtual_size: u64,
    pub(super) l1_entries: u32,
    pub(super) l1_offset: u64,
    pub(super) refcount_table_offset: u64,
    pub(super) refcount_table_clusters: u32,
    pub(super) compression: Option<Compression>,
}

impl Header {
    pub(super) fn new(layout: &Qcow2Layout, refcount_table: (u64, u32)) -> Self {
        Self {
            cluster_size: layout.cluster_size(),
            virtual_size: layout.virtual_size(),
            l1_entries: layout.l1_entries(),
            l1_offset: layout.l1_offset(),
            refcount_table_offset: refcount_table.0,
            refcount_table_clusters: refcount_table.1,
            compression: layout.options().compression,
        }
    }

    /// The bytes at the start of the file, with the end mark of the (empty) list of extensions.
    pub(super) fn encode(&self) -> Vec<u8> {
        /// Bit 3 of the incompatible features: there is a compression type, and it is not zlib.
        const COMPRESSION_TYPE: u64 = 1 << 3;
        /// Refcounts have 1 << 4 bits.
        const REFCOUNT_ORDER: u32 = 4;
        let zstd = self.compression == Some(Compression::Zstd);
        let mut bytes = Vec::with_capacity(128);
        let mut put = |field: &[u8]| bytes.extend_from_slice(field);
        put(b"QFI\xfb");
        put(&3u32.to_be_bytes()); // version
        put(&[0; 8]); // backing file: none
        put(&[0; 4]);
        put(&self.cluster_size.bits.to_be_bytes());
        put(&self.virtual_size.to_be_bytes());
        put(&[0; 4]); // encryption: none
        put(&self.l1_entries.to_be_bytes());
        put(&self.l1_offset.to_be_bytes());
        put(&self.refcount_table_offset.to_be_bytes());
        put(&self.refcount_table_clusters.to_be_bytes());
        put(&[0; 4]); // snapshots: none
        put(&[0; 8]);
        put(&if zstd { COMPRESSION_TYPE } else { 0 }.to_be_bytes()); // incompatible features
        put(&[0; 8]); // compatible features: no lazy refcounts
        put(&[0; 8]); // autoclear features
        put(&REFCOUNT_ORDER.to_be_bytes());
        put(&HEADER_LENGTH.to_be_bytes());
        put(&[u8::from(zstd), 0, 0, 0, 0, 0, 0, 0]); // compression type: 0 zlib, 1 zstd
        put(&[0; 8]); // end of the header extensions
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_format_wants_them() {
        let header = Header {
            cluster_size: Qcow2ClusterSize::default(),
            virtual_size: 0x0102_0304_0506_0708,
            l1_entries: 0x1112_1314,
            l1_offset: 0x10000,
            refcount_table_offset: 0x20000,
            refcount_table_clusters: 7,
            compression: Some(Compression::Zstd),
        };
        let bytes = header.encode();
        assert_eq!(bytes.len(), 120);
        assert_eq!(&bytes[..8], b"QFI\xfb\0\0\0\x03");
        assert_eq!(bytes[20..24], [0, 0, 0, 16]);
        assert_eq!(bytes[24..32], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(bytes[36..40], [0x11, 0x12, 0x13, 0x14]);
        assert_eq!(bytes[40..48], [0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(bytes[48..56], [0, 0, 0, 0, 0, 2, 0, 0]);
        assert_eq!(bytes[56..60], [0, 0, 0, 7]);
        assert_eq!(bytes[72..80], [0, 0, 0, 0, 0, 0, 0, 8]);
        assert_eq!(bytes[96..104], [0, 0, 0, 4, 0, 0, 0, 112]);
        assert_eq!(bytes[104], 1);

        let zlib = Header {
            compression: Some(Compression::Zlib),
            ..header
        };
        let bytes = zlib.encode();
        assert_eq!((bytes[79], bytes[104]), (0, 0));
    }
}

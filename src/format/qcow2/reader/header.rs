//! The header: what kind of qcow2 image this is, and whether it can be read here.

use super::error::ReadError;
use crate::util::bytes::{be_u32, be_u64, to_usize};

/// What reading needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) version: Version,
    /// From 9 to 21: clusters of 512 bytes to 2 MiB.
    pub(super) cluster_bits: u32,
    /// The size of the disk in bytes.
    pub(super) size: u64,
    /// Where the L1 table is, in bytes from the start of the file; it lies inside the file.
    pub(super) l1_offset: u64,
    /// Its entries: enough for the disk.
    pub(super) l1_entries: u64,
    pub(super) compression: Compression,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V2,
    V3,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Zlib,
    Zstd,
}

/// What the header and the name of a backing file fit into, as QEMU writes them.
pub(super) const HEAD: usize = 4096;

const V2_LENGTH: usize = 72;
const V3_LENGTH: usize = 104;

/// QEMU refuses larger L1 tables.
const MAX_L1_BYTES: u64 = 32 << 20;

// Incompatible features, by their bits.
const DIRTY: u64 = 1 << 0;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION_TYPE: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;
const KNOWN: u64 = DIRTY | CORRUPT | EXTERNAL_DATA | COMPRESSION_TYPE | EXTENDED_L2;

impl Header {
    /// Reads the header from `head`, the first [`HEAD`] bytes of a file of `file_len` bytes (or
    /// all of them, where there are fewer).
    pub(super) fn parse(head: &[u8], file_len: u64) -> Result<Self, ReadError> {
        if !head.starts_with(b"QFI\xfb") {
            return Err(ReadError::Magic);
        }
        let truncated = |len| ReadError::Truncated {
            what: "the header",
            offset: 0,
            len,
        };
        let backing_offset = be_u64(head, 8);
        let backing_len = be_u32(head, 16);
        let cluster_bits = be_u32(head, 20);
        let size = be_u64(head, 24);
        let crypt_method = be_u32(head, 32);
        let l1_entries = u64::from(be_u32(head, 36));
        let l1_offset = be_u64(head, 40);

        let version = match be_u32(head, 4) {
            2 => Version::V2,
            3 => Version::V3,
            other => return Err(ReadError::Version(other)),
        };
        let compression = match version {
            Version::V2 if head.len() < V2_LENGTH => return Err(truncated(V2_LENGTH as u64)),
            Version::V3 if head.len() < V3_LENGTH => return Err(truncated(V3_LENGTH as u64)),
            Version::V2 => Compression::Zlib,
            Version::V3 => v3_features(head)?,
        };
        if backing_offset != 0 {
            return Err(ReadError::BackingFile(name(
                head,
                backing_offset,
                backing_len,
            )));
        }
        if crypt_method != 0 {
            return Err(ReadError::Encrypted);
        }
        if !(9..=21).contains(&cluster_bits) {
            return Err(ReadError::ClusterBits(cluster_bits));
        }
        let header = Self {
            version,
            cluster_bits,
            size,
            l1_offset,
            l1_entries,
            compression,
        };
        header.check_l1(file_len)?;
        Ok(header)
    }

    /// The size of a cluster in bytes.
    pub(super) fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// How many bytes of the disk one L2 table knows: it fills a cluster with 8-byte entries.
    pub(super) fn table_span(&self) -> u64 {
        1 << (2 * self.cluster_bits - 3)
    }

    fn check_l1(&self, file_len: u64) -> Result<(), ReadError> {
        let needed = self.size.div_ceil(self.table_span());
        let bytes = self.l1_entries * 8; // the count is a 32-bit field
        if self.l1_entries < needed || bytes > MAX_L1_BYTES {
            return Err(ReadError::L1Entries {
                entries: self.l1_entries,
                needed,
            });
        }
        if needed == 0 {
            return Ok(());
        }
        if self.l1_offset == 0 || !self.l1_offset.is_multiple_of(self.cluster()) {
            return Err(ReadError::L1Offset(self.l1_offset));
        }
        let end = self.l1_offset.checked_add(bytes);
        if end.is_none_or(|end| end > file_len) {
            return Err(ReadError::Truncated {
                what: "the L1 table",
                offset: self.l1_offset,
                len: bytes,
            });
        }
        Ok(())
    }
}

/// Judges what only version 3 has; gives how clusters are compressed.
fn v3_features(head: &[u8]) -> Result<Compression, ReadError> {
    let incompatible = be_u64(head, 72);
    let header_length = be_u32(head, 100);
    let compression_type = head.get(104).copied().unwrap_or(0);

    let unknown = incompatible & !KNOWN;
    if unknown != 0 {
        return Err(ReadError::Feature(unknown.trailing_zeros()));
    }
    if incompatible & EXTERNAL_DATA != 0 {
        return Err(ReadError::ExternalData);
    }
    if incompatible & EXTENDED_L2 != 0 {
        return Err(ReadError::ExtendedL2);
    }
    if incompatible & CORRUPT != 0 {
        return Err(ReadError::Corrupt);
    }
    if incompatible & DIRTY != 0 {
        return Err(ReadError::Dirty);
    }
    // The first cluster holds the header, and is at least 512 bytes.
    let length = to_usize(header_length);
    if length < V3_LENGTH || length > head.len() {
        return Err(ReadError::HeaderLength(header_length));
    }
    let compression_type = if length > V3_LENGTH {
        compression_type
    } else {
        0
    };
    match (incompatible & COMPRESSION_TYPE != 0, compression_type) {
        (false, 0) => Ok(Compression::Zlib),
        (true, 1) => Ok(Compression::Zstd),
        (_, other) => Err(ReadError::CompressionType(other)),
    }
}

/// The name of a backing file, or what of it can be read.
fn name(head: &[u8], offset: u64, len: u32) -> String {
    /// The longest that the format allows.
    const LONGEST: u32 = 1023;
    let start = to_usize(offset);
    let len = to_usize(len.min(LONGEST));
    let rest = head.get(start..).unwrap_or_default();
    String::from_utf8_lossy(rest.get(..len.min(rest.len())).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sound header of a disk of 1 MiB in clusters of 64 KiB.
    fn sound(version: u32) -> Vec<u8> {
        let mut head = vec![0; 512];
        head[..4].copy_from_slice(b"QFI\xfb");
        put(&mut head, 4, &version.to_be_bytes());
        put(&mut head, 20, &16u32.to_be_bytes());
        put(&mut head, 24, &(1u64 << 20).to_be_bytes());
        put(&mut head, 36, &1u32.to_be_bytes());
        put(&mut head, 40, &0x3_0000u64.to_be_bytes());
        if version == 3 {
            put(&mut head, 100, &112u32.to_be_bytes());
        }
        head
    }

    fn put(head: &mut [u8], at: usize, bytes: &[u8]) {
        head[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// What becomes of a sound header in which one field is spoiled.
    fn spoiled(version: u32, at: usize, bytes: &[u8]) -> Result<Header, ReadError> {
        let mut head = sound(version);
        put(&mut head, at, bytes);
        Header::parse(&head, 1 << 20)
    }

    fn feature(bit: u32) -> Result<Header, ReadError> {
        spoiled(3, 72, &(1u64 << bit).to_be_bytes())
    }

    #[test]
    fn a_sound_header_is_read_in_both_versions() {
        for (number, version) in [(2, Version::V2), (3, Version::V3)] {
            let header = Header::parse(&sound(number), 1 << 20).unwrap();
            assert_eq!(
                header,
                Header {
                    version,
                    cluster_bits: 16,
                    size: 1 << 20,
                    l1_offset: 0x3_0000,
                    l1_entries: 1,
                    compression: Compression::Zlib,
                }
            );
            assert_eq!(header.table_span(), 512 << 20);
        }
    }

    #[test]
    fn what_cannot_be_read_here_is_told_by_its_name() {
        assert_eq!(spoiled(3, 0, b"QED\0"), Err(ReadError::Magic));
        assert_eq!(
            spoiled(3, 4, &1u32.to_be_bytes()),
            Err(ReadError::Version(1))
        );
        assert_eq!(
            spoiled(3, 32, &2u32.to_be_bytes()),
            Err(ReadError::Encrypted)
        );
        assert_eq!(feature(0), Err(ReadError::Dirty));
        assert_eq!(feature(1), Err(ReadError::Corrupt));
        assert_eq!(feature(2), Err(ReadError::ExternalData));
        assert_eq!(feature(4), Err(ReadError::ExtendedL2));
        assert_eq!(feature(5), Err(ReadError::Feature(5)));
        assert_eq!(feature(63), Err(ReadError::Feature(63)));
    }

    #[test]
    fn the_compression_type_and_its_feature_bit_have_to_agree() {
        assert_eq!(feature(3), Err(ReadError::CompressionType(0)));
        assert_eq!(spoiled(3, 104, &[1]), Err(ReadError::CompressionType(1)));
        let mut head = sound(3);
        put(&mut head, 72, &8u64.to_be_bytes());
        put(&mut head, 104, &[1]);
        let header = Header::parse(&head, 1 << 20).unwrap();
        assert_eq!(header.compression, Compression::Zstd);
        put(&mut head, 104, &[2]);
        assert_eq!(
            Header::parse(&head, 1 << 20),
            Err(ReadError::CompressionType(2))
        );
    }

    #[test]
    fn a_backing_file_is_refused_by_its_name() {
        let mut head = sound(2);
        put(&mut head, 8, &200u64.to_be_bytes());
        put(&mut head, 16, &9u32.to_be_bytes());
        put(&mut head, 200, b"base.qcow");
        let refused = |head: &[u8]| Header::parse(head, 1 << 20).unwrap_err();
        assert_eq!(refused(&head), ReadError::BackingFile("base.qcow".into()));
        put(&mut head, 16, &u32::MAX.to_be_bytes());
        assert!(
            matches!(refused(&head), ReadError::BackingFile(name) if name.starts_with("base."))
        );
        put(&mut head, 8, &u64::MAX.to_be_bytes());
        assert_eq!(refused(&head), ReadError::BackingFile(String::new()));
    }

    #[test]
    fn numbers_that_do_not_fit_together_are_damage() {
        for bits in [0, 8, 22, 64, u32::MAX] {
            assert_eq!(
                spoiled(2, 20, &bits.to_be_bytes()),
                Err(ReadError::ClusterBits(bits))
            );
        }
        for length in [0, 103, 513, u32::MAX] {
            assert_eq!(
                spoiled(3, 100, &length.to_be_bytes()),
                Err(ReadError::HeaderLength(length))
            );
        }
        // One entry knows 512 MiB.
        for size in [(512u64 << 20) + 1, u64::MAX] {
            let needed = size.div_ceil(512 << 20);
            assert_eq!(
                spoiled(3, 24, &size.to_be_bytes()),
                Err(ReadError::L1Entries { entries: 1, needed })
            );
        }
        assert!(matches!(
            spoiled(3, 36, &u32::MAX.to_be_bytes()),
            Err(ReadError::L1Entries { .. })
        ));
        for offset in [0, 0x3_0001, 0x3_0200] {
            assert_eq!(
                spoiled(3, 40, &u64::to_be_bytes(offset)),
                Err(ReadError::L1Offset(offset))
            );
        }
        for offset in [1 << 20, u64::MAX << 16] {
            assert!(matches!(
                spoiled(3, 40, &offset.to_be_bytes()),
                Err(ReadError::Truncated {
                    what: "the L1 table",
                    ..
                })
            ));
        }
    }

    #[test]
    fn a_file_that_ends_inside_its_header_is_truncated() {
        for (version, from) in [(2, 8), (3, 8)] {
            let head = sound(version);
            let whole = if version == 2 { V2_LENGTH } else { V3_LENGTH };
            for len in from..whole {
                assert!(matches!(
                    Header::parse(&head[..len], len as u64),
                    Err(ReadError::Truncated {
                        what: "the header",
                        ..
                    })
                ));
            }
        }
    }
}

//! Why a qcow2 image cannot be read.

use crate::error::{Detail, ErrorKind};

/// Why a qcow2 image cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is no qcow2 image.
    #[error("the signature of a qcow2 image is missing")]
    Magic,
    /// The version of the format is neither 2 nor 3.
    #[error("version {0} of the format is not supported")]
    Version(u32),
    /// The image stores only what differs from another one, with the name it gives.
    #[error("it is an overlay over the backing file {0:?}, and only whole images are read")]
    BackingFile(String),
    /// The data is encrypted.
    #[error("it is encrypted")]
    Encrypted,
    /// The data is in another file.
    #[error("its data is in an external data file, which is not supported")]
    ExternalData,
    /// Clusters have parts.
    #[error("its extended L2 entries are not supported")]
    ExtendedL2,
    /// A feature without which the file cannot be read, with its bit.
    #[error("incompatible feature {0} is not supported")]
    Feature(u32),
    /// An unknown compression, or one that contradicts the feature bits.
    #[error("compression type {0} is not supported, or contradicts the feature bits")]
    CompressionType(u8),
    /// It was not closed.
    #[error("it is marked dirty: it is open somewhere, or was not closed cleanly")]
    Dirty,
    /// QEMU found damage in it.
    #[error("it is marked corrupt")]
    Corrupt,
    /// The file ends before something does.
    #[error("{what} of {len} bytes at offset {offset:#x} does not lie inside the file")]
    Truncated {
        /// What is cut off, with its article.
        what: &'static str,
        /// Where it begins, in bytes from the start of the file.
        offset: u64,
        /// How long it is, in bytes.
        len: u64,
    },
    /// A size of clusters that the format does not have, as a power of two.
    #[error("a cluster size of 2^{0} bytes is not allowed")]
    ClusterBits(u32),
    /// The header is shorter than it can be, or longer than the file or 4 KiB.
    #[error("a header of {0} bytes is not allowed")]
    HeaderLength(u32),
    /// The L1 table is too small for the disk, or too large for anyone.
    #[error("an L1 table of {entries} entries does not fit the disk, which needs {needed}")]
    L1Entries {
        /// How many there are.
        entries: u64,
        /// How many the disk needs.
        needed: u64,
    },
    /// The L1 table does not begin with a cluster.
    #[error("the L1 table cannot be at offset {0:#x}")]
    L1Offset(u64),
    /// An entry of the L1 table that cannot be right.
    #[error("L1 entry {index} ({entry:#018x}) {why}")]
    L1Entry {
        /// Its number.
        index: u64,
        /// What it holds.
        entry: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There are more L2 tables than the file has room for.
    #[error("{0} L2 tables do not fit into the file")]
    L2Tables(u64),
    /// The L2 entry of a cluster cannot be right.
    #[error("the L2 entry ({entry:#018x}) for offset {offset:#x} of the disk {why}")]
    L2Entry {
        /// Where the cluster begins, in bytes of the disk.
        offset: u64,
        /// What the entry holds.
        entry: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A compressed cluster cannot be unpacked.
    #[error("the compressed cluster at offset {offset:#x} of the disk cannot be unpacked")]
    Unpack {
        /// Where the cluster begins, in bytes of the disk.
        offset: u64,
    },
}

impl Detail for ReadError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Magic => ErrorKind::NotThisFormat,
            Self::Version(_)
            | Self::BackingFile(_)
            | Self::Encrypted
            | Self::ExternalData
            | Self::ExtendedL2
            | Self::Feature(_)
            | Self::CompressionType(_) => ErrorKind::Unsupported,
            Self::Dirty => ErrorKind::InUse,
            Self::Corrupt
            | Self::Truncated { .. }
            | Self::ClusterBits(_)
            | Self::HeaderLength(_)
            | Self::L1Entries { .. }
            | Self::L1Offset(_)
            | Self::L1Entry { .. }
            | Self::L2Tables(_)
            | Self::L2Entry { .. }
            | Self::Unpack { .. } => ErrorKind::Corrupt,
        }
    }

    fn code(&self) -> &'static str {
        "qcow2-image"
    }
}

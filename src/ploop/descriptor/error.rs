//! Why a descriptor cannot be used.

use super::guid::Guid;
use crate::error::{Detail, ErrorKind};

/// Why a descriptor cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptorError {
    /// More bytes than any descriptor has.
    #[error("{0} bytes are too many for a descriptor")]
    TooLarge(u64),
    /// Not text.
    #[error("it is text neither in UTF-8 nor in UTF-16")]
    NotText,
    /// More attributes or namespaces than any descriptor has.
    #[error("it has too many attributes for a descriptor")]
    Attributes,
    /// Not well-formed, or with a document type definition, which no writer uses.
    #[error("it is not usable XML: {0}")]
    Xml(String),
    /// XML of another kind.
    #[error("it is XML, but not a disk descriptor: its root element is <{0}>")]
    NotADescriptor(String),
    /// An element is missing.
    #[error("<{element}> is missing in <{parent}>")]
    Missing {
        /// The element that should be there.
        element: &'static str,
        /// Where it should be.
        parent: String,
    },
    /// An element stands twice where only one makes sense.
    #[error("<{element}> stands more than once in <{parent}>")]
    Twice {
        /// The element.
        element: &'static str,
        /// Where it stands.
        parent: String,
    },
    /// Text that should be a number is not.
    #[error("<{element}> is {text:?}, not a number")]
    Number {
        /// The element.
        element: &'static str,
        /// Its text.
        text: String,
    },
    /// Text that should be a GUID is not.
    #[error("{0:?} is not a GUID")]
    Guid(String),
    /// An image type that is neither `Compressed` nor `Plain`.
    #[error("image type {0:?} is neither Compressed nor Plain")]
    ImageType(String),
    /// Two images have the same GUID.
    #[error("two images are called {0}")]
    DuplicateImage(Guid),
    /// The parent of a snapshot is left empty, and the snapshot is not the only one without.
    #[error("snapshot {0} has no parent, and nothing says whether it is the base")]
    ParentUnstated(Guid),
    /// Two snapshots have the same GUID.
    #[error("two snapshots are called {0}")]
    DuplicateShot(Guid),
    /// The disk is split over several storages, so none of its images is a disk by itself.
    #[error("the disk is split into {0} parts, and each file holds only one of them")]
    Split(usize),
    /// A part of the disk begins after its end, is empty, or ends past what an offset can say.
    #[error("a part of the disk goes from {start:#x} to {end:#x}, which is no range of a disk")]
    PartRange {
        /// Where it begins, in bytes.
        start: u64,
        /// Where it ends, in bytes.
        end: u64,
    },
    /// Between two parts of the disk, or in front of the first one, is something that no part has.
    #[error("no part of the disk has what lies from {start:#x} to {end:#x}")]
    PartGap {
        /// Where the gap begins, in bytes.
        start: u64,
        /// Where it ends, in bytes.
        end: u64,
    },
    /// Two parts of the disk both have something.
    #[error("two parts of the disk both have what lies from {start:#x} to {end:#x}")]
    PartOverlap {
        /// Where the second one begins, in bytes.
        start: u64,
        /// The last byte that both have, and one, in bytes.
        end: u64,
    },
    /// The parts end before the disk does.
    #[error("the disk has {disk_size} bytes, and its parts end at {end}: a part is missing")]
    PartsEnd {
        /// The size that is stated of the disk, in bytes.
        disk_size: u64,
        /// Where the last part ends, in bytes.
        end: u64,
    },
    /// The only storage is not the first part of the disk.
    #[error("the disk's only part starts at {0:#x}, so what comes before it is missing")]
    NotTheStart(u64),
    /// The chain continues in the descriptor of another volume.
    #[error("the disk continues in another volume ({0:?}), which this program does not read")]
    ParentVolume(String),
    /// A padding that no public writer uses, and whose meaning is unknown.
    #[error("padding {0} is not known, so the place of its data is not known either")]
    Padding(u64),
    /// The data inside the clusters is encrypted by a Parallels product.
    #[error("the disk is encrypted with engine {0}")]
    Encrypted(String),
}

impl Detail for DescriptorError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotADescriptor(_) => ErrorKind::NotThisFormat,
            Self::Split(_) | Self::ParentVolume(_) | Self::Padding(_) | Self::Encrypted(_) => {
                ErrorKind::Unsupported
            }
            Self::TooLarge(_)
            | Self::NotText
            | Self::Attributes
            | Self::Xml(_)
            | Self::Missing { .. }
            | Self::Twice { .. }
            | Self::Number { .. }
            | Self::Guid(_)
            | Self::ImageType(_)
            | Self::DuplicateImage(_)
            | Self::ParentUnstated(_)
            | Self::DuplicateShot(_)
            | Self::PartRange { .. }
            | Self::PartGap { .. }
            | Self::PartOverlap { .. }
            | Self::PartsEnd { .. }
            | Self::NotTheStart(_) => ErrorKind::Corrupt,
        }
    }

    fn code(&self) -> &'static str {
        "descriptor"
    }
}

//! Another way to read a disk that cannot be read as it was asked for.

use std::path::PathBuf;

use super::descriptor::Guid;
use super::layer_name::LayerName;

/// What a person could ask for instead. It is never taken unasked: it may be another state of the
/// disk, or another idea of what its files are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Alternative {
    /// The disk as it was at an older snapshot, whose layers are closed, complete and undamaged.
    Snapshot(Guid),
    /// The chain that these files make, base first, without a descriptor. They lie in `folder`.
    Layers {
        /// The folder of the descriptor.
        folder: PathBuf,
        /// The files.
        layers: Vec<LayerName>,
        /// What would have to be so.
        why: OtherReading,
    },
    /// The disk that another descriptor describes, which names the file too.
    OtherDisk(PathBuf),
}

/// On which condition another reading of a descriptor is the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherReading {
    /// The files beside the descriptor are the disk's own, and not those that it names elsewhere.
    BesideDescriptor,
    /// The base is a raw disk, whatever its label says.
    RawBase,
    /// The base is an image, whatever its label says.
    ImageBase,
}

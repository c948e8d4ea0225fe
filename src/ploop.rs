//! The ploop format: what the bytes of images and descriptors mean.
//!
//! Parsing ([`Header`], [`Bat`], [`Descriptor`]) takes bytes and gives checked values. [`examine`]
//! opens what a user named and says everything that can be said about it; [`Examined::into_disk`]
//! turns that into a readable [`PloopDisk`], or refuses.

mod bat;
mod chain;
mod check;
mod descriptor;
mod disk;
mod header;
mod image;
mod locate;
mod open;

pub use bat::{BadEntries, BadEntry, Bat, BatFindings, Slot};
pub use chain::{Admitted, ChainPlan, Gate, PlannedLayer, SelectError};
pub use check::{Finding, FindingKind, Severity};
pub use descriptor::{Descriptor, DescriptorError, Guid, ImageEntry, Shot, Temporary};
pub use disk::{Layer, PloopDisk};
pub use header::{ClusterSize, Header, HeaderError, State, Version};
pub use image::Image;
pub use locate::{DEFAULT_PRIVATE_DIRS, Located, locate};
pub use open::{Examined, LayerInfo, LayerName, OpenOptions, SnapshotInfo, examine};

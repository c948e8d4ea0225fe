//! The ploop format: what the bytes of images and descriptors mean.
//!
//! Parsing ([`Header`], [`Bat`], [`Descriptor`]) takes bytes and gives checked values. [`examine`]
//! opens what a user named and says everything that can be said about it; [`Examined::into_disk`]
//! turns that into a readable [`PloopDisk`], or refuses.
//!
//! ```
//! use ploopconv::ploop::{IfInUse, OpenOptions, examine};
//!
//! let found = examine("fixtures/101".as_ref(), &OpenOptions::default())?;
//! assert!(!found.is_damaged() && !found.is_in_use());
//! let findings: Vec<String> = found.findings.iter().map(ToString::to_string).collect();
//! assert_eq!(findings, [""; 0]); // a sentence each, with its code
//! let before: Vec<_> = found.snapshots.iter().filter(|snapshot| !snapshot.top).collect();
//! assert_eq!(before[0].guid.to_string(), "{10101012-5151-4222-8333-444444444444}");
//! let disk = found.into_disk(IfInUse::Refuse)?; // an error where it is damaged or in use
//! assert_eq!(disk.layers().count(), 3);
//! # Ok::<(), ploopconv::Error>(())
//! ```

mod alternative;
mod bat;
mod chain;
mod check;
mod descriptor;
mod disk;
mod error;
mod folders;
mod gate;
mod header;
mod image;
mod layer_name;
mod locate;
mod names;
mod open;
mod snapshots;

pub use alternative::{Alternative, OtherReading};
pub use bat::{BadEntries, BadEntry, Bat, BatFindings, IfUnreadable, Slot};
pub use chain::{ChainPlan, LayerForm, PlannedLayer, PlannedPart, SelectError};
pub use check::{Finding, FindingKind, Severity};
pub use descriptor::{
    Descriptor, DescriptorError, Guid, ImageEntry, Label, Shot, Storage, Temporary,
};
pub use disk::{Chain, Layer, PloopDisk, RawLayer};
pub use error::{OpenError, Refused, Wish};
pub use gate::{Admitted, FoundAs, Gate, Reach};
pub use header::{ClusterSize, Header, HeaderError, State, Version};
pub use image::Image;
pub use layer_name::LayerName;
pub use locate::{
    BundleDisk, DEFAULT_CONFIG_DIR, DEFAULT_PRIVATE_DIRS, Located, Search, bundle_disks,
    descriptor_backups, locate,
};
pub use names::{ImageName, is_named_like_a_delta};
pub use open::{Examined, IfInUse, ImageInfo, LayerInfo, OpenOptions, PartInfo, examine};
pub use snapshots::{SnapshotInfo, SnapshotName};

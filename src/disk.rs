//! What a readable virtual disk is, whatever it is stored in.
//!
//! Reading is by offset; what is stored nowhere reads as zeros. Who wants to know beforehand walks
//! over the extents, which reads no data:
//!
//! ```
//! use ploopconv::disk::{ExtentKind, VirtualDisk};
//! use ploopconv::ploop::{IfInUse, OpenOptions, examine};
//!
//! let chain = "fixtures/vectors/chain".as_ref();
//! let disk = examine(chain, &OpenOptions::default())?.into_disk(IfInUse::Refuse)?;
//! let mut stored = Vec::new();
//! for extent in disk.extents() {
//!     let extent = extent?;
//!     if let ExtentKind::Data { store, host_offset } = extent.kind {
//!         let layer = disk.store(store).unwrap().to_string();
//!         stored.push((extent.offset, layer, host_offset));
//!     }
//! }
//! // Two clusters of the base, and one of the layer above it between them.
//! assert_eq!(stored[0], (0, "root.hds, layer 0".to_owned(), 32768));
//! assert!(stored[1].1.ends_with(", layer 1"));
//! assert_eq!(stored[2], (65536, "root.hds, layer 0".to_owned(), 98304));
//! assert_eq!(disk.size(), 131_072); // the last cluster is a hole
//! # Ok::<(), ploopconv::Error>(())
//! ```

mod concat;
mod data;
mod error;
mod extent;
mod holes;
mod location;
mod loss;
mod raw;
mod remembered;
mod slice;
mod store;
#[cfg(test)]
pub(crate) mod testing;
mod virtual_disk;
mod watch;
mod with_holes;
mod writable;

pub use concat::Concat;
pub(crate) use data::{Piece, Pieces, Place, stored_bytes_in};
pub use data::{stored_bytes, stored_ranges};
pub use error::DiskError;
pub(crate) use extent::Joined;
pub use extent::{Extent, ExtentKind};
pub(crate) use holes::Holes;
pub use location::{Location, StoredIn};
pub(crate) use loss::joined;
pub use loss::{Loss, LossKind};
pub use raw::RawDisk;
pub(crate) use remembered::Remembered;
pub use slice::Slice;
pub use store::{Role, Store, StoreId};
pub(crate) use virtual_disk::walk_each;
pub use virtual_disk::{EachExtent, Extents, Losses, VirtualDisk};
pub(crate) use watch::Watch;
pub use with_holes::WithHoles;
pub use writable::Writable;

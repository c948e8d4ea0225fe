//! Writing qcow2: a layout that is planned before a byte is written, and the sink that fills it;
//! reading it back: [`Qcow2Disk`]; and changing a file that was written, for an update.
//!
//! Version 3, 16-bit refcounts, no lazy refcounts, no snapshots, no backing file. From its start
//! the file holds the header, the clusters in the order of the disk, the L2 tables that are
//! needed, the L1 table, the refcount table and the refcount blocks. Compressed clusters come
//! after the L1 and L2 tables, in any order. [`Qcow2Layout`] says where everything goes, why, and
//! what becomes of a cluster that proves to be zeros; [`Qcow2Sink`] writes; [`Qcow2Bytes`] sees the
//! file as it comes into being.

mod change;
mod changed;
mod compress;
mod error;
mod file_bytes;
mod format;
mod header;
mod layout;
mod options;
mod packed;
mod reader;
mod refcount;
mod sink;
mod tables;
mod used;

pub use error::WriteError;
pub use file_bytes::Qcow2Bytes;
pub use layout::{LayoutError, Qcow2Layout};
pub use options::{Compression, Qcow2ClusterSize, Qcow2Options};
pub use reader::{Qcow2Disk, ReadError};
pub use sink::Qcow2Sink;

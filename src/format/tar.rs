//! The files of a tree as a tar archive: POSIX's pax format, with what GNU tar and bsdtar restore.
//!
//! [`TarPlan`] walks over the tree once and knows the archive's size and what it will hold. Then it
//! walks over the tree again and writes: headers are made in the order of the archive, data is read
//! and compressed on all threads. The same tree gives the same bytes, however many threads there
//! are. Memory does not grow with the tree.
//!
//! The writer is our own: the crate tar writes no sparse files, and leaves it to its caller to make
//! headers, which are what all of this is about. `docs/design.md` says more.

mod acl;
mod compress;
mod error;
mod field;
mod links;
mod lost;
mod member;
mod options;
mod pax;
mod plan;
mod read_back;
mod sparse;
mod summary;
#[cfg(test)]
mod tests;
mod units;
mod walk;
mod write;

pub use self::error::TarError;
pub use self::options::{TarCompression, TarOptions};
pub use self::plan::TarPlan;
pub use self::summary::{TarContents, TarWritten, UnreadableFile, ZeroedFile};
pub use self::walk::Unreadable;
pub use self::write::TarJob;

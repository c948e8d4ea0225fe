//! Reads ext2, ext3 and ext4: the files that a file system holds, and the files that a loss cost.
//!
//! [`Files`] gives the files as the kernel would show them, as a [`Tree`](crate::tree::Tree). It is
//! strict: what makes no sense is an error of the file that has it. [`affected`](affected()) asks
//! the other way round, over damage: not for the bytes of a file, but for the files of a byte. It
//! is lenient, bounded by what the disk stores, and does not replay the journal. Both read the
//! shape of the file system, its extents and its groups by the same code.
//!
//! The reader is our own. ext4-view, the one that is kept best, gives no extents and no attributes,
//! shows an older state where a journal's log wraps, and refuses what is damaged. Facts are those
//! of the kernel's documentation of the ext4 layout.
//!
//! What is lenient knows only `Blocks`: bytes at positions, which can be lost. It has no idea of
//! losses, of salvage or of a limit; `affected` gives it `Blocks` that say what is lost, and that
//! end when too much was read.

mod affected;
mod blocks;
mod directory;
mod extent;
mod files;
mod groups;
mod inode;
mod mapping;
mod superblock;
mod usage;

pub use self::affected::{Affected, AffectedFile, FileKind, LostMetadata, MetadataKind, affected};
pub use self::files::{Files, FilesError, FreeError, IfDirty, free_ranges};
pub use self::usage::used_bytes;

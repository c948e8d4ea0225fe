//! Reads the disks of OpenVZ and Virtuozzo containers (ploop images and their chains of
//! snapshots) and turns them into something that other hypervisors take.
//!
//! A byte's way: it is read through a [`source`], is given meaning by [`ploop`], becomes part of a
//! [`disk`], may be seen through a [`partition`], is moved by [`copy`] and lands in a [`sink`];
//! one of them writes [`qcow2`]. Where images are damaged, [`salvage`] makes a disk that reads all
//! the same and knows what is lost, and [`ext4`] tells which files that cost.
//!
//! Or the disk stays where it is and is read in place: by clients of [`nbd`], or as a device of
//! this machine ([`attach`]), with an [`overlay`] where it has to be written to.
//!
//! ```
//! use ploopconv::disk::VirtualDisk;
//! use ploopconv::ploop::{OpenOptions, examine};
//!
//! let container = "fixtures/101".as_ref();
//! let disk = examine(container, &OpenOptions::default())?.into_disk(false)?;
//! let mut signature = [0; 8];
//! disk.read_at(&mut signature, 512)?;
//! assert_eq!(&signature, b"EFI PART");
//! # Ok::<(), ploopconv::Error>(())
//! ```

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::cast_possible_truncation,
        clippy::single_range_in_vec_init,
        reason = "a test that meets the unexpected fails where it stands"
    )
)]

pub mod attach;
mod bytes;
pub mod compare;
pub mod copy;
pub mod disk;
mod error;
pub mod ext4;
mod foreign;
pub mod hash;
pub mod in_use;
pub mod nbd;
pub mod overlay;
pub mod partition;
pub mod ploop;
pub mod qcow2;
pub mod salvage;
pub mod sink;
pub mod source;
mod sys;
pub mod text;
mod workers;

pub use bytes::is_zero;
pub use error::{Class, Error, Result};
pub use foreign::Foreign;
pub use workers::Workers;

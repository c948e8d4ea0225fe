//! Reads the disks of OpenVZ and Virtuozzo containers (ploop images and their chains of
//! snapshots) and turns them into something that other hypervisors take.
//!
//! A byte's way: it is read through a [`source`], is given meaning by [`ploop`], becomes part of a
//! [`disk`], may be seen through a [`partition`], is moved by [`copy`](mod@copy) and lands in a [`sink`];
//! one of them writes [`qcow2`]. Where images are damaged, [`salvage`] makes a disk that reads all
//! the same and knows what is lost, and [`ext4`] tells which files that cost.
//!
//! Or the disk stays where it is and is read in place: by clients of [`nbd`], or as a device of
//! this machine ([`attach`]), with an [`overlay`] where it has to be written to.
//!
//! The current state of a container's disk, through all its layers:
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
//!
//! # Where to look
//!
//! | to | see |
//! |---|---|
//! | open an image, a chain or a snapshot, and learn what is wrong with it | [`ploop`] |
//! | read a disk at any offset, or walk over what it stores | [`disk`] |
//! | find the partitions, and read one as a disk | [`partition`] |
//! | copy a disk to a file, a device or a stream, with a digest | [`copy`](mod@copy), [`sink`], [`hash`], [`qcow2`] |
//! | compare two disks of any kind | [`compare`] |
//! | serve a disk to NBD clients | [`nbd`] |
//! | read over damage | [`salvage`] |
//!
//! # What holds everywhere
//!
//! - Offsets and lengths are `u64` and count bytes.
//! - Sources are opened for reading only and never locked. What changes while it is read is
//!   [`Error::Changed`] at the end of a copy or comparison, or when
//!   [`check_unchanged`](disk::VirtualDisk::check_unchanged) is asked.
//! - What a header claims sizes no allocation; a number out of a file that makes no sense is an error,
//!   never a panic.
//! - Nothing is printed, no signal is handled, no environment is read. An [`Error`] says what was
//!   being done, to which file and at which offset; its [`Class`] says what a caller can do about it.
//! - Disks are `Send + Sync`, and are read by many threads at once. [`Workers`] are the threads of
//!   those functions that need some.
//!
//! Only Linux is supported.

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
pub use error::{Class, Error, Limit, Refused, Result};
pub use foreign::Foreign;
pub use workers::Workers;

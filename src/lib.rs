//! Reads the disks of OpenVZ and Virtuozzo containers (ploop images and their chains of
//! snapshots) and turns them into something that other hypervisors take.
//!
//! A byte's way: it is read through a [`source`], is given meaning by [`ploop`], becomes part of a
//! [`disk`], may be seen through a [`partition`], is moved by [`copy`](mod@copy) and lands in a
//! [`sink`], which a [`format`](mod@format) makes. [`convert`] is all of that with every promise of
//! a target. Where images are damaged, [`salvage`] makes a disk that reads all the same and knows
//! what is lost, and [`ext4`] tells which files that cost. It reads the files too, without
//! mounting, as a [`tree`].
//!
//! Or the disk stays where it is and is read in place: by clients of [`nbd`], or as a device of
//! this machine ([`attach`]), with an [`overlay`] where it has to be written to, or as files at a
//! directory ([`fuse`]).
//!
//! The current state of a container's disk, through all its layers:
//!
//! ```
//! use ploopconv::disk::VirtualDisk;
//! use ploopconv::ploop::{IfInUse, OpenOptions, examine};
//!
//! let container = "fixtures/101".as_ref();
//! let disk = examine(container, &OpenOptions::default())?.into_disk(IfInUse::Refuse)?;
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
//! | read a disk at any offset, walk over what it stores, make one of several | [`disk`] |
//! | find the partitions, and read one as a disk | [`partition`] |
//! | convert a disk as the program does, with its promises | [`convert`] |
//! | copy a disk, or ranges of it, into a sink | [`copy`](mod@copy), [`sink`] |
//! | write or read another format of targets | [`format`](mod@format) |
//! | compute a digest on the way | [`hash`] |
//! | compare two disks of any kind | [`compare`] |
//! | learn what a container's files need on another host | [`guest`] |
//! | make a disk that boots around a container's | [`boot`] |
//! | see a disk's bytes once, in order | [`observe`] |
//! | ask who uses a file on this host | [`in_use`] |
//! | find the containers of a host, and what stands in their way | [`host`] |
//! | serve a disk to NBD clients | [`nbd`] |
//! | attach a disk to a device of this machine | [`attach`], [`served`] |
//! | read over damage | [`salvage`] |
//! | read the files of a container | [`ext4`], [`tree`] |
//! | write them into a directory | [`extract`](mod@extract) |
//! | mount them | [`fuse`] |
//!
//! # What holds everywhere
//!
//! - Offsets and lengths are `u64` and count bytes.
//! - Sources are opened for reading only and never locked. What changes while it is read is
//!   [`ErrorKind::Changed`] at the end of a copy or comparison, or when
//!   [`check_unchanged`](disk::VirtualDisk::check_unchanged) is asked.
//! - What a header claims sizes no allocation; a number out of a file that makes no sense is an
//!   error, never a panic.
//! - Nothing is printed, no signal is handled, no environment is read. An [`Error`] says what was
//!   being done, to which file and at which offset; its [`ErrorKind`] says what a caller can do
//!   about it, and [`Error::detail`] gives what only one module knows, as in
//!   [`ploop::OpenError`].
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
pub mod boot;
pub mod compare;
pub mod convert;
pub mod copy;
pub mod disk;
mod error;
pub mod ext4;
pub mod extract;
mod foreign;
pub mod format;
pub mod fuse;
pub mod guest;
pub mod hash;
pub mod host;
pub mod in_use;
pub mod nbd;
pub mod observe;
pub mod overlay;
pub mod partition;
pub mod ploop;
pub mod salvage;
pub mod served;
pub mod sink;
pub mod source;
mod sys;
pub mod tree;
pub mod util;
mod workers;

pub use error::{Detail, Error, ErrorKind, Result};
pub use foreign::Foreign;
pub use workers::{Workers, WorkersError};

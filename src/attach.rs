//! A disk as a block device of this machine, through the kernel's NBD driver or, where there is
//! none, a loop device that reads a file of FUSE.
//!
//! The kernel gets one end of a socket pair, and the translator answers at the other. The kernel
//! is asked through generic netlink; where it does not know that way, through the ioctls of the
//! device. What is attached is kept in a [`Record`], so that it can be
//! [detached](Attached::detach) without its server.

mod detach;
mod device;
mod error;
mod holder;
mod holders;
mod ioctl;
mod kernel;
mod list;
mod loops;
mod mounts;
mod netlink;
mod record;
mod request;

pub use self::detach::Force;
pub(crate) use self::detach::PASSING_BY;
pub use self::device::{Device, DeviceNode, Driver};
pub(crate) use self::device::{PATIENCE, wait_until};
pub use self::error::AttachError;
pub use self::holder::Holder;
pub use self::holders::start_time;
pub(crate) use self::holders::users_of;
pub use self::kernel::{Connection, Kernel};
pub use self::list::{Attached, attached, find};
pub use self::loops::{LoopDevices, LoopRequest};
pub(crate) use self::mounts::{Mount, mounts_of};
pub use self::mounts::{MountMode, can_mount, mount_on};
pub(crate) use self::record::make_folder;
pub use self::record::{OverlayFile, Record, STATE_DIR, log_file, old_log_file};
pub use self::request::AttachRequest;

use crate::sys;

/// Makes the calling thread, and every thread that it starts from now on, fit to serve a disk of
/// this machine: when memory is short they do not wait for that disk. Kernels and users that may
/// not ask for it go without; only a disk that is written to needs it.
pub fn prepare_to_serve() {
    let _ = sys::become_io_flusher();
}

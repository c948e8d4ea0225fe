//! A disk that is served to a device of this machine, by either driver of the kernel: over sockets
//! to the one for NBD, or as a file of FUSE to a loop device.

mod by_fuse;
mod by_nbd;
mod layer;

use std::thread::JoinHandle;

pub use self::by_fuse::by_fuse;
pub use self::by_nbd::by_nbd;
pub use self::layer::PrivateLayer;

use crate::attach::{Connection, Device};
use crate::salvage::View;
use crate::workers::Workers;

/// How many requests of a connection are answered at the same time.
const WORKERS: usize = 4;

/// A disk that is to be served.
#[derive(Debug)]
pub struct DeviceRequest<'a> {
    /// The device, or whichever is free.
    pub device: Option<Device>,
    /// The disk; what is lost is an error.
    pub view: &'a View,
    /// The size of the device's sectors, in bytes: a power of two, 512 to 4096.
    pub block_size: u32,
    /// What the device is to be known by as ours; see
    /// [`record_of_this_process`](crate::attach::Attached::record_of_this_process).
    pub name: &'a str,
    /// Connections to the kernel, each with several threads that answer.
    pub connections: u32,
    /// What the disk is looked at with.
    pub workers: &'a Workers,
}

/// A device that is connected.
#[derive(Debug)]
pub struct ServedDevice {
    /// Its connection to the kernel.
    pub connection: Connection,
    /// The threads that answer for it. Each ends with its connection.
    pub threads: Vec<JoinHandle<()>>,
}

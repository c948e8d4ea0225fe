//! How a disk is to be attached.

use super::device::Device;

/// How a disk is to be attached.
#[derive(Debug, Clone)]
pub struct AttachRequest {
    /// The device, or whichever is free.
    pub device: Option<Device>,
    /// In bytes.
    pub size: u64,
    /// In bytes: a power of two, 512 to 4096.
    pub block_size: u32,
    /// Transmission flags of the protocol.
    pub flags: u16,
    /// What the device is, for sysfs.
    pub backend: String,
}

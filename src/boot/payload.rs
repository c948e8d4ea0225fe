//! What a boot loader loads.

use std::sync::Arc;

/// What the boot partition holds for the boot loader.
#[derive(Debug, Clone)]
pub struct Payload {
    /// The kernel: a bzImage.
    pub kernel: Arc<[u8]>,
    /// The initramfs in its parts, loaded one behind the other.
    pub initramfs: Vec<InitramfsPart>,
    /// The kernel's command line.
    pub command_line: String,
}

/// An archive that the kernel unpacks over those before it.
#[derive(Debug, Clone)]
pub struct InitramfsPart {
    /// The name of its file on the boot partition: letters, digits, `-` and `.`.
    pub name: String,
    /// The archive, packed or not.
    pub bytes: Arc<[u8]>,
}

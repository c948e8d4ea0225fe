//! A disk that boots, made around a disk whose partitions stay as they are.
//!
//! A container has no kernel, no boot loader and no machine around it. The root partition is taken
//! as it is; what starts it is added to the disk: a boot partition with a kernel and an initramfs
//! of the operator's host, and GRUB for BIOS and UEFI. What the container lacks is changed by the
//! guest itself, at its first boot, after its journal was replayed.

mod cpio;
mod disk;
mod error;
mod fat;
mod first_boot;
mod gpt;
mod grub;
mod initramfs;
mod kernel;
mod layout;
mod modules;
mod own;
mod payload;
mod payload_error;
mod prepare;

pub use disk::{BootDisk, compose};
pub use error::BootError;
pub use grub::Grub;
pub use initramfs::Fault as InitramfsFault;
pub use own::{has_added, own_loader};
pub use payload::{InitramfsPart, Payload};
pub use payload_error::PayloadError;
pub use prepare::{BootGuest, Modules, Prepared, Wanted, prepare};

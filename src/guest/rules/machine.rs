//! What a machine needs that a container did without: disks, udev, logins on its console.

mod console;
mod fstab;
mod services;

pub(super) use self::console::apply as console;
pub(super) use self::fstab::apply as fstab;
pub(super) use self::services::apply as services;

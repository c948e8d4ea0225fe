//! Block devices that the kernel holds for itself.

use std::fs::File;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

/// Whether a path is a block device that is mounted, swap, or part of another device; its
/// partitions count.
pub(super) fn is_held(path: &Path) -> bool {
    let meta = std::fs::metadata(path);
    if !meta.is_ok_and(|meta| meta.file_type().is_block_device()) {
        return false;
    }
    // Of a block device, O_EXCL asks for the claim that they hold, and gives it back at once.
    let opened = File::options()
        .read(true)
        .custom_flags(OFlag::O_EXCL.bits())
        .open(path);
    opened.is_err_and(|error| error.raw_os_error() == Some(Errno::EBUSY as i32))
}

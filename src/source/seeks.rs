//! Whether reading here and there costs a file more than reading it from end to end.

use std::fs::{File, read_to_string};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use nix::sys::stat::{major, minor};

/// Whether the disk under a file has a head to move, or may have one: the kernel says so, or, as of
/// network file systems and of those over several disks, nothing.
pub(super) fn may_seek(file: &File) -> bool {
    let Ok(meta) = file.metadata() else {
        return true;
    };
    let device = match meta.file_type().is_block_device() {
        true => meta.rdev(),
        false => meta.dev(),
    };
    let folder = format!("/sys/dev/block/{}:{}", major(device), minor(device));
    // A partition has no queue of its own: that of its disk is one folder up.
    let said = ["queue", "../queue"]
        .iter()
        .find_map(|queue| read_to_string(format!("{folder}/{queue}/rotational")).ok());
    said.is_none_or(|said| said.trim() != "0")
}

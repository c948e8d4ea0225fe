//! How disks lie in folders: by which names, and what is a container's.

use std::path::Path;

use crate::error::{Error, Result};
use crate::ploop::descriptor::Guid;
use crate::source::is_absence;

pub(super) const DESCRIPTOR: &str = "DiskDescriptor.xml";

pub(super) const ROOT_DISK: &str = "root.hdd";

/// The most entries of a folder that are looked at: a disk's folder has a few.
pub(super) const MAX_ENTRIES: usize = 4096;

/// Digits, or a UUID in either spelling.
pub(super) fn is_container_id(input: &Path) -> bool {
    let text = input.to_str().unwrap_or_default();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits || text.parse::<Guid>().is_ok()
}

/// Whether a path leads to a directory.
pub(super) fn is_directory(path: &Path) -> Result<bool> {
    match std::fs::metadata(path) {
        Ok(meta) => Ok(meta.is_dir()),
        Err(error) if is_absence(&error) => Ok(false),
        Err(error) => Err(Error::io("looking for", path, error)),
    }
}

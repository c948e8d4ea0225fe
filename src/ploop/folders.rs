//! How disks lie in folders: by which names, and what is a container's.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

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

/// The directories in a directory that are called like a disk, sorted.
pub(super) fn bundles_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let is_disk = |name: &OsStr| {
        let extension = Path::new(name).extension();
        extension.is_some_and(|extension| extension.eq_ignore_ascii_case("hdd"))
    };
    let mut found = Vec::new();
    for path in entries(dir)? {
        if path.file_name().is_some_and(is_disk) && is_directory(&path)? {
            found.push(path);
        }
    }
    found.sort_unstable();
    Ok(found)
}

pub(super) fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::io("listing", dir, error);
    let entries = std::fs::read_dir(dir).map_err(failed)?.take(MAX_ENTRIES);
    entries
        .map(|entry| Ok(entry.map_err(failed)?.path()))
        .collect()
}

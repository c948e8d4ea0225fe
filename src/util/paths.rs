//! Where files lie.

use std::path::Path;

/// The folder that a file lies in: the parent of its path, and `.` where the path is a bare name,
/// whose parent is empty. `.` also where a path has no parent.
///
/// ```
/// use ploopconv::util::paths::folder_of;
/// use std::path::Path;
/// assert_eq!(folder_of("vz/root.hdd".as_ref()), Path::new("vz"));
/// assert_eq!(folder_of("root.hdd".as_ref()), Path::new("."));
/// ```
#[must_use]
pub fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

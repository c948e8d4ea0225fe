//! Where files without a name go.

use std::path::PathBuf;

/// The folder for files that are gone when the program ends: `$TMPDIR`, else `/var/tmp`, because
/// `/tmp` is often in memory.
pub(crate) fn scratch_folder() -> PathBuf {
    let folder = std::env::var_os("TMPDIR").filter(|folder| !folder.is_empty());
    folder.map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from)
}

//! Where a private layer is kept.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::attach::OverlayFile;
use crate::error::{Error, Result};

/// Where what is written goes.
#[derive(Debug)]
pub struct PrivateLayer {
    /// The file.
    pub file: File,
    /// What errors call it.
    pub path: PathBuf,
    /// Where it has a name that somebody chose.
    pub named: Option<OverlayFile>,
}

impl PrivateLayer {
    /// Makes the file: the one that was named, or one without a name in `folder`.
    ///
    /// # Errors
    ///
    /// What the operating system says; a file that is there already is not taken.
    pub fn create(path: Option<&Path>, folder: &Path) -> Result<Self> {
        let Some(path) = path else {
            let file = tempfile::tempfile_in(folder)
                .map_err(|error| Error::io("making a temporary file in", folder, error))?;
            return Ok(Self {
                file,
                path: folder.to_owned(),
                named: None,
            });
        };
        let failed = |error: io::Error| Error::io("creating the private layer", path, error);
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            // What a guest keeps from its users is in there.
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        let path = std::fs::canonicalize(path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        let identity = (meta.dev(), meta.ino());
        let named = OverlayFile {
            path: path.clone(),
            identity,
        };
        Ok(Self {
            file,
            path,
            named: Some(named),
        })
    }
}

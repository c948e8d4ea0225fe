//! Where a private layer is kept.

use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::cli::scratch::scratch_folder;
use anyhow::{Context, bail};
use ploopconv::attach::OverlayFile;

/// Where what is written goes.
#[derive(Debug)]
pub(super) struct OverlayPlace {
    pub(super) file: File,
    /// What errors call it.
    pub(super) path: PathBuf,
    /// Where it has a name that somebody chose.
    pub(super) named: Option<OverlayFile>,
}

impl OverlayPlace {
    /// Makes the file: the one that was named, or one without a name.
    pub(super) fn create(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            let folder = scratch_folder();
            let file = tempfile::tempfile_in(&folder)
                .with_context(|| format!("making a temporary file in {}", folder.display()))?;
            return Ok(Self {
                file,
                path: folder,
                named: None,
            });
        };
        let name = path.display();
        if path.is_dir() {
            bail!("{name} is a directory; --overlay=FILE names a file that does not exist yet");
        }
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            // What a guest keeps from its users is in there.
            .mode(0o600)
            .open(path)
            .with_context(|| format!("creating the private layer {name}"))?;
        let path = std::fs::canonicalize(path).with_context(|| format!("looking for {name}"))?;
        let meta = file
            .metadata()
            .with_context(|| format!("looking at {name}"))?;
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

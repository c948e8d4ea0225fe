//! The table that a conversion between versions of the format saves before it begins.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::opener::Opener;
use crate::error::{Error, Result};
use crate::ploop::error::OpenError;
use crate::source::FileSource;
use crate::util::paths::folder_of;

impl Opener {
    /// The table that a conversion between versions saves beside the image, where it may be used.
    pub(super) fn saved_index(&self, image: &Path) -> Result<Option<FileSource>> {
        if !self.options.use_index {
            return Ok(None);
        }
        let mut path = image.as_os_str().to_owned();
        path.push(".idx");
        let path = PathBuf::from(path);
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("opening", &path, error)),
        };
        let folder = folder_of(image).canonicalize();
        let folder = folder.map_err(|error| Error::io("resolving", image, error))?;
        if !self.options.allow_outside && !real.starts_with(folder) {
            return Err(OpenError::Outside {
                named_by: path,
                file: real,
            }
            .into());
        }
        FileSource::open_resolved(&real).map(Some)
    }
}

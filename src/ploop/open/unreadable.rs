//! What is not read by itself either, whatever the options say: an encrypted disk, and a part of a
//! split one.

use std::io::ErrorKind;
use std::path::Path;

use super::opener::Opener;
use crate::error::{Error, Result};
use crate::ploop::descriptor;
use crate::ploop::error::OpenError;
use crate::ploop::gate::Reach;
use crate::ploop::locate::{descriptor_backups, descriptor_beside};
use crate::ploop::names::ImageName;
use crate::util::paths::folder_of;

impl Opener {
    /// Refuses an image whose clusters do not hold the disk's bytes, or only a part of the disk,
    /// by the descriptor beside it and by its name.
    pub(super) fn refuse_unreadable(&mut self, image: &Path) -> Result<()> {
        if let Some(descriptor) = descriptor_beside(image)? {
            self.refuse_by_descriptor(&descriptor)?;
        }
        // A link has another name and lies in another folder than what it leads to.
        let real = image.canonicalize();
        let real = real.map_err(|error| Error::io("resolving", image, error))?;
        for image in [image, &real] {
            for backup in descriptor_backups(folder_of(image)) {
                self.refuse_by_descriptor(&backup)?;
            }
            refuse_part(image)?;
        }
        Ok(())
    }

    fn refuse_by_descriptor(&mut self, path: &Path) -> Result<()> {
        let file = match self.descriptor_file(path, Reach::Anywhere) {
            Ok(file) => file,
            // Another user can tell.
            Err(error) if is_forbidden(&error) => return Err(error.said_of("opening").of(path)),
            // What nothing can read says nothing: an image is rescued without it.
            Err(_) => return Ok(()),
        };
        match descriptor::refuses_images(&file.bytes) {
            Some(why) => Err(Error::during("reading", why).of(path)),
            None => Ok(()),
        }
    }
}

fn is_forbidden(error: &Error) -> bool {
    let source = error.io_error();
    source.is_some_and(|source| source.kind() == ErrorKind::PermissionDenied)
}

/// Refuses a part of a split disk by the names of the files: the second and later parts say so
/// themselves, the first one where another lies beside it.
pub(super) fn refuse_part(image: &Path) -> Result<()> {
    let name_of = |path: &Path| ImageName::parse(path.file_name()?);
    let Some(name) = name_of(image) else {
        return Ok(());
    };
    let Some(part) = name.part else {
        return Ok(());
    };
    let others = std::fs::read_dir(folder_of(image)).into_iter().flatten();
    let mut others = others.flatten().map(|entry| entry.path());
    let is_part = part > 0
        || others.any(|other| name_of(&other).is_some_and(|it| it.is_other_part_of(&name)));
    if is_part {
        return Err(OpenError::Part {
            path: image.to_owned(),
            part,
        }
        .into());
    }
    Ok(())
}

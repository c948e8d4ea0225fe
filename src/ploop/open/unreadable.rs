//! What is not read by itself either, whatever the options say: an encrypted disk, and a part of a
//! split one.

use std::io::ErrorKind;
use std::path::Path;

use super::{Examined, folder_of};
use crate::error::{Error, Result};
use crate::ploop::descriptor::{self, Descriptor};
use crate::ploop::locate::{DESCRIPTOR, descriptor_beside};
use crate::ploop::names::ImageName;
use crate::source::{FileSource, Source};

impl Examined {
    /// Refuses an image whose clusters do not hold the disk's bytes, or only a part of the disk,
    /// by the descriptor beside it and by its name.
    pub(super) fn refuse_unreadable(&self, image: &Path) -> Result<()> {
        if let Some(descriptor) = descriptor_beside(image)? {
            refuse_by_descriptor(&descriptor)?;
        }
        // A link has another name and lies in another folder than what it leads to.
        let real = image.canonicalize();
        let real = real.map_err(|error| Error::io("resolving", image, error))?;
        for image in [image, &real] {
            // What Parallels products keep of the descriptor, should it be lost.
            let backup = folder_of(image).join(format!("{DESCRIPTOR}.Backup"));
            if backup.is_file() {
                refuse_by_descriptor(&backup)?;
            }
            refuse_part(image)?;
        }
        Ok(())
    }
}

fn refuse_by_descriptor(path: &Path) -> Result<()> {
    let source = match FileSource::open(path) {
        Ok(source) => source,
        // Another user can tell.
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
            return Err(Error::io("opening", path, source));
        }
        // What nothing can read says nothing: an image is rescued without it.
        Err(_) => return Ok(()),
    };
    let held = source.len().min(Descriptor::MAX_LEN);
    let mut bytes = vec![0; usize::try_from(held).unwrap_or_default()];
    if source.read_exact_at(&mut bytes, 0).is_err() {
        return Ok(());
    }
    match descriptor::refuses_images(&bytes) {
        Some(source) => Err(Error::Descriptor {
            path: path.to_owned(),
            source,
        }),
        None => Ok(()),
    }
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
        return Err(Error::Part {
            path: image.to_owned(),
            part,
        });
    }
    Ok(())
}

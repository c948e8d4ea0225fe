//! An image file that was given by itself: is it the whole disk?

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::opener::Opener;
use super::read::DescriptorFile;
use crate::error::{ErrorKind, Result};
use crate::ploop::ImageEntry;
use crate::ploop::chain::ChainPlan;
use crate::ploop::check::{Finding, FindingKind as Kind};
use crate::ploop::descriptor::{Descriptor, Guid, Storage};
use crate::ploop::error::OpenError;
use crate::ploop::gate::{Gate, Reach};
use crate::ploop::locate::images_in;
use crate::ploop::names::{ImageName, is_named_like_a_delta};
use crate::util::paths::folder_of;

impl Opener {
    /// Warns where an image that is read by itself has layers below it: its holes are not theirs.
    pub(super) fn judge_single(&mut self, path: &Path, descriptor: Option<&Path>) {
        const UNKNOWN: &str = "the descriptor cannot say whether there are layers below it: \
                               what it does not store reads as zeros";
        let why = match descriptor {
            Some(descriptor) => match self.descriptor_file(descriptor, Reach::Anywhere) {
                Ok(file) => match file
                    .descriptor()
                    .map(|said| (said, entry_of(path, &file.gate, said)))
                {
                    Ok((said, Some(image))) if has_parent(said, image.guid) => {
                        "the descriptor says that there are layers below it: what it does not \
                         store reads as zeros"
                    }
                    Ok((_, Some(_))) => return,
                    Ok((_, None)) => {
                        "the descriptor does not say what it is: what it does not store reads \
                         as zeros"
                    }
                    Err(_) => UNKNOWN,
                },
                Err(_) => UNKNOWN,
            },
            None => match told_by_names(path).or_else(|| told_by_names(&path.canonicalize().ok()?))
            {
                Some(why) => why,
                None => return,
            },
        };
        let message = format!("read by itself, and {why}");
        self.findings
            .push(Finding::new(Kind::SingleLayer, message).of(0, path));
    }
}

/// What the names of an image without a descriptor, and of the images beside it, say against
/// reading it by itself.
fn told_by_names(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?;
    if is_named_like_a_delta(name) {
        return Some(
            "its name is that of a layer over others: what it does not store reads as zeros",
        );
    }
    let own_stem = ImageName::parse(name).map(|name| name.stem);
    let is_over_it = |other: &ImageName| {
        let stem = OsStr::new(&other.stem);
        other.is_of_a_delta()
            && (stem == name
                || own_stem
                    .as_deref()
                    .is_some_and(|own| stem == OsStr::new(own)))
    };
    let mut images = images_in(folder_of(path)).into_iter();
    let has_layers = images.any(|image| {
        let other = image.file_name().and_then(ImageName::parse);
        other.is_some_and(|other| is_over_it(&other))
    });
    has_layers.then_some(
        "files beside it have the names of layers over it: it may be an old state of the disk",
    )
}

fn has_parent(descriptor: &Descriptor, guid: Guid) -> bool {
    let mut shots = descriptor.shots.iter();
    shots.any(|shot| shot.guid == guid && shot.parent.is_some())
}

impl Opener {
    /// Refuses an image file whose descriptor says that it is not the whole disk.
    pub(super) fn refuse_lone_layer(&mut self, path: &Path, descriptor_path: &Path) -> Result<()> {
        let unknown = |source| OpenError::UnknownRole {
            path: path.to_owned(),
            descriptor: descriptor_path.to_owned(),
            source,
        };
        // Wherever the descriptor lies, here it only says what the image is.
        let file = self.descriptor_file(descriptor_path, Reach::Anywhere);
        let file = file.map_err(unknown)?;
        match file.descriptor() {
            // A kind that is not read: its images are not read by themselves either.
            Err(error) if error.kind() != ErrorKind::Corrupt => Err(error),
            Err(error) => Err(unknown(error).into()),
            Ok(descriptor) => refuse_by(path, &file, descriptor),
        }
    }
}

fn refuse_by(path: &Path, file: &DescriptorFile, descriptor: &Descriptor) -> Result<()> {
    let descriptor_path = &file.path;
    let lone = |why: String, snapshot, part| {
        Err(OpenError::LoneLayer {
            path: path.to_owned(),
            why,
            descriptor: descriptor_path.to_owned(),
            snapshot,
            part,
        }
        .into())
    };
    let Some(image) = entry_of(path, &file.gate, descriptor) else {
        return lone(
            "the descriptor beside it does not name it".to_owned(),
            None,
            None,
        );
    };
    let guid = image.guid;
    // A broken chain is no reason to take one of its files for the whole.
    let current = ChainPlan::select(descriptor, None);
    let place = current.as_ref().ok().and_then(|plan| {
        let layers = &plan.parts.first()?.layers;
        let at = layers.iter().position(|layer| layer.guid == guid)?;
        Some((at, layers.len()))
    });
    if descriptor.is_split() {
        let parts = descriptor.storages.len();
        let has_it = |storage: &Storage| storage.images.iter().any(|it| std::ptr::eq(it, image));
        let part = descriptor.storages.iter().position(has_it).unwrap_or(0);
        // The whole disk up to a layer that is the only one is the disk.
        let snapshot = (place != Some((0, 1))).then_some(guid);
        let why = format!("it is of part {part} of a disk that is split into {parts} parts");
        return lone(why, snapshot, Some(part));
    }
    match place {
        Some((0, 1)) => Ok(()),
        Some((at, layers)) => lone(
            format!("it is layer {at} of a chain of {layers}"),
            Some(guid),
            None,
        ),
        None => lone(
            "it is not part of the disk's current state".to_owned(),
            Some(guid),
            None,
        ),
    }
}

/// What the descriptor calls this file.
fn entry_of<'a>(path: &Path, gate: &Gate, descriptor: &'a Descriptor) -> Option<&'a ImageEntry> {
    // Only asked for, never opened: the names may lead anywhere.
    let identity = |path: &Path| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.dev(), meta.ino()))
    };
    let this_file = identity(path);
    let is_this_file = |image: &&ImageEntry| {
        let named = gate.admit(&image.file).ok();
        this_file.is_some() && named.and_then(|named| identity(&named.path)) == this_file
    };
    descriptor.images().find(is_this_file)
}

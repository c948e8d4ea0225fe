//! An image file that was given by itself: is it the whole disk?

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Examined, read_descriptor};
use crate::error::{Error, Result};
use crate::ploop::ImageEntry;
use crate::ploop::chain::{ChainPlan, Gate};
use crate::ploop::check::{Finding, FindingKind as Kind};
use crate::ploop::descriptor::{Descriptor, Guid};
use crate::source::FileSource;

impl Examined {
    /// Warns where an image that is read by itself has layers below it: its holes are not theirs.
    pub(super) fn judge_single(&mut self, path: &Path, descriptor: Option<&Path>) {
        let why = match descriptor {
            Some(descriptor) => match read_beside(descriptor) {
                Ok((_, descriptor_text)) => match entry_of(path, descriptor, &descriptor_text) {
                    Ok(Some(image)) if has_parent(&descriptor_text, image.guid) => {
                        "the descriptor says that there are layers below it"
                    }
                    Ok(Some(_)) => return,
                    Ok(None) | Err(_) => "the descriptor does not say what it is",
                },
                Err(_) => "the descriptor cannot say whether there are layers below it",
            },
            None if is_named_like_a_delta(path) => "its name is that of a layer over others",
            None => return,
        };
        let message = format!("read by itself, and {why}: what it does not store reads as zeros");
        self.findings
            .push(Finding::new(Kind::SingleLayer, message).of(0, path));
    }
}

fn has_parent(descriptor: &Descriptor, guid: Guid) -> bool {
    let mut shots = descriptor.shots.iter();
    shots.any(|shot| shot.guid == guid && shot.parent.is_some())
}

/// Whether a name is the kind that libploop gives to a layer over others: `root.hds.{GUID}`.
/// Whoever moves or renames it loses the sign, so that nothing follows from its absence.
pub(in crate::ploop) fn is_named_like_a_delta(path: &Path) -> bool {
    let suffix = path.extension().and_then(|suffix| suffix.to_str());
    suffix.is_some_and(|guid| guid.starts_with('{') && guid.parse::<Guid>().is_ok())
}

/// Refuses an image file whose descriptor says that it is not the whole disk.
pub(super) fn refuse_lone_layer(path: &Path, descriptor_path: &Path) -> Result<()> {
    let (_, descriptor) = read_beside(descriptor_path).map_err(|source| Error::UnknownRole {
        path: path.to_owned(),
        descriptor: descriptor_path.to_owned(),
        source: Box::new(source),
    })?;
    let lone = |why: String, snapshot| {
        Err(Error::LoneLayer {
            path: path.to_owned(),
            why,
            descriptor: descriptor_path.to_owned(),
            snapshot,
        })
    };
    let Some(image) = entry_of(path, descriptor_path, &descriptor)? else {
        return lone("the descriptor beside it does not name it".to_owned(), None);
    };
    let guid = image.guid;
    // A broken chain is no reason to take one of its files for the whole.
    let current = ChainPlan::select(&descriptor, None);
    let place = current.as_ref().ok().and_then(|plan| {
        let at = plan.layers.iter().position(|layer| layer.guid == guid)?;
        Some((at, plan.layers.len()))
    });
    match place {
        Some((0, 1)) => Ok(()),
        Some((at, layers)) => lone(
            format!("it is layer {at} of a chain of {layers}"),
            Some(guid),
        ),
        None => lone(
            "it is not part of the disk's current state".to_owned(),
            Some(guid),
        ),
    }
}

/// Reads the descriptor beside an image; wherever it lies, it only says what the image is.
fn read_beside(descriptor: &Path) -> Result<(FileSource, Descriptor)> {
    read_descriptor(descriptor, &Gate::new(descriptor, true)?)
}

/// What the descriptor calls this file.
fn entry_of<'a>(
    path: &Path,
    descriptor_path: &Path,
    descriptor: &'a Descriptor,
) -> Result<Option<&'a ImageEntry>> {
    // Only asked for, never opened: the names were not through the gate.
    let identity = |path: &Path| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.dev(), meta.ino()))
    };
    let this_file = identity(path);
    let gate = Gate::new(descriptor_path, true)?;
    let is_this_file = |image: &&ImageEntry| {
        let named = gate.admit(&image.file).ok();
        this_file.is_some() && named.and_then(|named| identity(&named.path)) == this_file
    };
    Ok(descriptor.images.iter().find(is_this_file))
}

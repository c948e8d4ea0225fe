//! An image file that was given by itself: is it the whole disk?

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::read_descriptor;
use crate::error::{Error, Result};
use crate::ploop::ImageEntry;
use crate::ploop::chain::{ChainPlan, Gate};

/// Refuses an image file whose descriptor says that it is not the whole disk.
pub(super) fn refuse_lone_layer(path: &Path, descriptor_path: &Path) -> Result<()> {
    let unknown = |source| Error::UnknownRole {
        path: path.to_owned(),
        descriptor: descriptor_path.to_owned(),
        source: Box::new(source),
    };
    let gate = Gate::new(descriptor_path, true).map_err(unknown)?;
    let (_, descriptor) = read_descriptor(descriptor_path, &gate).map_err(unknown)?;
    // Only asked for, never opened: the names were not through the gate.
    let identity = |path: &Path| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.dev(), meta.ino()))
    };
    let this_file = identity(path);
    let is_this_file = |image: &&ImageEntry| {
        let named = gate.admit(&image.file).ok();
        this_file.is_some() && named.and_then(|named| identity(&named.path)) == this_file
    };
    let lone = |why: String, snapshot| {
        Err(Error::LoneLayer {
            path: path.to_owned(),
            why,
            descriptor: descriptor_path.to_owned(),
            snapshot,
        })
    };
    let Some(image) = descriptor.images.iter().find(is_this_file) else {
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

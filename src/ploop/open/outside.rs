//! A descriptor whose layers lie in other folders: those of another disk, or of one that was moved.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::opener::Opener;
use crate::error::Result;
use crate::ploop::alternative::{Alternative, OtherReading};
use crate::ploop::chain::{ChainPlan, LayerForm, PlannedLayer};
use crate::ploop::error::{OpenError, with_alternative};
use crate::ploop::layer_name::LayerName;
use crate::ploop::locate::descriptor_in;
use crate::util::paths::folder_of;

/// A layer that the descriptor names outside its folder.
struct Outside {
    /// Without symbolic links.
    file: PathBuf,
    /// Whether another file of the same name lies beside the descriptor.
    beside: bool,
}

impl Opener {
    /// Refuses a descriptor that leads to somebody else's disk: a copied or cloned container keeps
    /// the absolute names of the original. Options do not help, because the names may be right or
    /// wrong; a user who knows can name the files.
    pub(super) fn refuse_other_disks(&self, plan: &ChainPlan, descriptor: &Path) -> Result<()> {
        let folder = folder_of(descriptor);
        let Ok(real_folder) = folder.canonicalize() else {
            return Ok(()); // opening says why
        };
        let layers = plan.layers();
        let outside: Vec<_> = layers.map(|layer| outside(layer, &real_folder)).collect();
        let refuse = |file: &Path, instead| {
            let named_by = descriptor.to_owned();
            let file = file.to_owned();
            {
                let error = OpenError::Outside { named_by, file }.into();
                Err(with_alternative(error, instead))
            }
        };
        let mut with_namesake = outside.iter().flatten().filter(|layer| layer.beside);
        if let Some(first) = with_namesake.next() {
            let layers = plan.layers().zip(&outside);
            let layers = layers.map(|(planned, outside)| beside_name(planned, outside.as_ref()));
            let instead = Alternative::Layers {
                folder: folder.to_owned(),
                layers: layers.collect(),
                why: OtherReading::BesideDescriptor,
            };
            // Parts of a split disk cannot be named by hand.
            return refuse(&first.file, (!plan.is_split()).then_some(instead));
        }
        let mut outside = outside.iter().flatten();
        let others = outside.find_map(|it| Some((it, other_disk(&it.file, descriptor)?)));
        if let Some((layer, other)) = others {
            return refuse(&layer.file, Some(Alternative::OtherDisk(other)));
        }
        Ok(())
    }
}

/// Where a layer lies, if that is outside the descriptor's folder.
fn outside(layer: &PlannedLayer, folder: &Path) -> Option<Outside> {
    let named = Path::new(&layer.file);
    let file = folder.join(named).canonicalize().ok()?;
    if file.starts_with(folder) {
        return None;
    }
    let identity = |path: &Path| {
        let meta = std::fs::metadata(path).ok()?;
        meta.is_file().then(|| (meta.dev(), meta.ino()))
    };
    let beside = identity(&folder.join(named.file_name()?));
    let beside = beside.is_some() && beside != identity(&file);
    Some(Outside { file, beside })
}

/// What a layer is called if files beside the descriptor stand for those that are named elsewhere.
fn beside_name(planned: &PlannedLayer, outside: Option<&Outside>) -> LayerName {
    let named = Path::new(&planned.file);
    let file = match outside {
        None => named.to_owned(),
        Some(Outside { beside: true, .. }) => named.file_name().unwrap_or_default().into(),
        Some(Outside { file, .. }) => file.clone(),
    };
    let raw = planned.form == LayerForm::Raw;
    LayerName { file, raw }
}

/// The folder around a file that has a descriptor of its own.
fn other_disk(file: &Path, descriptor: &Path) -> Option<PathBuf> {
    let folder = file.parent()?;
    let other = descriptor_in(folder).ok()??;
    let identity = |path: &Path| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.dev(), meta.ino()))
    };
    // A folder can have two names.
    let is_another = identity(&other)? != identity(descriptor)?;
    is_another.then(|| folder.to_owned())
}

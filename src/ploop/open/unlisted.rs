//! What a descriptor should name and does not, or names twice: parts of a disk that were lost with
//! their lines, and files that stand for two images.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::opener::Opener;
use crate::ploop::chain::ChainPlan;
use crate::ploop::check::{Finding, FindingKind as Kind};
use crate::ploop::descriptor::{Descriptor, Guid, told};
use crate::ploop::gate::{Gate, Reach};
use crate::ploop::locate::{descriptor_backups, descriptor_in};
use crate::ploop::names::ImageName;
use crate::util::paths::folder_of;

/// Device and inode number of a file that is there.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}

impl Opener {
    /// Notes where a file of the chain is named for an image besides, which one of them is not.
    pub(super) fn judge_names(&mut self, plan: &ChainPlan, descriptor: &Descriptor, gate: &Gate) {
        let mut others: HashMap<(u64, u64), Guid> = HashMap::new();
        let mut read = Vec::new();
        for (part, storage) in plan.parts.iter().zip(&descriptor.storages) {
            let chain: HashSet<Guid> = part.layers.iter().map(|layer| layer.guid).collect();
            for image in &storage.images {
                let Ok(admitted) = gate.admit(&image.file) else {
                    continue;
                };
                let Some(file) = identity(&admitted.path) else {
                    continue;
                };
                if chain.contains(&image.guid) {
                    read.push((file, admitted.path, image.guid));
                } else {
                    others.insert(file, image.guid);
                }
            }
        }
        for (file, path, guid) in read {
            if let Some(other) = others.get(&file) {
                let message = format!(
                    "the descriptor names it for two images, {guid} and {other}, and it can be one"
                );
                self.findings.push(Finding {
                    file: Some(path),
                    ..Finding::new(Kind::Descriptor, message)
                });
            }
        }
    }

    /// Notes where something says that the disk has a part that the descriptor does not name: a
    /// file, another state of the descriptor, or the size that it states.
    pub(super) fn judge_unlisted_parts(
        &mut self,
        path: &Path,
        descriptor: &Descriptor,
        gate: &Gate,
    ) {
        let Ok(real) = path.canonicalize() else {
            return; // opening it said why
        };
        let found = other_part(folder_of(&real), descriptor, gate)
            .or_else(|| self.told_by_another(&real, descriptor, gate))
            .map(|file| {
                let message = "it is of a part of the disk that the descriptor does not name, so \
                               the disk is not whole";
                Finding {
                    file: Some(file),
                    ..Finding::new(Kind::PartUnlisted, message.to_owned())
                }
            });
        let found = found.or_else(|| self.told_by_size(descriptor, gate));
        self.findings.extend(found);
    }

    /// A file that another descriptor in the folder, with more parts, names.
    fn told_by_another(
        &mut self,
        path: &Path,
        descriptor: &Descriptor,
        gate: &Gate,
    ) -> Option<PathBuf> {
        let folder = folder_of(path);
        let listed = files_of(descriptor, gate);
        let current = descriptor_in(folder).ok().flatten();
        let others = descriptor_backups(folder).into_iter().chain(current);
        for other in others.filter(|other| identity(other) != identity(path)) {
            let Ok(file) = self.descriptor_file(&other, Reach::Anywhere) else {
                continue;
            };
            let told = told(&file.bytes);
            if told.parts <= descriptor.storages.len() {
                continue;
            }
            let files = told.files.iter();
            let mut files = files.filter_map(|name| Some(gate.admit(name).ok()?.path));
            if let Some(found) = files.find(|file| !listed.contains(file)) {
                return Some(found);
            }
        }
        None
    }

    /// A descriptor of one part whose image ends with the part, and not with the disk.
    fn told_by_size(&self, descriptor: &Descriptor, gate: &Gate) -> Option<Finding> {
        let (disk, end) = (descriptor.disk_size?, descriptor.end()?);
        let top = self.layers.last()?;
        let is_part = |name: &OsString| ImageName::parse(name).is_some_and(|it| it.part.is_some());
        let is_numbered = names_of(descriptor, gate).iter().any(is_part);
        let size = match top.image {
            Some(_) => top.virtual_size,
            None => top.file_size,
        };
        let ends = !descriptor.is_split() && self.is_current() && size == end;
        (ends && disk > end && is_numbered).then(|| {
            let message = format!(
                "the descriptor states a disk of {disk} bytes, and names one part of {end}: \
                 another part is missing"
            );
            Finding::new(Kind::PartUnlisted, message)
        })
    }
}

/// The files of the images that are there.
fn files_of(descriptor: &Descriptor, gate: &Gate) -> HashSet<PathBuf> {
    let images = descriptor.images();
    images
        .filter_map(|image| Some(gate.admit(&image.file).ok()?.path))
        .collect()
}

/// The names of the images, there or not, without their folders.
fn names_of(descriptor: &Descriptor, gate: &Gate) -> Vec<OsString> {
    let name = |file: &str| {
        let path = gate.admit(file).map(|admitted| admitted.path);
        let path = path.unwrap_or_else(|_| PathBuf::from(file));
        path.file_name().map(ToOwned::to_owned)
    };
    let images = descriptor.images();
    images.filter_map(|image| name(&image.file)).collect()
}

/// A file beside the descriptor that is another part of one of its images by its name.
fn other_part(folder: &Path, descriptor: &Descriptor, gate: &Gate) -> Option<PathBuf> {
    let mut parts: HashMap<(String, Option<Guid>), HashSet<u32>> = HashMap::new();
    for name in names_of(descriptor, gate) {
        if let Some(ImageName {
            stem,
            part: Some(part),
            guid,
        }) = ImageName::parse(&name)
        {
            parts.entry((stem, guid)).or_default().insert(part);
        }
    }
    if parts.is_empty() {
        return None;
    }
    let is_other = |entry: &std::fs::DirEntry| {
        let name = ImageName::parse(&entry.file_name());
        name.is_some_and(
            |name| match (parts.get(&(name.stem, name.guid)), name.part) {
                (Some(known), Some(part)) => !known.contains(&part),
                _ => false,
            },
        )
    };
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let found = entries.filter(is_other).map(|entry| entry.path());
    // The same one in every run.
    found.filter(|path| path.is_file()).min()
}

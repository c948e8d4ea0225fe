//! What lies beside a disk: images that no descriptor names, signs of unfinished work, and
//! everything that must never be taken for a target.

use std::path::{Path, PathBuf};

use super::opener::Opener;
use crate::ploop::check::{Finding, FindingKind as Kind};
use crate::ploop::descriptor::Descriptor;
use crate::ploop::gate::Gate;
use crate::ploop::header::State;
use crate::ploop::image::peek;
use crate::ploop::locate::{companions_in, images_in};
use crate::source::FileSource;
use crate::util::paths::folder_of;

impl Opener {
    /// Everything in the folders of the disk that could be part of it, told by its name or by its
    /// first bytes, and every file that the descriptor names.
    pub(super) fn list_related(&mut self) {
        let layers = self.layers.iter().map(|layer| layer.file.clone());
        let mut related: Vec<PathBuf> = layers.chain(self.descriptor.clone()).collect();
        related.extend(self.input.is_file().then(|| self.input.clone()));
        let resolved = related.iter().filter_map(|file| file.canonicalize().ok());
        let mut folders: Vec<PathBuf> = resolved
            .filter_map(|file| Some(file.parent()?.to_owned()))
            .collect();
        folders.sort_unstable();
        folders.dedup();
        for folder in folders {
            related.extend(images_in(&folder));
            related.extend(companions_in(&folder));
        }
        self.related.extend(related);
    }

    pub(super) fn list_unlisted(&mut self, path: &Path, descriptor: &Descriptor, gate: &Gate) {
        let listed: Vec<PathBuf> = descriptor
            .images()
            .filter_map(|image| Some(gate.admit(&image.file).ok()?.path))
            .collect();
        let folder = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let mut images = images_in(folder_of(&folder));
        images.retain(|image| !listed.contains(image));
        self.unlisted = images;
        self.related.extend(listed);
    }

    /// Signs beside the descriptor that somebody was changing the disk.
    pub(super) fn look_beside(&mut self, descriptor: &Path, disk_sizes: &[u64]) {
        let mut unfinished = descriptor.as_os_str().to_owned();
        unfinished.push(".tmp");
        if Path::new(&unfinished).symlink_metadata().is_ok() {
            let message = "DiskDescriptor.xml.tmp lies beside the descriptor: a snapshot, merge or \
                           resize was cut short; the descriptor in force is read";
            self.say(Kind::UnfinishedDescriptor, message.to_owned());
        }
        for path in std::mem::take(&mut self.unlisted) {
            let header = FileSource::open(&path)
                .ok()
                .and_then(|source| peek(&source));
            if header.is_some_and(|header| {
                header.state() == State::InUse && disk_sizes.contains(&header.virtual_size())
            }) {
                let message = "not named by the descriptor, marked in use, and of the disk's size: \
                               the guest's last writes may be in this file";
                let finding = Finding::new(Kind::UnlistedLayerInUse, message.to_owned());
                self.findings.push(Finding {
                    file: Some(path.clone()),
                    ..finding
                });
            }
            self.unlisted.push(path);
        }
    }
}

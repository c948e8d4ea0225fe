//! Signs outside of the images that somebody uses the disk.

use std::path::PathBuf;

use super::examined::Examined;
use super::opener::Opener;
use super::options::IfInUse;
use crate::in_use::{Host, User, Watched};
use crate::ploop::check::{Finding, FindingKind as Kind, Severity};

impl Examined {
    /// The sign that the disk is in use for which it is not read.
    #[must_use]
    pub fn refuses_use(&self, if_in_use: IfInUse) -> Option<&Finding> {
        self.findings.iter().find(|finding| {
            finding.severity() == Severity::InUse
                && (if_in_use == IfInUse::Refuse || finding.kind == Kind::Attached)
        })
    }
}

impl Opener {
    /// Asks the host who uses the files that are read.
    pub(super) fn look_at(&mut self, host: &Host) {
        let next = self.layers.iter().skip(1).map(|next| Some(next.part));
        let next = next.chain([None]);
        let layers = self.layers.iter().zip(next).map(|(layer, next)| Watched {
            path: layer.file.clone(),
            // The next one is of another part.
            top: next != Some(layer.part),
        });
        // libploop locks a file of its own while it changes a disk.
        let lock = self.descriptor.as_ref().map(|descriptor| {
            let mut name = descriptor.clone().into_os_string();
            name.push(".lck");
            PathBuf::from(name)
        });
        let beside = self.descriptor.iter().cloned().chain(lock);
        let beside = beside.map(|path| Watched { path, top: false });
        let files: Vec<_> = layers.chain(beside).collect();
        for sign in host.signs(&files) {
            let kind = match sign.user {
                User::Ploop { .. } => Kind::Attached,
                User::Lock { .. } => Kind::Locked,
                User::Loop { .. } | User::Writer { .. } | User::Kernel => Kind::OpenForWriting,
            };
            let layer = self.layers.iter().find(|layer| layer.file == sign.path);
            self.findings.push(Finding {
                part: layer.and_then(|layer| layer.part),
                layer: layer.map(|layer| layer.layer),
                file: Some(sign.path),
                ..Finding::new(kind, sign.user.to_string())
            });
        }
    }
}

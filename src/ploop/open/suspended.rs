//! A virtual machine that is suspended, or runs: its memory lies in a file beside its
//! configuration, and what the guest has not written yet is in there.

use std::path::{Path, PathBuf};

use super::opener::Opener;
use crate::ploop::check::{Finding, FindingKind as Kind};
use crate::ploop::locate::is_bundle;
use crate::util::paths::folder_of;

impl Opener {
    /// Looks for a saved state around the disk. An older snapshot does not change with it.
    pub(super) fn look_for_suspended(&mut self) {
        if !self.is_current() {
            return;
        }
        let file = self.descriptor.as_deref();
        let file = file.or_else(|| self.layers.first().map(|layer| layer.file.as_path()));
        let Some(file) = file.and_then(|file| file.canonicalize().ok()) else {
            return;
        };
        let disk = folder_of(&file);
        let around = [Some(disk), disk.parent()];
        let bundle = around.into_iter().flatten().find(|dir| is_bundle(dir));
        if let Some(state) = bundle.and_then(saved_state) {
            let message = "the saved memory of a virtual machine, whose disks are in use until it \
                           is resumed and shut down";
            self.findings.push(Finding {
                file: Some(state),
                ..Finding::new(Kind::Suspended, message.to_owned())
            });
        }
    }
}

/// The first file of a saved state in the folder of a virtual machine.
fn saved_state(dir: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(dir).ok()?.flatten();
    let is_state = |path: &PathBuf| {
        let end = path.extension().unwrap_or_default();
        ["mem", "sav"].iter().any(|it| end.eq_ignore_ascii_case(it))
    };
    let paths = entries.map(|entry| entry.path());
    paths.filter(is_state).filter(|path| path.is_file()).min()
}

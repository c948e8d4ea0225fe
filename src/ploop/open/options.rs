//! What to open, and how freely.

use std::path::PathBuf;

use crate::in_use::Host;
use crate::ploop::bat::IfUnreadable;
use crate::ploop::gate::Reach;
use crate::ploop::layer_name::LayerName;
use crate::ploop::locate::{DEFAULT_CONFIG_DIR, DEFAULT_PRIVATE_DIRS, Search};
use crate::ploop::snapshots::SnapshotName;

/// What to open, and how freely.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// The disk to read where the input holds several, by its name or its number; `None` for the
    /// only one.
    pub disk: Option<String>,
    /// The snapshot to read; `None` for the current state.
    pub snapshot: Option<SnapshotName>,
    /// Read an image file by itself, whatever a descriptor says.
    pub single_layer: bool,
    /// The chain, base first, where it is named by hand; empty for what the descriptor says.
    pub layers: Vec<LayerName>,
    /// Read on over damage whose cost is known: [`Examined::into_disk`](super::Examined::into_disk)
    /// gives a disk that knows what is lost.
    pub salvage: bool,
    /// Where a conversion between versions of the format was cut short, use the table that it had
    /// saved beside the image.
    pub use_index: bool,
    /// Follow names in a descriptor that lead out of its folder.
    pub allow_outside: bool,
    /// Where container ids are looked for.
    pub private_dirs: Vec<PathBuf>,
    /// Where containers have their configuration, which may name further disks.
    pub config_dir: PathBuf,
    /// Where signs are looked for that somebody uses the disk; `None` to see only its own mark.
    pub host: Option<Host>,
}

impl OpenOptions {
    /// How far names in a descriptor may lead.
    pub(in crate::ploop) fn reach(&self) -> Reach {
        if self.allow_outside {
            Reach::Anywhere
        } else {
            Reach::Folder
        }
    }

    /// How the input is looked for.
    pub(in crate::ploop) fn search(&self) -> Search<'_> {
        Search {
            private_dirs: &self.private_dirs,
            disk: self.disk.as_deref(),
            reach: self.reach(),
        }
    }

    /// What becomes of an image whose BAT cannot be read.
    pub(in crate::ploop) fn if_unreadable(&self) -> IfUnreadable {
        if self.salvage {
            IfUnreadable::Salvage
        } else {
            IfUnreadable::Fail
        }
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            disk: None,
            snapshot: None,
            single_layer: false,
            layers: Vec::new(),
            salvage: false,
            use_index: false,
            allow_outside: false,
            private_dirs: DEFAULT_PRIVATE_DIRS.iter().map(PathBuf::from).collect(),
            config_dir: PathBuf::from(DEFAULT_CONFIG_DIR),
            host: Some(Host::default()),
        }
    }
}

/// What becomes of a disk that is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfInUse {
    /// It is not read.
    Refuse,
    /// The mark in the image, locks and programs that could write are passed over: whatever is
    /// written then shows in the times of the files, and fails the reading at its end. What a
    /// ploop device writes does not show there, so such a disk is refused all the same.
    Read,
}

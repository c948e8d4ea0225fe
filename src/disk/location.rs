//! Where a byte of a disk is stored, for messages and reports.

use std::fmt;
use std::path::{Path, PathBuf};

use super::extent::ExtentKind;
use super::store::{Role, Store, StoreId};
use super::virtual_disk::VirtualDisk;
use crate::error::Result;

/// How a byte of a disk is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In a store.
    Data(StoredIn, u64),
    /// In a store, compressed.
    Compressed(StoredIn, u64),
    /// Nowhere: it reads as zero.
    Hole,
    /// Past the end of the disk, which counts as zeros.
    End,
    /// A store should have it, and does not.
    Lost(StoredIn),
}

/// The store of a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredIn {
    /// The part of a split disk, 0 for the first.
    pub part: Option<usize>,
    /// The number of the store; of a chain that of the layer, 0 for the base.
    pub store: usize,
    /// Its file, or what messages call it.
    pub file: PathBuf,
}

impl Location {
    /// How the byte at `offset` is stored.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn of(disk: &dyn VirtualDisk, offset: u64) -> Result<Self> {
        if offset >= disk.size() {
            return Ok(Self::End);
        }
        let within = |id: StoreId| {
            let store = disk.store(id);
            let (part, layer) = match store.map(Store::role) {
                Some(Role::PartLayer { part, layer }) => (Some(part), layer),
                _ => (None, id.index()),
            };
            let path = store.map(Store::path);
            StoredIn {
                part,
                store: layer,
                file: path.map(Path::to_owned).unwrap_or_default(),
            }
        };
        Ok(match disk.extent_at(offset)?.kind {
            ExtentKind::Data { store, host_offset } => Self::Data(within(store), host_offset),
            ExtentKind::Compressed { store, host_offset } => {
                Self::Compressed(within(store), host_offset)
            }
            ExtentKind::Hole => Self::Hole,
            ExtentKind::Lost { store } => Self::Lost(within(store)),
        })
    }
}

impl fmt::Display for StoredIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(part) = self.part {
            write!(f, "part {part}, ")?;
        }
        write!(f, "layer {}, {}", self.store, self.file.display())
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(within, host_offset) => {
                write!(f, "{within} at host offset {host_offset:#x}")
            }
            Self::Compressed(within, host_offset) => {
                write!(f, "{within}, compressed at host offset {host_offset:#x}")
            }
            Self::Hole => f.write_str("a hole, which reads as zeros"),
            Self::End => f.write_str("past the end, which counts as zeros"),
            Self::Lost(within) => write!(f, "{within}: lost"),
        }
    }
}

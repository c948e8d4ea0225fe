//! One of two disks that are compared: a ploop image, a raw file or device, or a qcow2 image.

use std::fmt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use ploopconv::disk::{ExtentKind, RawDisk, VirtualDisk};
use ploopconv::ploop::{PloopDisk, Severity};
use ploopconv::qcow2::{Qcow2Disk, ReadError};
use ploopconv::source::FileSource;
use ploopconv::{Error, Foreign, Workers};
use serde::Serialize;

use super::open::OpenArgs;
use super::report::{path, warn};

/// A disk of any kind that can be read.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) disk: Box<dyn VirtualDisk>,
    pub(crate) kind: Kind,
    /// The files of the layers, base first.
    pub(crate) files: Vec<String>,
}

/// What a disk is stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ploop,
    File,
    Device,
    Qcow2,
}

impl Side {
    /// Opens whatever the image is, told by what it holds and never by its name.
    pub(crate) fn open(open: &OpenArgs, workers: &Workers) -> ploopconv::Result<Self> {
        let file = &open.image;
        if is_device(file) {
            return Self::file(file);
        }
        match open.examine(workers) {
            Ok(examined) => {
                warn(&examined, Severity::Warning);
                Ok(Self::ploop(examined.into_disk(open.allow_dirty)?))
            }
            // Not a file of the image's folder, but the file that was given.
            Err(Error::NotPloop { path, found }) if path == *file => match found {
                Foreign::Qcow | Foreign::Raw(_) | Foreign::Luks => Self::file(file),
                Foreign::Empty | Foreign::Unknown => Self::file(file),
                found => Err(Error::NotPloop { path, found }),
            },
            Err(error) => Err(error),
        }
    }

    fn ploop(disk: PloopDisk) -> Self {
        let files = layer_files(&disk);
        // SEAM (partitions): with --partition N the disk becomes that part of it here.
        Self {
            disk: Box::new(disk),
            kind: Kind::Ploop,
            files,
        }
    }

    /// Opens a file or device as what a conversion may have made: qcow2, told by its first bytes,
    /// or raw.
    pub(crate) fn file(file: &Path) -> ploopconv::Result<Self> {
        match Self::qcow2(file) {
            Err(Error::Qcow2Image {
                source: ReadError::Magic,
                ..
            }) => Self::raw(file),
            other => other,
        }
    }

    /// Opens a file or device as a raw disk, whatever it holds.
    pub(crate) fn raw(file: &Path) -> ploopconv::Result<Self> {
        let kind = if is_device(file) {
            Kind::Device
        } else {
            Kind::File
        };
        Ok(Self {
            disk: Box::new(RawDisk::open(file)?),
            kind,
            files: vec![path(file)],
        })
    }

    /// Opens a file or device as a qcow2 image.
    pub(crate) fn qcow2(file: &Path) -> ploopconv::Result<Self> {
        Ok(Self {
            disk: Box::new(Qcow2Disk::open(file)?),
            kind: Kind::Qcow2,
            files: vec![path(file)],
        })
    }

    /// How the disk's byte at `offset` is stored.
    pub(crate) fn place(&self, offset: u64) -> ploopconv::Result<Place> {
        Place::of(self.disk.as_ref(), &self.files, offset)
    }
}

/// Lets a target's bytes come from the disk and not from memory, as far as that can be done.
pub(crate) fn forget_cached(file: &Path) -> ploopconv::Result<()> {
    FileSource::open_file_or_device(file)?.forget_cached()
}

fn is_device(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|meta| meta.file_type().is_block_device())
}

/// The files of a disk's layers, base first.
pub(crate) fn layer_files(disk: &PloopDisk) -> Vec<String> {
    disk.layers()
        .iter()
        .map(|layer| path(layer.source().path()))
        .collect()
}

/// How a byte of a disk is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Place {
    Data {
        layer: usize,
        file: Option<String>,
        host_offset: u64,
    },
    Compressed {
        layer: usize,
        file: Option<String>,
        host_offset: u64,
    },
    /// Nowhere.
    Hole,
    /// Behind the end of the disk.
    End,
    Lost {
        layer: usize,
        file: Option<String>,
    },
}

impl Place {
    pub(crate) fn of(
        disk: &dyn VirtualDisk,
        files: &[String],
        offset: u64,
    ) -> ploopconv::Result<Self> {
        if offset >= disk.size() {
            return Ok(Self::End);
        }
        let name = |layer: usize| files.get(layer).cloned();
        Ok(match disk.extent_at(offset)?.kind {
            ExtentKind::Data { layer, host_offset } => Self::Data {
                layer,
                file: name(layer),
                host_offset,
            },
            ExtentKind::Compressed { layer, host_offset } => Self::Compressed {
                layer,
                file: name(layer),
                host_offset,
            },
            ExtentKind::Hole => Self::Hole,
            ExtentKind::Lost { layer } => Self::Lost {
                layer,
                file: name(layer),
            },
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = |file: &Option<String>| file.clone().unwrap_or_default();
        match self {
            Self::Data {
                layer,
                file: name,
                host_offset,
            } => write!(
                f,
                "layer {layer}, {} at host offset {host_offset:#x}",
                file(name)
            ),
            Self::Compressed {
                layer,
                file: name,
                host_offset,
            } => write!(
                f,
                "layer {layer}, {}, compressed at host offset {host_offset:#x}",
                file(name)
            ),
            Self::Hole => f.write_str("a hole, which reads as zeros"),
            Self::End => f.write_str("behind the end, which counts as zeros"),
            Self::Lost { layer, file: name } => write!(f, "layer {layer}, {}: lost", file(name)),
        }
    }
}

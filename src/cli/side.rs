//! One of two disks that are compared: a ploop image, a raw file or device, or a qcow2 image.

use std::fmt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use ploopconv::disk::{ExtentKind, RawDisk, VirtualDisk};
use ploopconv::partition::{self, Partition};
use ploopconv::qcow2::{Qcow2Disk, ReadError};
use ploopconv::source::FileSource;
use ploopconv::{Error, Foreign, Workers};
use serde::Serialize;

use super::losses::Tally;
use super::open::{OpenArgs, Opened, Salvage};
use super::report::{path, warn};

/// A disk of any kind that can be read.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) disk: Box<dyn VirtualDisk>,
    pub(crate) kind: Kind,
    /// The files of the layers, base first.
    pub(crate) files: Vec<PathBuf>,
    /// The partition that the disk is, where only that was asked for.
    pub(crate) partition: Option<u32>,
    /// Where it is read over damage: what it lost.
    pub(crate) salvage: Option<Salvage>,
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
                warn(&examined, open.allow_dirty);
                Ok(Self::ploop(open.disk(examined)?, open.partition))
            }
            // Not a file of the image's folder, but the file that was given.
            Err(Error::NotPloop { path, found }) if path == *file => match found {
                Foreign::Qcow | Foreign::Raw(_) | Foreign::Luks => Self::file(file),
                // A raw disk can be one of a CD, or be named like a package.
                Foreign::Empty | Foreign::Unknown | Foreign::Iso => Self::file(file),
                Foreign::ParallelsPackage | Foreign::Acronis => Self::file(file),
                found => Err(Error::NotPloop { path, found }),
            },
            Err(error) => Err(error),
        }
    }

    /// A ploop image that is open: the whole disk, or one partition of it.
    pub(crate) fn ploop(opened: Opened, partition: Option<u32>) -> Self {
        Self {
            disk: opened.disk,
            kind: Kind::Ploop,
            files: opened.layer_files,
            partition,
            salvage: opened.salvage,
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

    /// Partition `number` of a ploop image, whose layers are in `files`.
    pub(crate) fn part(
        disk: Box<dyn VirtualDisk>,
        files: Vec<PathBuf>,
        number: u32,
        salvage: Option<Salvage>,
    ) -> Self {
        Self {
            disk,
            kind: Kind::Ploop,
            files,
            partition: Some(number),
            salvage,
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
            files: vec![file.to_owned()],
            partition: None,
            salvage: None,
        })
    }

    /// Opens a file or device as a qcow2 image.
    pub(crate) fn qcow2(file: &Path) -> ploopconv::Result<Self> {
        Ok(Self {
            disk: Box::new(Qcow2Disk::open(file)?),
            kind: Kind::Qcow2,
            files: vec![file.to_owned()],
            partition: None,
            salvage: None,
        })
    }

    /// How the disk's byte at `offset` is stored.
    pub(crate) fn place(&self, offset: u64) -> ploopconv::Result<Place> {
        match &self.salvage {
            // A lost byte is not a hole.
            Some(salvage) => Place::of(&salvage.stored()?, &self.files, offset),
            None => Place::of(self.disk.as_ref(), &self.files, offset),
        }
    }

    /// The bytes that are lost and count as zeros, and those that are doubtful.
    pub(crate) fn tally(&self) -> ploopconv::Result<Tally> {
        let salvage = self.salvage.as_ref();
        salvage.map_or_else(
            || Ok(Tally::default()),
            |salvage| Tally::of(salvage.losses()),
        )
    }

    /// The partition that has the byte at `offset`, where the disk has a table that can be read.
    pub(crate) fn partition_at(&self, offset: u64) -> Option<u32> {
        if self.partition.is_some() {
            return self.partition;
        }
        let layout = partition::read(self.disk.as_ref()).ok()?;
        let has = |part: &&Partition| {
            !part.is_extended && offset >= part.start && offset - part.start < part.len
        };
        layout.partitions.iter().find(has).map(|part| part.number)
    }
}

/// Lets a target's bytes come from the disk and not from memory, as far as that can be done.
pub(crate) fn forget_cached(file: &Path) -> ploopconv::Result<()> {
    FileSource::open_file_or_device(file)?.forget_cached()
}

fn is_device(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|meta| meta.file_type().is_block_device())
}

/// The words for a partition behind an offset.
pub(crate) fn in_partition(number: Option<u32>) -> String {
    number.map_or_else(String::new, |number| format!(" (in partition {number})"))
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
    fn of(disk: &dyn VirtualDisk, files: &[PathBuf], offset: u64) -> ploopconv::Result<Self> {
        if offset >= disk.size() {
            return Ok(Self::End);
        }
        let name = |layer: usize| files.get(layer).map(|file| path(file));
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

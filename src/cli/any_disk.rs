//! A disk of any kind, as `compare` and `verify` take them: a ploop image, a raw file or device, or
//! a file in another format that is written.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ploopconv::convert::{Held, Input, Tally};
use ploopconv::disk::{Location, RawDisk, StoredIn, VirtualDisk};
use ploopconv::format::{FORMATS, Format, Holds};
use ploopconv::ploop::OpenError;
use ploopconv::source::FileSource;
use ploopconv::{ErrorKind, Foreign, Workers};
use serde::Serialize;

use super::compact::{DiskArgs, of_whole_partitions};
use super::output::write_message;
use super::report::{path, warn};

/// A disk of any kind that can be read.
#[derive(Debug)]
pub(crate) struct AnyDisk {
    pub(crate) input: Input,
    pub(crate) kind: Kind,
}

/// What a disk is stored in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Ploop,
    File,
    Device,
    Formatted(fn() -> Arc<dyn Format>),
}

impl AnyDisk {
    /// Opens whatever the image is, told by what it holds and never by its name.
    pub(crate) fn open(open: &DiskArgs, workers: &Workers) -> ploopconv::Result<Self> {
        let file = &open.image;
        if is_device(file) {
            return Self::file(file);
        }
        match open.examine(workers) {
            Ok(examined) => {
                warn(&examined, open.if_in_use());
                let input = open.disk(examined, workers)?;
                let warnings = of_whole_partitions(&input);
                warnings.iter().for_each(|line| write_message(line));
                let kind = Kind::Ploop;
                Ok(Self { input, kind })
            }
            Err(error) => match error.detail() {
                // Not a file of the image's folder, but the file that was given.
                Some(OpenError::NotPloop { path, found }) if path == file => match found {
                    Foreign::Qcow | Foreign::Raw(_) | Foreign::Luks => Self::file(file),
                    // A raw disk can be one of a CD, or be named like a package.
                    Foreign::Empty | Foreign::Unknown | Foreign::Iso => Self::file(file),
                    Foreign::ParallelsPackage | Foreign::Acronis => Self::file(file),
                    _ => Err(error),
                },
                _ => Err(error),
            },
        }
    }

    /// Opens a file or device as what a conversion may have made: a format that knows its own
    /// files, or raw.
    pub(crate) fn file(file: &Path) -> ploopconv::Result<Self> {
        for known in FORMATS {
            let Holds::Disk(make) = known.holds else {
                continue;
            };
            let format = make();
            // Anything is a plain file.
            if format.is_plain() {
                continue;
            }
            match format.open(file) {
                Ok(disk) => return Ok(Self::new(Arc::from(disk), file, Kind::Formatted(make))),
                Err(error) if error.kind() == ErrorKind::NotThisFormat => {}
                Err(error) => return Err(error),
            }
        }
        Self::raw(file)
    }

    /// Opens a file or device as a raw disk, whatever it holds.
    pub(crate) fn raw(file: &Path) -> ploopconv::Result<Self> {
        let kind = if is_device(file) {
            Kind::Device
        } else {
            Kind::File
        };
        Ok(Self::new(Arc::new(RawDisk::open(file)?), file, kind))
    }

    fn new(disk: Arc<dyn VirtualDisk>, file: &Path, kind: Kind) -> Self {
        let input = Input::of(disk, &path(file));
        Self { input, kind }
    }

    /// The disk that is read.
    pub(crate) fn disk(&self) -> &dyn VirtualDisk {
        self.input.disk()
    }

    /// The size of a target of this kind that holds a disk of `size` bytes.
    pub(crate) fn held(&self, size: u64) -> Held {
        match self.kind {
            Kind::Device => Held::AtLeast,
            Kind::Formatted(make) => Held::Exactly(make().held_size(size)),
            Kind::File | Kind::Ploop => Held::Exactly(Some(size)),
        }
    }

    /// The bytes that are lost and count as zeros, and those that are doubtful.
    pub(crate) fn tally(&self) -> ploopconv::Result<Tally> {
        Tally::of(self.input.losses())
    }
}

/// Lets a target's bytes come from the disk and not from memory, as far as that can be done.
pub(crate) fn forget_cached(file: &Path) -> ploopconv::Result<()> {
    FileSource::open_file_or_device(file)?.forget_cached()
}

/// Whether a path is a block device.
pub(crate) fn is_device(file: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(file).is_ok_and(|meta| meta.file_type().is_block_device())
}

/// The words for a partition after an offset.
pub(crate) fn in_partition(number: Option<u32>) -> String {
    number.map_or_else(String::new, |number| format!(" (in partition {number})"))
}

/// How a byte of a disk is stored, for people and for scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "JsonPlace")]
pub(crate) struct Place(pub(crate) Location);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum JsonPlace {
    Data {
        #[serde(skip_serializing_if = "Option::is_none")]
        part: Option<usize>,
        layer: usize,
        file: Option<String>,
        host_offset: u64,
    },
    Compressed {
        #[serde(skip_serializing_if = "Option::is_none")]
        part: Option<usize>,
        layer: usize,
        file: Option<String>,
        host_offset: u64,
    },
    Hole,
    End,
    Lost {
        #[serde(skip_serializing_if = "Option::is_none")]
        part: Option<usize>,
        layer: usize,
        file: Option<String>,
    },
}

impl From<Place> for JsonPlace {
    fn from(Place(location): Place) -> Self {
        let name = |within: &StoredIn| Some(path(&within.file));
        match location {
            Location::Data(within, host_offset) => Self::Data {
                part: within.part,
                layer: within.store,
                file: name(&within),
                host_offset,
            },
            Location::Compressed(within, host_offset) => Self::Compressed {
                part: within.part,
                layer: within.store,
                file: name(&within),
                host_offset,
            },
            Location::Hole => Self::Hole,
            Location::End => Self::End,
            Location::Lost(within) => Self::Lost {
                part: within.part,
                layer: within.store,
                file: name(&within),
            },
        }
    }
}

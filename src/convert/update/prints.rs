//! What shows that a file is what it was.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::device::DevicePrint;
use crate::error::{Error, Result};
use crate::format::Format;
use crate::hash::{Algorithm, Hasher};
use crate::observe::Observer;
use crate::partition;
use crate::ploop::{Header, Layer};
use crate::source::Source;
use crate::util::bytes::to_usize;

const MIB: u64 = 1 << 20;

/// A layer of a chain, as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LayerPrint {
    /// Its name in the descriptor.
    pub(super) guid: String,
    /// The name of its file.
    pub(super) file: String,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// SHA-256 of header and BAT; of a raw base, of its first MiB.
    digest: String,
}

impl LayerPrint {
    pub(super) fn of(layer: &Layer, guid: String) -> Result<Self> {
        let source = layer.source();
        let len = match layer {
            Layer::Image(image) => {
                let table = u64::from(image.header().bat_entries()).saturating_mul(4);
                table.saturating_add(Header::SIZE as u64)
            }
            Layer::Raw(_) => MIB,
        };
        let path = source.path();
        let digest = digest(0..len.min(source.len()), |buffer, offset| {
            let read = source.read_exact_at(buffer, offset);
            read.map_err(|error| Error::io_at("reading", path, offset, error))
        })?;
        Ok(Self {
            guid,
            file: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into(),
            size: source.len(),
            modified: source.modified(),
            digest,
        })
    }

    /// What is different now; nothing where it is the same layer.
    pub(super) fn change(&self, now: &Self) -> Option<String> {
        let file = &self.file;
        if (&self.guid, file) != (&now.guid, &now.file) {
            let (was, is) = (&self.guid, &now.guid);
            return Some(format!("{file} ({was}) is {} ({is}) now", now.file));
        }
        if self.size != now.size {
            let (was, is) = (self.size, now.size);
            return Some(format!("{file} had {was} bytes and has {is}"));
        }
        if self.digest != now.digest {
            return Some(format!("the header or the BAT of {file} is another one"));
        }
        (self.modified != now.modified).then(|| format!("{file} was written to"))
    }
}

/// A target, as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TargetPrint {
    /// Of a device, as much as the disk has.
    pub(super) size: u64,
    /// Seconds and nanoseconds; nothing for a device, which has no such time.
    modified: Option<(i64, i64)>,
    /// SHA-256 of the first MiB, and of the last.
    first: String,
    last: String,
    /// SHA-256 of where each partition begins: file systems write there when they are mounted. A
    /// device has no time that would tell, and that of a file can be put back.
    parts: Option<String>,
    /// Which device it is, if it is one.
    #[serde(default)]
    device: Option<DevicePrint>,
}

/// The bytes at the start of a partition that a mounted file system writes to: ext2, ext3 and ext4
/// at 1 KiB, btrfs at 64 KiB.
const START: u64 = 128 << 10;

impl TargetPrint {
    /// Of a file in `format` as it is, or of the first `size` bytes of a device.
    pub(super) fn of(path: &Path, size: u64, format: &dyn Format) -> Result<Self> {
        let failed = |error| Error::io("opening", path, error);
        let file = File::open(path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        let (size, modified) = match meta.is_file() {
            true => (meta.size(), Some((meta.mtime(), meta.mtime_nsec()))),
            false => (size, None),
        };
        let part = |range| {
            digest(range, |buffer, offset| {
                let read = file.read_exact_at(buffer, offset);
                read.map_err(|error| Error::io_at("reading", path, offset, error))
            })
        };
        Ok(Self {
            size,
            modified,
            first: part(0..size.min(MIB))?,
            last: part(size.saturating_sub(MIB)..size)?,
            parts: starts_of_parts(path, size, format)?,
            device: (!meta.is_file()).then(|| DevicePrint::of(path, &meta)),
        })
    }

    /// Why it is another device than it was.
    pub(super) fn other_device(&self, now: &Self) -> Option<String> {
        self.device.as_ref()?.change(now.device.as_ref()?)
    }

    /// Whether it began with these bytes.
    pub(super) fn began_with(&self, head: &[u8]) -> bool {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.data(head, &[]);
        hasher.finish() == self.first
    }

    /// Whether it begins and ends as another one, whenever it was written to.
    pub(super) fn has_ends_of(&self, now: &Self) -> bool {
        (self.size, &self.first, &self.last) == (now.size, &now.first, &now.last)
    }

    /// What is different now; nothing where it is what it was.
    pub(super) fn change(&self, now: &Self) -> Option<String> {
        if self.size != now.size {
            let (was, is) = (self.size, now.size);
            return Some(format!("it had {was} bytes and has {is}"));
        }
        if self.first != now.first {
            return Some("its first MiB is another one".to_owned());
        }
        if self.last != now.last {
            return Some("its last MiB is another one".to_owned());
        }
        if let (Some(was), Some(is)) = (&self.device, &now.device)
            && was.was_written_to(is)
        {
            return Some("it was written to".to_owned());
        }
        let is_device = self.modified.is_none();
        if self.parts != now.parts && (is_device || self.parts.is_some()) {
            return Some("a file system on it was mounted".to_owned());
        }
        (self.modified != now.modified).then(|| "it was written to".to_owned())
    }
}

/// The digests of where the partitions of a target begin, of a device in its first `size` bytes;
/// nothing where it cannot be read or its table cannot, as where the start was made invalid.
fn starts_of_parts(path: &Path, size: u64, format: &dyn Format) -> Result<Option<String>> {
    let Ok(disk) = format.open(path) else {
        return Ok(None);
    };
    let Ok(layout) = partition::read(&*disk) else {
        return Ok(None);
    };
    let end = match format.is_plain() {
        true => size.min(disk.size()),
        false => disk.size(),
    };
    let mut digests = Vec::new();
    let parts = layout.partitions.iter().filter(|part| !part.is_extended);
    for start in parts.map(|part| part.start).filter(|start| *start < end) {
        let range = start..start.saturating_add(START).min(end);
        digests.push(digest(range, |buffer, offset| {
            disk.read_at(buffer, offset)
        })?);
    }
    Ok(Some(digests.join(" ")))
}

fn digest(
    range: std::ops::Range<u64>,
    read: impl Fn(&mut [u8], u64) -> Result<()>,
) -> Result<String> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; to_usize(MIB.min(range.end.saturating_sub(range.start)))];
    let mut at = range.start;
    while at < range.end {
        let len = to_usize(range.end - at).min(buffer.len());
        let piece = buffer.get_mut(..len).unwrap_or_default();
        read(piece, at)?;
        hasher.data(piece, &[]);
        at += len as u64;
    }
    Ok(hasher.finish())
}

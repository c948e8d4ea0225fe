//! A raw disk: a file or a block device whose bytes are the disk's.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{Extent, ExtentKind, VirtualDisk};
use crate::error::{Error, Result};
use crate::source::{FileSource, Source};

/// A disk whose bytes are those of a source, in one layer.
#[derive(Debug)]
pub struct RawDisk {
    bytes: Bytes,
    size: u64,
    path: PathBuf,
}

#[derive(Debug)]
enum Bytes {
    File(FileSource),
    Other(Box<dyn Source>),
}

impl RawDisk {
    /// Opens a regular file or a block device for reading.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where it cannot be opened, [`Error::NotAFile`] where it is anything else.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self::of(FileSource::open_file_or_device(path)?))
    }

    /// Takes a file that is open.
    #[must_use]
    pub fn of(file: FileSource) -> Self {
        Self {
            size: file.len(),
            path: file.path().to_owned(),
            bytes: Bytes::File(file),
        }
    }

    /// Takes any source; messages call it `name`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the source does not tell its size.
    pub fn over(source: Box<dyn Source>, name: &Path) -> Result<Self> {
        let size = source
            .size()
            .map_err(|error| Error::io("asking for the size of", name, error))?;
        Ok(Self {
            size,
            bytes: Bytes::Other(source),
            path: name.to_owned(),
        })
    }

    /// The file or device, where the disk is read from one.
    #[must_use]
    pub fn file(&self) -> Option<&FileSource> {
        match &self.bytes {
            Bytes::File(file) => Some(file),
            Bytes::Other(_) => None,
        }
    }

    fn source(&self) -> &dyn Source {
        match &self.bytes {
            Bytes::File(file) => file,
            Bytes::Other(source) => source.as_ref(),
        }
    }
}

impl VirtualDisk for RawDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn extent_at(&self, offset: u64) -> Result<Extent> {
        match self.size.checked_sub(offset) {
            Some(len @ 1..) => Ok(Extent {
                offset,
                len,
                kind: ExtentKind::Data {
                    layer: 0,
                    host_offset: offset,
                },
            }),
            _ => Err(Error::OutOfRange {
                offset,
                len: 1,
                size: self.size,
            }),
        }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let len = buf.len() as u64;
        if offset.checked_add(len).is_none_or(|end| end > self.size) {
            return Err(Error::OutOfRange {
                offset,
                len,
                size: self.size,
            });
        }
        self.source()
            .read_exact_at(buf, offset)
            .map_err(|error| Error::io_at("reading", &self.path, offset, error))
    }

    fn extents(&self) -> Box<dyn Iterator<Item = Result<Extent>> + Send + '_> {
        Box::new((self.size > 0).then(|| self.extent_at(0)).into_iter())
    }

    fn layer_file(&self, layer: usize) -> Option<&FileSource> {
        self.file().filter(|_| layer == 0)
    }

    fn next_data(&self, _layer: usize, host_offset: u64) -> Result<Option<Range<u64>>> {
        self.source()
            .next_data(host_offset)
            .map_err(|error| Error::io_at("looking for holes in", &self.path, host_offset, error))
    }

    fn check_unchanged(&self) -> Result<()> {
        self.file().map_or(Ok(()), FileSource::check_unchanged)
    }
}

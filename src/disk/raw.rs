//! A raw disk: a file or a block device whose bytes are the disk's.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::error::DiskError;
use super::extent::{Extent, ExtentKind};
use super::store::{Role, Store, StoreId};
use super::virtual_disk::{Extents, VirtualDisk};
use crate::error::{Error, Result};
use crate::source::{FileSource, Source};

/// A disk whose bytes are those of one store.
#[derive(Debug)]
pub struct RawDisk {
    store: Store,
    size: u64,
}

impl RawDisk {
    /// Opens a regular file or a block device for reading.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where it cannot be opened,
    /// [`SourceError::NotAFile`](crate::source::SourceError::NotAFile) where it is anything else.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self::of(FileSource::open_file_or_device(path)?))
    }

    /// Takes a file that is open.
    #[must_use]
    pub fn of(file: FileSource) -> Self {
        Self {
            size: file.len(),
            store: Store::file(file, Role::File),
        }
    }

    /// Takes any source; messages call it `name`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where the source does not tell its size.
    pub fn over(source: Arc<dyn Source>, name: &Path) -> Result<Self> {
        Self::over_store(Store::over(source, name, Role::File))
    }

    /// Takes a store.
    ///
    /// # Errors
    ///
    /// As [`RawDisk::over`].
    pub(super) fn over_store(store: Store) -> Result<Self> {
        let size = store.source().size();
        let size =
            size.map_err(|error| Error::io("asking for the size of", store.path(), error))?;
        Ok(Self { store, size })
    }

    /// The file or device, where the disk is read from one.
    #[must_use]
    pub fn file(&self) -> Option<&FileSource> {
        self.store.shared_file()
    }
}

impl VirtualDisk for RawDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn stores(&self) -> &[Store] {
        std::slice::from_ref(&self.store)
    }

    fn extent_at(&self, offset: u64) -> Result<Extent> {
        match self.size.checked_sub(offset) {
            Some(len @ 1..) => Ok(Extent {
                offset,
                len,
                kind: ExtentKind::Data {
                    store: StoreId::FIRST,
                    host_offset: offset,
                },
            }),
            _ => Err(DiskError::OutOfRange {
                offset,
                len: 1,
                size: self.size,
            }
            .into()),
        }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        DiskError::check_range(offset, buf.len() as u64, self.size)?;
        self.store.read_at(buf, offset)
    }

    fn extents_in(&self, range: Range<u64>) -> Extents<'_> {
        let end = range.end.min(self.size);
        let whole = (range.start < end).then(|| self.extent_at(range.start));
        let inside = whole.map(|extent| extent.map(|extent| extent.within(&(range.start..end))));
        Box::new(inside.and_then(Result::transpose).into_iter())
    }

    fn check_unchanged(&self) -> Result<()> {
        self.file().map_or(Ok(()), FileSource::check_unchanged)
    }
}

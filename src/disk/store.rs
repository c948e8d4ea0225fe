//! What a disk keeps its bytes in: files, memory, private layers.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::source::{FileSource, Source};
use crate::util::bytes::to_usize;

/// The name that a disk's extents have for one of its stores. Only that disk knows what it stands
/// for; see [`VirtualDisk::stores`](crate::disk::VirtualDisk::stores).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(u32);

impl StoreId {
    /// The first store of a disk: the only one of a raw disk, and the base of a chain.
    pub const FIRST: Self = Self(0);

    /// The place among the disk's stores.
    #[must_use]
    pub fn index(self) -> usize {
        to_usize(self.0)
    }

    /// The store at a place among those of a disk.
    ///
    /// # Panics
    ///
    /// Where a disk has 2³² stores, which nothing could have opened.
    #[must_use]
    pub fn at(index: usize) -> Self {
        Self(u32::try_from(index).expect("no disk has 2^32 stores"))
    }

    /// The same store, for a disk whose stores come after `others` other ones.
    pub(super) fn after(self, others: usize) -> Self {
        Self::at(self.index().saturating_add(others))
    }
}

/// One of the things that a disk keeps its bytes in. A clone is the same open file.
#[derive(Debug, Clone)]
pub struct Store {
    bytes: Bytes,
    role: Role,
    path: PathBuf,
}

#[derive(Debug, Clone)]
enum Bytes {
    /// A file whose bytes are the disk's: a kernel may take them from file to file.
    File(FileSource),
    /// Bytes that have to be read through the disk.
    Other(Arc<dyn Source>),
}

/// What a store is to its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A layer of a chain of ploop images, 0 for the base.
    Layer(usize),
    /// A layer of the chain that is a part of a split disk.
    PartLayer {
        /// The part, 0 for the first.
        part: usize,
        /// The layer, 0 for the base.
        layer: usize,
    },
    /// A file or device that holds a disk by itself.
    File,
    /// A private layer over a disk.
    Private,
    /// Bytes that a program made.
    Made,
}

impl Store {
    /// A file.
    #[must_use]
    pub fn file(file: FileSource, role: Role) -> Self {
        Self {
            path: file.path().to_owned(),
            bytes: Bytes::File(file),
            role,
        }
    }

    /// Any source; messages call it `name`.
    #[must_use]
    pub fn over(source: Arc<dyn Source>, name: &Path, role: Role) -> Self {
        Self {
            bytes: Bytes::Other(source),
            role,
            path: name.to_owned(),
        }
    }

    /// The same store for those who have to read through the disk.
    #[must_use]
    pub fn unshared(&self) -> Self {
        match &self.bytes {
            Bytes::File(file) => Self::over(Arc::new(file.clone()), &self.path, self.role),
            Bytes::Other(_) => self.clone(),
        }
    }

    /// What it is to its disk.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The path of the file, or what messages call the store.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file, for those who take bytes from file to file without looking at them: what an extent
    /// says is stored there is what the disk holds. `None` where the bytes have to be read through
    /// the disk.
    #[must_use]
    pub fn shared_file(&self) -> Option<&FileSource> {
        match &self.bytes {
            Bytes::File(file) => Some(file),
            Bytes::Other(_) => None,
        }
    }

    /// Where the bytes come from.
    #[must_use]
    pub fn source(&self) -> &dyn Source {
        match &self.bytes {
            Bytes::File(file) => file,
            Bytes::Other(source) => source.as_ref(),
        }
    }

    /// Fills all of `buf` with the store's bytes from `host_offset`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) with the store's path where they cannot be read.
    pub fn read_at(&self, buf: &mut [u8], host_offset: u64) -> Result<()> {
        let read = self.source().read_exact_at(buf, host_offset);
        read.map_err(|error| Error::io_at("reading", &self.path, host_offset, error))
    }

    /// The first run of bytes at or after `host_offset` that may hold anything but zeros; `None`
    /// where only zeros follow. See [`Source::next_data`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where the file system does not answer.
    pub fn next_data(&self, host_offset: u64) -> Result<Option<Range<u64>>> {
        let found = self.source().next_data(host_offset);
        found.map_err(|error| Error::io_at("looking for holes in", &self.path, host_offset, error))
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        let name = Path::new(name).display();
        match self.role {
            Role::Layer(layer) => write!(f, "{name}, layer {layer}"),
            Role::PartLayer { part, layer } => write!(f, "{name}, part {part}, layer {layer}"),
            Role::File | Role::Made => write!(f, "{}", self.path.display()),
            Role::Private => write!(f, "the private layer {}", self.path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_called_what_it_is_to_its_disk() {
        let store = |role| Store::over(Arc::new(vec![1, 2, 3]), "dir/root.hds".as_ref(), role);
        assert_eq!(store(Role::Layer(2)).to_string(), "root.hds, layer 2");
        let of_part = store(Role::PartLayer { part: 1, layer: 2 });
        assert_eq!(of_part.to_string(), "root.hds, part 1, layer 2");
        assert_eq!(store(Role::File).to_string(), "dir/root.hds");
        assert_eq!(store(Role::Made).to_string(), "dir/root.hds");
        assert_eq!(
            store(Role::Private).to_string(),
            "the private layer dir/root.hds"
        );
    }

    #[test]
    fn an_error_has_the_path_and_the_offset() {
        let store = Store::over(Arc::new(vec![1, 2, 3]), "memory".as_ref(), Role::Made);
        let mut buf = [0; 2];
        store.read_at(&mut buf, 1).unwrap();
        assert_eq!(buf, [2, 3]);
        let error = store.read_at(&mut buf, 2).unwrap_err();
        assert_eq!(error.to_string(), "reading memory at offset 0x2");
        assert_eq!(store.next_data(1).unwrap(), Some(1..3));
        assert!(store.shared_file().is_none());
    }
}

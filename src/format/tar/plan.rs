//! What an archive will be, found out before a byte of it is written.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::member::BLOCK;
use super::options::TarOptions;
use super::summary::TarContents;
use super::walk::{Contents, Unreadable, Visited, Visitor, Walk};
use crate::error::{Error, Result};
use crate::tree::Tree;
use crate::util::bytes::to_u64;

/// GNU tar writes records of 20 blocks, the last one filled with zeros.
const RECORD: u64 = 20 * 512;
/// What ends an archive: two blocks of zeros.
const END: u64 = 2 * 512;

/// An archive that can be written, of files whose metadata was read once.
#[derive(Debug, Clone)]
pub struct TarPlan {
    pub(super) tree: Arc<dyn Tree>,
    pub(super) options: TarOptions,
    pub(super) unreadable: Unreadable,
    pub(super) folder: PathBuf,
    pub(super) size: u64,
    pub(super) contents: TarContents,
}

impl TarPlan {
    /// Walks over all files of a tree, and reads what is known of them but no data. `folder` is for
    /// files without a name, which take what does not fit into memory.
    ///
    /// # Errors
    ///
    /// [`TarError::File`](super::TarError::File) for a file that cannot be read and is not to be
    /// left out, [`ErrorKind::Stopped`](crate::ErrorKind::Stopped) where `stop` was set, and where
    /// the folder does not take a file.
    pub fn of(
        tree: Arc<dyn Tree>,
        options: TarOptions,
        unreadable: Unreadable,
        folder: &Path,
        stop: &AtomicBool,
    ) -> Result<Self> {
        let walk = Walk {
            tree: &*tree,
            unreadable,
            folder,
            stop,
        };
        let counter = Counter::default();
        let Counter { size, contents } = walk.run(counter, || ()).0?;
        Ok(Self {
            size,
            contents,
            options,
            unreadable,
            folder: folder.to_owned(),
            tree,
        })
    }

    /// The size of the archive in bytes, before it is compressed.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What it holds, and what it does not.
    #[must_use]
    pub fn contents(&self) -> &TarContents {
        &self.contents
    }

    /// How the archive is compressed.
    #[must_use]
    pub fn options(&self) -> TarOptions {
        self.options
    }

    /// The most bytes that it takes: what cannot be compressed becomes a little larger.
    #[must_use]
    pub fn needed_bytes(&self) -> u64 {
        match self.options.compression {
            None => self.size,
            Some(_) => self
                .size
                .saturating_add(self.size >> 8)
                .saturating_add(1024),
        }
    }

    pub(super) fn walk<'a>(&'a self, stop: &'a AtomicBool) -> Walk<'a, 'a> {
        Walk {
            tree: &*self.tree,
            unreadable: self.unreadable,
            folder: &self.folder,
            stop,
        }
    }
}

#[derive(Debug, Default)]
struct Counter {
    size: u64,
    contents: TarContents,
}

impl Visitor<'_> for Counter {
    fn member(&mut self, visited: Visited, head: &[u8], data: Option<Contents<'_>>) -> Result<()> {
        let data = data.map_or(0, |contents| contents.survey.len());
        let len = data.checked_next_multiple_of(to_u64(BLOCK)).unwrap_or(data);
        self.size = self
            .size
            .saturating_add(to_u64(head.len()))
            .saturating_add(len);
        self.contents.count(visited);
        Ok(())
    }

    fn socket(&mut self) {
        self.contents.sockets += 1;
    }

    fn unreadable(&mut self, path: &[u8], error: &Error) {
        self.contents.add_unreadable(path, error);
    }

    fn end(&mut self) -> Result<()> {
        let size = self.size.saturating_add(END);
        self.size = size.checked_next_multiple_of(RECORD).unwrap_or(size);
        Ok(())
    }
}

//! The one assertion that every test shares: the source is left exactly as it was.

use super::sparse::content_digest;
use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Remembers a source directory and asserts, when it goes out of scope, that every name in it,
/// every byte, size, mode and time of change is as before. The directory's own time of change is
/// among them, so a file created there and removed again is noticed too.
#[derive(Debug)]
#[must_use = "the assertion is made when the guard is dropped"]
pub struct SourceGuard {
    dir: PathBuf,
    before: BTreeMap<PathBuf, String>,
    /// The most bytes of a file that are compared.
    most: u64,
}

impl SourceGuard {
    pub fn new(dir: &Path) -> Self {
        Self::with(dir, u64::MAX)
    }

    /// For every single run: of files with more than some MiB in them only the size and the times
    /// are looked at, and the time of the last change of the inode, which no program can set.
    pub fn quick(dir: &Path) -> Self {
        Self::with(dir, 4 << 20)
    }

    fn with(dir: &Path, most: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            before: record(dir, most, None),
            most,
        }
    }
}

impl Drop for SourceGuard {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let now = record(&self.dir, self.most, Some(&self.before));
            assert_eq!(now, self.before, "the source was changed");
        }
    }
}

/// The room of a file grows when it is written back, so each is looked at as it was `before`.
fn record(
    dir: &Path,
    most: u64,
    before: Option<&BTreeMap<PathBuf, String>>,
) -> BTreeMap<PathBuf, String> {
    const LARGE: &str = "inode changed ";
    let mut all = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(path) = todo.pop() {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let kind = meta.file_type();
        let holds = if kind.is_dir() {
            todo.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            "directory".to_owned()
        } else if kind.is_symlink() {
            format!("link to {}", std::fs::read_link(&path).unwrap().display())
        } else if kind.is_fifo()
            || kind.is_socket()
            || kind.is_char_device()
            || kind.is_block_device()
        {
            "special".to_owned()
        } else if before
            .and_then(|before| before.get(&path))
            .map_or(meta.blocks() * 512 > most, |it| it.starts_with(LARGE))
        {
            format!("{LARGE}{}.{:09}", meta.ctime(), meta.ctime_nsec())
        } else {
            content_digest(&path)
        };
        let state = format!(
            "{holds}, {} bytes, mode {:o}, links {}, changed {}.{:09}",
            meta.len(),
            meta.mode(),
            meta.nlink(),
            meta.mtime(),
            meta.mtime_nsec()
        );
        all.insert(path, state);
    }
    all
}

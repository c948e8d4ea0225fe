//! The first name of every file that has several, which its other names lead to.
//!
//! However many there are, memory does not grow with them: what does not fit into a few MiB goes to
//! files without a name, which are gone when the program ends, in whatever way. A name is kept as
//! its last part and where its directory is kept, so a path is never kept twice.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::sink::refusal;
use crate::util::bytes::{le_u16, le_u64, saturating_u16, to_u64, to_usize};

/// The most bytes of names in memory.
const NAMES: usize = 4 << 20;
/// The most files in memory.
const FILES: usize = 100_000;

/// First names, by the number of the inode.
#[derive(Debug)]
pub(super) struct Links {
    names: Names,
    index: Index,
}

/// Where a name is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept(u64);

impl Links {
    /// No names yet; those that do not fit into memory go to files in `folder`.
    pub(super) fn new(folder: &Path) -> Self {
        Self::with_limits(folder, NAMES, FILES)
    }

    fn with_limits(folder: &Path, names: usize, files: usize) -> Self {
        Self {
            names: Names {
                folder: folder.to_owned(),
                limit: names,
                file: None,
                written: 0,
                tail: Vec::new(),
            },
            index: Index {
                folder: folder.to_owned(),
                limit: files,
                known: HashMap::new(),
                file: None,
            },
        }
    }

    /// Keeps the name that something has in a directory, which is kept already; `None` for the
    /// root.
    pub(super) fn keep(&mut self, directory: Option<Kept>, name: &[u8]) -> Result<Kept> {
        self.names.add(directory, name)
    }

    /// Tells that the kept name is the first one of a file.
    pub(super) fn is_first(&mut self, inode: u64, name: Kept) -> Result<()> {
        self.index.insert(inode, name)
    }

    /// The first name of a file, as a path with `./` in front; `None` where it has none yet.
    pub(super) fn first(&self, inode: u64) -> Result<Option<Vec<u8>>> {
        let Some(name) = self.index.get(inode)? else {
            return Ok(None);
        };
        self.names.path(name).map(Some)
    }
}

/// Names, each with its directory: 8 bytes where that is kept, 2 with a length, the name.
#[derive(Debug)]
struct Names {
    folder: PathBuf,
    limit: usize,
    file: Option<File>,
    /// Bytes in the file; the others are in `tail`.
    written: u64,
    tail: Vec<u8>,
}

/// What stands for the root, which has no name.
const ROOT: u64 = u64::MAX;
const HEAD: usize = 10;

impl Names {
    fn add(&mut self, directory: Option<Kept>, name: &[u8]) -> Result<Kept> {
        if self.tail.len() + HEAD + name.len() > self.limit && !self.tail.is_empty() {
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(new_file(&self.folder)?),
            };
            let written = file.write_all_at(&self.tail, self.written);
            written.map_err(|error| failed(&self.folder, error))?;
            self.written += to_u64(self.tail.len());
            self.tail.clear();
        }
        let at = self.written + to_u64(self.tail.len());
        let directory = directory.map_or(ROOT, |kept| kept.0);
        self.tail.extend(directory.to_le_bytes());
        let len = saturating_u16(to_u64(name.len()));
        self.tail.extend(len.to_le_bytes());
        self.tail.extend(&name[..usize::from(len)]);
        Ok(Kept(at))
    }

    fn path(&self, name: Kept) -> Result<Vec<u8>> {
        let mut names = Vec::new();
        let mut at = name.0;
        while at != ROOT {
            let mut head = [0; HEAD];
            self.read(&mut head, at)?;
            let mut name = vec![0; usize::from(le_u16(&head, 8))];
            self.read(&mut name, at + to_u64(HEAD))?;
            names.push(name);
            at = le_u64(&head, 0);
        }
        names.push(b".".to_vec());
        names.reverse();
        Ok(names.join(&b'/'))
    }

    fn read(&self, buffer: &mut [u8], at: u64) -> Result<()> {
        match (at.checked_sub(self.written), &self.file) {
            (Some(inside), _) => {
                let inside = to_usize(inside);
                buffer.copy_from_slice(&self.tail[inside..inside + buffer.len()]);
                Ok(())
            }
            (None, Some(file)) => {
                let read = file.read_exact_at(buffer, at);
                read.map_err(|error| failed(&self.folder, error))
            }
            (None, None) => unreachable!("bytes are written to a file only"),
        }
    }
}

/// Where the first name of a file is kept, by the number of its inode.
#[derive(Debug)]
struct Index {
    folder: PathBuf,
    limit: usize,
    /// Those in memory, until there are too many.
    known: HashMap<u64, Kept>,
    /// A place of 8 bytes for every inode; the name's own, plus one, so that a hole is none.
    file: Option<File>,
}

impl Index {
    fn insert(&mut self, inode: u64, name: Kept) -> Result<()> {
        if self.file.is_none() && self.known.len() < self.limit {
            self.known.insert(inode, name);
            return Ok(());
        }
        if self.file.is_none() {
            let file = new_file(&self.folder)?;
            let mut known: Vec<_> = std::mem::take(&mut self.known).into_iter().collect();
            known.sort_unstable_by_key(|(inode, _)| *inode);
            for (inode, name) in known {
                self.put(&file, inode, name)?;
            }
            self.file = Some(file);
        }
        match &self.file {
            Some(file) => self.put(file, inode, name),
            None => Ok(()),
        }
    }

    fn put(&self, file: &File, inode: u64, name: Kept) -> Result<()> {
        let at = inode.saturating_mul(8);
        let put = file.write_all_at(&(name.0 + 1).to_le_bytes(), at);
        put.map_err(|error| failed(&self.folder, error))
    }

    fn get(&self, inode: u64) -> Result<Option<Kept>> {
        let Some(file) = &self.file else {
            return Ok(self.known.get(&inode).copied());
        };
        let mut place = [0; 8];
        match file.read_exact_at(&mut place, inode.saturating_mul(8)) {
            Ok(()) => Ok(u64::from_le_bytes(place).checked_sub(1).map(Kept)),
            // Inodes past all that have a name.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(failed(&self.folder, error)),
        }
    }
}

/// A file without a name.
fn new_file(folder: &Path) -> Result<File> {
    tempfile::tempfile_in(folder).map_err(|error| failed(folder, error))
}

fn failed(folder: &Path, error: std::io::Error) -> Error {
    refusal("keeping the names of linked files in", folder, None, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_name_is_found_in_memory_and_in_files() {
        let dir = tempfile::tempdir().unwrap();
        for (names, files) in [(NAMES, FILES), (40, 2), (0, 0), (NAMES, 5), (30, FILES)] {
            let mut links = Links::with_limits(dir.path(), names, files);
            let home = links.keep(None, b"home").unwrap();
            let inner = links.keep(Some(home), &[b'x'; 255]).unwrap();
            for inode in 0..20u64 {
                assert_eq!(links.first(inode * 1000).unwrap(), None);
                let directory = [None, Some(home), Some(inner)][to_usize(inode % 3)];
                let name = format!("f\n{inode}");
                let name = links.keep(directory, name.as_bytes()).unwrap();
                links.is_first(inode * 1000, name).unwrap();
            }
            let path = |inode| String::from_utf8(links.first(inode).unwrap().unwrap()).unwrap();
            assert_eq!(path(0), "./f\n0");
            assert_eq!(path(7000), "./home/f\n7");
            assert_eq!(path(8000), format!("./home/{}/f\n8", "x".repeat(255)));
            assert_eq!(links.first(8001).unwrap(), None);
            assert_eq!(links.first(u64::from(u32::MAX)).unwrap(), None);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

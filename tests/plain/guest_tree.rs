//! A tree of files in memory, as tests write it down.

use crate::support::systems::{Item, SystemFiles};
use ploopconv::Result;
use ploopconv::guest::{Change, What};
use ploopconv::tree::{Attribute, Entries, Entry, FileType, Metadata, Moment, Node, Run, Tree};

/// A tree that tests make from paths.
#[derive(Debug)]
pub(crate) struct Files(Vec<File>);

#[derive(Debug)]
struct File {
    metadata: Metadata,
    parent: u64,
    /// Of a file, its contents; of a link, where it leads.
    bytes: Vec<u8>,
    entries: Vec<(Vec<u8>, u64)>,
    /// Reading it fails.
    lost: bool,
}

impl Files {
    pub(crate) fn new() -> Self {
        let mut files = Self(Vec::new());
        files.add(0, FileType::Directory, 0o755, Vec::new());
        files
    }

    fn add(&mut self, parent: usize, file_type: FileType, mode: u16, bytes: Vec<u8>) -> usize {
        let time = Moment::default();
        let inode = self.0.len();
        self.0.push(File {
            metadata: Metadata {
                inode: inode as u64,
                file_type,
                permissions: mode,
                uid: 0,
                gid: 0,
                links: 1,
                size: bytes.len() as u64,
                sectors: 0,
                device: None,
                accessed: time,
                modified: time,
                changed: time,
                created: None,
            },
            parent: parent as u64,
            bytes,
            entries: Vec::new(),
            lost: false,
        });
        inode
    }

    /// The inode of a path by directories only; directories are made.
    fn folder(&mut self, path: &[u8]) -> usize {
        let mut at = 0;
        for name in path.split(|&b| b == b'/').filter(|name| !name.is_empty()) {
            at = match self.0[at].entries.iter().find(|(known, _)| known == name) {
                Some((_, inode)) => *inode as usize,
                None => self.put(at, name, FileType::Directory, 0o755, Vec::new()),
            };
        }
        at
    }

    fn put(&mut self, at: usize, name: &[u8], kind: FileType, mode: u16, bytes: Vec<u8>) -> usize {
        let inode = self.add(at, kind, mode, bytes);
        let entries = &mut self.0[at].entries;
        entries.retain(|(known, _)| known != name);
        entries.push((name.to_vec(), inode as u64));
        inode
    }

    fn at(&mut self, path: &[u8], kind: FileType, mode: u16, bytes: &[u8]) -> usize {
        let cut = path.iter().rposition(|&b| b == b'/');
        let (folder, name) = match cut {
            Some(cut) => (&path[..cut], &path[cut + 1..]),
            None => (&b""[..], path),
        };
        let folder = self.folder(folder);
        self.put(folder, name, kind, mode, bytes.to_vec())
    }

    pub(crate) fn dir(mut self, path: &str) -> Self {
        self.folder(path.as_bytes());
        self
    }

    pub(crate) fn file(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        self.file_with(path, 0o644, 0, text)
    }

    pub(crate) fn file_with(
        mut self,
        path: &str,
        mode: u16,
        owner: u32,
        text: impl AsRef<[u8]>,
    ) -> Self {
        let inode = self.at(path.as_bytes(), FileType::File, mode, text.as_ref());
        self.0[inode].metadata.uid = owner;
        self.0[inode].metadata.gid = owner;
        self
    }

    pub(crate) fn link(mut self, path: &str, target: &str) -> Self {
        self.at(path.as_bytes(), FileType::Symlink, 0o777, target.as_bytes());
        self
    }

    pub(crate) fn device(mut self, path: &str) -> Self {
        self.at(path.as_bytes(), FileType::CharacterDevice, 0o600, b"");
        self
    }

    /// Several empty files.
    pub(crate) fn files(self, paths: &[&str]) -> Self {
        paths.iter().fold(self, |files, path| files.file(path, ""))
    }

    /// A file that is there and cannot be read.
    pub(crate) fn lost(mut self, path: &str) -> Self {
        let inode = self.at(path.as_bytes(), FileType::File, 0o644, b"lost");
        self.0[inode].lost = true;
        self
    }

    /// What an applier would make of the changes.
    pub(crate) fn changed(mut self, changes: &[Change]) -> Self {
        for change in changes {
            let path = &change.path;
            match &change.what {
                What::Write {
                    contents,
                    mode,
                    uid,
                    gid,
                } => {
                    let inode = self.at(path, FileType::File, *mode, contents);
                    self.0[inode].metadata.uid = *uid;
                    self.0[inode].metadata.gid = *gid;
                }
                What::Link { target } => {
                    self.at(path, FileType::Symlink, 0o777, target);
                }
                What::Mkdir { .. } => {
                    self.folder(path);
                }
                What::Empty => {
                    let inode = self.folder(path);
                    self.0[inode].entries.clear();
                }
                What::Remove => {
                    let cut = path.iter().rposition(|&b| b == b'/');
                    let (folder, name) = match cut {
                        Some(cut) => (&path[..cut], &path[cut + 1..]),
                        None => (&b""[..], &path[..]),
                    };
                    let folder = self.folder(folder);
                    let entries = &mut self.0[folder].entries;
                    let before = entries.len();
                    entries.retain(|(known, _)| known != name);
                    assert_eq!(entries.len() + 1, before, "{change:?} removes nothing");
                }
                _ => {}
            }
        }
        self
    }
}

impl From<&SystemFiles> for Files {
    fn from(system: &SystemFiles) -> Self {
        system
            .items()
            .fold(Self::new(), |files, (path, item)| match item {
                Item::Folder => files.dir(path),
                Item::File { mode, owner, bytes } => files.file_with(path, *mode, *owner, bytes),
                Item::Link(target) => files.link(path, target),
                Item::Device => files.device(path),
            })
    }
}

impl Tree for Files {
    fn root(&self) -> u64 {
        0
    }

    fn node(&self, inode: u64) -> Result<Box<dyn Node + '_>> {
        Ok(Box::new(Place(self, inode as usize)))
    }
}

#[derive(Debug)]
struct Place<'a>(&'a Files, usize);

impl Place<'_> {
    fn file(&self) -> &File {
        &self.0.0[self.1]
    }
}

impl Node for Place<'_> {
    fn metadata(&self) -> &Metadata {
        &self.file().metadata
    }

    fn entries(&self) -> Entries<'_> {
        // As an ext4 has them: in no order that means anything.
        let entries = self.file().entries.iter().rev();
        Box::new(entries.map(|(name, inode)| {
            Ok(Entry {
                name: name.clone(),
                inode: *inode,
                file_type: None,
            })
        }))
    }

    fn parent(&self) -> Result<u64> {
        Ok(self.file().parent)
    }

    fn link_target(&self) -> Result<Vec<u8>> {
        Ok(self.file().bytes.clone())
    }

    fn attributes(&self) -> Result<Vec<Attribute>> {
        Ok(Vec::new())
    }

    fn run_at(&self, offset: u64) -> Result<Run> {
        Ok(Run {
            len: self.file().metadata.size - offset,
            data: true,
        })
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        if self.file().lost {
            let error = std::io::Error::other("lost");
            return Err(ploopconv::Error::io("reading", "disk".as_ref(), error));
        }
        let from = offset as usize;
        buf.copy_from_slice(&self.file().bytes[from..from + buf.len()]);
        Ok(())
    }
}

/// The changes as lines: what becomes of which path.
pub(crate) fn shown(changes: &[Change]) -> Vec<String> {
    let line = |change: &Change| {
        let path = String::from_utf8_lossy(&change.path);
        match &change.what {
            What::Link { target } => {
                format!("link {path} -> {}", String::from_utf8_lossy(target))
            }
            what => format!("{} {path}", what.name()),
        }
    };
    changes.iter().map(line).collect()
}

/// The text that the changes write to a path.
pub(crate) fn text<'a>(changes: &'a [Change], path: &str) -> &'a str {
    let change = changes.iter().find(|change| change.path == path.as_bytes());
    match change.map(|change| &change.what) {
        Some(What::Write { contents, .. }) => std::str::from_utf8(contents).unwrap(),
        other => panic!("{path}: {other:?}"),
    }
}

/// The reason that the changes have for a path.
pub(crate) fn reason<'a>(changes: &'a [Change], path: &str) -> &'a str {
    let change = changes.iter().find(|change| change.path == path.as_bytes());
    &change
        .unwrap_or_else(|| panic!("no change of {path}"))
        .reason
}

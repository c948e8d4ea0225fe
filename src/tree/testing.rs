//! A tree in memory, for tests.

use std::collections::{BTreeMap, BTreeSet};

use super::{Attribute, Entries, Entry, FileType, Metadata, Moment, Node, Run, Tree, TreeError};
use crate::disk::DiskError;
use crate::error::Result;
use crate::util::bytes::{to_u64, to_usize};

/// The number of the root.
const ROOT: u64 = 2;
/// Bytes are stored, or are not, in units of this size.
const UNIT: u64 = 4096;

/// A tree in memory. Inodes are numbered as they come.
#[derive(Debug)]
pub(crate) struct Memory {
    inodes: BTreeMap<u64, Stored>,
}

/// A file of it.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) metadata: Metadata,
    pub(crate) entries: Vec<Entry>,
    pub(crate) target: Vec<u8>,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) bytes: Vec<u8>,
    /// Units of bytes that cannot be read.
    pub(crate) lost: BTreeSet<u64>,
    /// Nothing of it can be read.
    pub(crate) is_damaged: bool,
}

impl Memory {
    pub(crate) fn new() -> Self {
        let mut inodes = BTreeMap::new();
        inodes.insert(ROOT, stored(ROOT, FileType::Directory));
        Self { inodes }
    }

    pub(crate) fn at(&mut self, inode: u64) -> &mut Stored {
        self.inodes.get_mut(&inode).unwrap()
    }

    /// Makes a file with the folders on the way to it, and gives its inode.
    pub(crate) fn make(&mut self, path: &str, file_type: FileType) -> u64 {
        let inode = ROOT + to_u64(self.inodes.len());
        self.inodes.insert(inode, stored(inode, file_type));
        self.enter(path, inode);
        inode
    }

    /// Gives an inode one more name.
    pub(crate) fn enter(&mut self, path: &str, inode: u64) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = self.folder(folder);
        self.enter_raw(folder, name.as_bytes(), inode);
    }

    /// Gives an inode a name that no sound directory has.
    pub(crate) fn enter_raw(&mut self, folder: u64, name: &[u8], inode: u64) {
        let file_type = Some(self.at(inode).metadata.file_type);
        let name = name.to_vec();
        self.at(folder).entries.push(Entry {
            name,
            inode,
            file_type,
        });
        self.at(inode).metadata.links += 1;
    }

    pub(crate) fn folder(&mut self, path: &str) -> u64 {
        if path.is_empty() {
            return ROOT;
        }
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let above = self.folder(above);
        let mut entries = self.inodes[&above].entries.iter();
        match entries.find(|entry| entry.name == name.as_bytes()) {
            Some(entry) => entry.inode,
            None => self.make(path, FileType::Directory),
        }
    }

    pub(crate) fn file(&mut self, path: &str, bytes: &[u8]) -> u64 {
        let inode = self.make(path, FileType::File);
        let stored = self.at(inode);
        stored.bytes = bytes.to_vec();
        stored.metadata.size = to_u64(bytes.len());
        inode
    }

    pub(crate) fn link(&mut self, path: &str, target: &str) -> u64 {
        let inode = self.make(path, FileType::Symlink);
        self.at(inode).target = target.into();
        inode
    }
}

fn stored(inode: u64, file_type: FileType) -> Stored {
    let moment = Moment {
        seconds: 1_000_000_000,
        nanoseconds: 123_456_789,
    };
    let permissions = match file_type {
        FileType::Directory => 0o755,
        FileType::Symlink => 0o777,
        _ => 0o644,
    };
    Stored {
        metadata: Metadata {
            inode,
            file_type,
            permissions,
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            links: 0,
            size: 0,
            sectors: 0,
            device: None,
            accessed: moment,
            modified: moment,
            changed: moment,
            created: None,
        },
        entries: Vec::new(),
        target: Vec::new(),
        attributes: Vec::new(),
        bytes: Vec::new(),
        lost: BTreeSet::new(),
        is_damaged: false,
    }
}

impl Tree for Memory {
    fn root(&self) -> u64 {
        ROOT
    }

    fn node(&self, inode: u64) -> Result<Box<dyn Node + '_>> {
        match self.inodes.get(&inode) {
            Some(stored) if !stored.is_damaged => Ok(Box::new(stored)),
            _ => Err(TreeError::Circle.into()),
        }
    }
}

impl Node for &Stored {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn entries(&self) -> Entries<'_> {
        Box::new(self.entries.iter().cloned().map(Ok))
    }

    fn parent(&self) -> Result<u64> {
        Ok(ROOT)
    }

    fn link_target(&self) -> Result<Vec<u8>> {
        Ok(self.target.clone())
    }

    fn attributes(&self) -> Result<Vec<Attribute>> {
        Ok(self.attributes.clone())
    }

    fn run_at(&self, offset: u64) -> Result<Run> {
        let size = self.metadata.size;
        let is_data = |unit: u64| {
            let bytes = self.bytes.iter().skip(to_usize(unit * UNIT));
            self.lost.contains(&unit) || bytes.take(to_usize(UNIT)).any(|byte| *byte != 0)
        };
        DiskError::check_range(offset, 1, size)?;
        let (data, mut end) = (is_data(offset / UNIT), offset / UNIT + 1);
        while end * UNIT < size && is_data(end) == data {
            end += 1;
        }
        let len = size.min(end * UNIT) - offset;
        Ok(Run { len, data })
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let range = DiskError::check_range(offset, to_u64(buf.len()), self.metadata.size)?;
        let units = range.start / UNIT..range.end.div_ceil(UNIT);
        if let Some(unit) = units.into_iter().find(|unit| self.lost.contains(unit)) {
            let (offset, len) = (unit * UNIT, UNIT);
            return Err(DiskError::Lost { offset, len }.into());
        }
        buf.copy_from_slice(&self.bytes[to_usize(range.start)..to_usize(range.end)]);
        Ok(())
    }
}

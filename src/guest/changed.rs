//! A tree as changes leave it: nothing is copied, and what did not change is read from where it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::change::{Change, What};
use crate::error::Result;
use crate::tree::{Attribute, Entries, Entry, FileType, Metadata, Node, Run, Tree};
use crate::util::bytes::{to_u64, to_usize};

/// Numbers of inodes that no file system of 2^32 inodes has.
const FIRST: u64 = 1 << 63;

/// A tree with changes laid over it.
#[derive(Debug)]
pub struct ChangedTree {
    base: Arc<dyn Tree>,
    root: u64,
    /// What is new, by its number from [`FIRST`].
    made: Vec<Made>,
    /// What is different in a directory, old or new.
    layers: HashMap<u64, Layer>,
}

/// A file, link or directory that the base does not have.
#[derive(Debug)]
struct Made {
    metadata: Metadata,
    /// The bytes of a file, the target of a link.
    bytes: Vec<u8>,
    parent: u64,
    /// The inode whose place and attributes it takes.
    in_place_of: Option<u64>,
}

/// What is different in a directory.
#[derive(Debug, Default)]
struct Layer {
    /// Names that come first, in this order: what is new, and directories with something new in
    /// them. What a receiver looks for in an archive is near its start.
    first: BTreeMap<Vec<u8>, u64>,
    /// Names that are not listed.
    gone: BTreeSet<Vec<u8>>,
    /// Whether nothing of the base is listed.
    is_emptied: bool,
}

impl Layer {
    /// Whether a name of the base stays where it is.
    fn lists(&self, name: &[u8]) -> bool {
        !self.is_emptied && !self.gone.contains(name) && !self.first.contains_key(name)
    }
}

impl ChangedTree {
    /// Lays the changes over the tree. A change whose directory is not there is passed over.
    ///
    /// # Errors
    ///
    /// What the tree says.
    pub fn new(base: Arc<dyn Tree>, changes: &[Change]) -> Result<Self> {
        let mut tree = Self {
            root: base.root(),
            base,
            made: Vec::new(),
            layers: HashMap::new(),
        };
        for change in changes {
            tree.apply(change)?;
        }
        Ok(tree)
    }

    /// The same tree as a directory of a new root, with files beside it: their names and contents.
    ///
    /// # Errors
    ///
    /// What the tree says.
    pub fn below(mut self, name: &str, files: &[(&str, Vec<u8>)]) -> Result<Self> {
        let old = self.root;
        let mut metadata = self.node(old)?.metadata().clone();
        metadata.permissions = 0o755;
        let root = self.make(metadata, Vec::new(), 0, None);
        let names = files.iter().map(|(name, contents)| {
            let mut metadata = self.made_metadata(root, FileType::File)?;
            metadata.size = to_u64(contents.len());
            metadata.permissions = 0o644;
            Ok((name.as_bytes().to_vec(), metadata, contents.clone()))
        });
        let names = names.collect::<Result<Vec<_>>>()?;
        let mut layer = Layer::default();
        for (name, metadata, contents) in names {
            let inode = self.make(metadata, contents, root, None);
            layer.first.insert(name, inode);
        }
        layer.first.insert(name.as_bytes().to_vec(), old);
        self.layers.insert(root, layer);
        self.root = root;
        Ok(self)
    }

    fn apply(&mut self, change: &Change) -> Result<()> {
        let mut names: Vec<&[u8]> = change.path.split(|&byte| byte == b'/').collect();
        let Some(name) = names.pop().filter(|name| !name.is_empty()) else {
            return Ok(());
        };
        let mut folders = vec![self.root];
        for name in &names {
            let here = folders.last().copied().unwrap_or(self.root);
            let Some(next) = self.node(here)?.lookup(name)? else {
                return Ok(());
            };
            folders.push(next);
        }
        let folder = folders.last().copied().unwrap_or(self.root);
        let known = self.node(folder)?.lookup(name)?;
        let made = match &change.what {
            What::Keep => return Ok(()),
            What::Remove => {
                let layer = self.layers.entry(folder).or_default();
                layer.first.remove(name);
                layer.gone.insert(name.to_vec());
                return Ok(());
            }
            What::Empty => {
                if let Some(known) = known {
                    self.layers.entry(known).or_default().is_emptied = true;
                }
                return Ok(());
            }
            What::Write {
                contents,
                mode,
                uid,
                gid,
            } => {
                let old = known
                    .map(|known| self.regular(known))
                    .transpose()?
                    .flatten();
                let mut metadata = match old {
                    Some(old) => self.node(old)?.metadata().clone(),
                    None => self.made_metadata(folder, FileType::File)?,
                };
                (metadata.permissions, metadata.uid, metadata.gid) = (*mode, *uid, *gid);
                metadata.size = to_u64(contents.len());
                metadata.sectors = metadata.size.div_ceil(512);
                metadata.links = 1;
                self.make(metadata, contents.clone(), folder, old)
            }
            What::Link { target } => {
                let mut metadata = self.made_metadata(folder, FileType::Symlink)?;
                metadata.permissions = 0o777;
                metadata.size = to_u64(target.len());
                self.make(metadata, target.clone(), folder, None)
            }
            What::Mkdir { mode, uid, gid } => {
                let mut metadata = self.made_metadata(folder, FileType::Directory)?;
                (metadata.permissions, metadata.uid, metadata.gid) = (*mode, *uid, *gid);
                let inode = self.make(metadata, Vec::new(), folder, None);
                self.layers.insert(inode, Layer::default());
                inode
            }
        };
        let layer = self.layers.entry(folder).or_default();
        layer.gone.remove(name);
        layer.first.insert(name.to_vec(), made);
        // So that the way to it comes first, too.
        for (at, name) in names.iter().enumerate() {
            if let (Some(folder), Some(inode)) = (folders.get(at), folders.get(at + 1)) {
                let layer = self.layers.entry(*folder).or_default();
                layer.first.insert(name.to_vec(), *inode);
            }
        }
        Ok(())
    }

    /// The inode where it is a regular file.
    fn regular(&self, inode: u64) -> Result<Option<u64>> {
        let is_file = self.node(inode)?.metadata().file_type == FileType::File;
        Ok(is_file.then_some(inode))
    }

    /// What a new file has: root's, and as old as its directory, so that every run makes the same.
    fn made_metadata(&self, folder: u64, file_type: FileType) -> Result<Metadata> {
        let folder = self.node(folder)?;
        Ok(Metadata {
            inode: 0,
            file_type,
            permissions: 0o644,
            uid: 0,
            gid: 0,
            links: 1,
            size: 0,
            sectors: 0,
            device: None,
            ..folder.metadata().clone()
        })
    }

    fn make(
        &mut self,
        mut metadata: Metadata,
        bytes: Vec<u8>,
        parent: u64,
        in_place_of: Option<u64>,
    ) -> u64 {
        let inode = FIRST + to_u64(self.made.len());
        metadata.inode = inode;
        self.made.push(Made {
            metadata,
            bytes,
            parent,
            in_place_of,
        });
        inode
    }
}

impl Tree for ChangedTree {
    fn root(&self) -> u64 {
        self.root
    }

    fn node(&self, inode: u64) -> Result<Box<dyn Node + '_>> {
        let made = inode.checked_sub(FIRST);
        if let Some(made) = made.and_then(|number| self.made.get(to_usize(number))) {
            let layer = self.layers.get(&inode);
            return Ok(Box::new(New {
                tree: self,
                made,
                layer,
            }));
        }
        let node = self.base.node(inode)?;
        match self.layers.get(&inode) {
            Some(layer) => Ok(Box::new(Layered { node, layer })),
            None => Ok(node),
        }
    }
}

/// The entries that a layer puts first.
fn first(layer: &Layer) -> impl Iterator<Item = Result<Entry>> + Send + '_ {
    layer.first.iter().map(|(name, inode)| {
        Ok(Entry {
            name: name.clone(),
            inode: *inode,
            file_type: None,
        })
    })
}

/// A directory of the base with something different in it.
#[derive(Debug)]
struct Layered<'a> {
    node: Box<dyn Node + 'a>,
    layer: &'a Layer,
}

impl Node for Layered<'_> {
    fn metadata(&self) -> &Metadata {
        self.node.metadata()
    }

    fn entries(&self) -> Entries<'_> {
        let stay = self.node.entries().filter(|entry| match entry {
            Ok(entry) => self.layer.lists(&entry.name),
            Err(_) => true,
        });
        if self.layer.is_emptied {
            return Box::new(first(self.layer));
        }
        Box::new(first(self.layer).chain(stay))
    }

    fn parent(&self) -> Result<u64> {
        self.node.parent()
    }

    fn lookup(&self, name: &[u8]) -> Result<Option<u64>> {
        match self.layer.first.get(name) {
            Some(inode) => Ok(Some(*inode)),
            None if self.layer.lists(name) => self.node.lookup(name),
            None => Ok(None),
        }
    }

    fn link_target(&self) -> Result<Vec<u8>> {
        self.node.link_target()
    }

    fn attributes(&self) -> Result<Vec<Attribute>> {
        self.node.attributes()
    }

    fn run_at(&self, offset: u64) -> Result<Run> {
        self.node.run_at(offset)
    }

    fn lost_at(&self, offset: u64) -> u64 {
        self.node.lost_at(offset)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.node.read_at(buf, offset)
    }
}

/// Something that the base does not have.
#[derive(Debug)]
struct New<'a> {
    tree: &'a ChangedTree,
    made: &'a Made,
    layer: Option<&'a Layer>,
}

impl Node for New<'_> {
    fn metadata(&self) -> &Metadata {
        &self.made.metadata
    }

    fn entries(&self) -> Entries<'_> {
        Box::new(self.layer.into_iter().flat_map(first))
    }

    fn parent(&self) -> Result<u64> {
        Ok(self.made.parent)
    }

    fn link_target(&self) -> Result<Vec<u8>> {
        let is_link = self.made.metadata.file_type == FileType::Symlink;
        Ok(if is_link {
            self.made.bytes.clone()
        } else {
            Vec::new()
        })
    }

    fn attributes(&self) -> Result<Vec<Attribute>> {
        match self.made.in_place_of {
            Some(inode) => self.tree.node(inode)?.attributes(),
            None => Ok(Vec::new()),
        }
    }

    fn run_at(&self, offset: u64) -> Result<Run> {
        Ok(Run {
            len: self.made.metadata.size.saturating_sub(offset).max(1),
            data: true,
        })
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let from = to_usize(offset).min(self.made.bytes.len());
        let rest = self.made.bytes.get(from..).unwrap_or_default();
        let len = buf.len().min(rest.len());
        let (filled, more) = buf.split_at_mut(len);
        filled.copy_from_slice(rest.get(..len).unwrap_or_default());
        more.fill(0);
        Ok(())
    }
}

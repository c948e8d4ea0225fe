//! The files of a tree, in the order of the archive.
//!
//! A directory comes in front of what it holds, and what it holds in the order in which it is
//! stored: sorting it would need memory for all names of the largest directory. So the order is
//! that of the file system, and the same for the same image. Where a file has several names, the
//! first one in this order has the data.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::TarError;
use super::links::{Kept, Links};
use super::member::{Kind, Member};
use super::sparse::Survey;
use crate::error::{Error, ErrorKind, Result};
use crate::tree::{Attribute, FileType, Node, Tree};
use crate::util::bytes::to_usize;
use crate::workers::WorkersError;

/// The most nested directories. A path has 4096 bytes at most (PATH_MAX), so no program can name
/// what lies deeper than 2048.
const DEEPEST: usize = 4096;
/// Room for as many calls as that: each keeps an iterator and little else.
const STACK: usize = 64 << 20;

/// What becomes of a file that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// It is an error.
    Refuse,
    /// It is left out, and listed.
    LeaveOut,
}

/// A regular file with data, while its data is read.
#[derive(Debug)]
pub(super) struct Contents<'t> {
    /// Its path in the archive.
    pub(super) path: Vec<u8>,
    pub(super) node: Box<dyn Node + 't>,
    pub(super) survey: Survey,
}

/// Takes the members in the order of the archive.
pub(super) trait Visitor<'t> {
    /// A member: its bytes up to its data, and what it has of that.
    fn member(&mut self, file_type: Visited, head: &[u8], data: Option<Contents<'t>>)
    -> Result<()>;

    /// A file that is left out because it is a socket.
    fn socket(&mut self);

    /// A file that is left out because it cannot be read.
    fn unreadable(&mut self, path: &[u8], error: &Error);

    /// There are no more files.
    fn end(&mut self) -> Result<()>;
}

/// What a member is, for those who count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visited {
    /// Another name of an earlier one.
    HardLink,
    /// A regular file, and the bytes that are not stored of it.
    File { holes: u64 },
    /// A file of another type.
    Other(FileType),
}

/// How a tree is walked over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk<'a, 't> {
    pub(super) tree: &'t dyn Tree,
    pub(super) unreadable: Unreadable,
    /// The folder for names that do not fit into memory.
    pub(super) folder: &'a Path,
    pub(super) stop: &'a AtomicBool,
}

impl<'t> Walk<'_, 't> {
    /// Shows all files to `visitor`, on a thread with room for nested directories, and does `here`
    /// on the calling one meanwhile. Gives the visitor back when all files were shown; it is
    /// dropped at once where one of them ends the walk.
    pub(super) fn run<V: Visitor<'t> + Send, T>(
        &self,
        mut visitor: V,
        here: impl FnOnce() -> T,
    ) -> (Result<V>, T) {
        let thread = std::thread::Builder::new()
            .name("walker".to_owned())
            .stack_size(STACK);
        let walk = move || {
            let mut walker = Walker {
                walk: *self,
                path: Vec::new(),
                levels: Vec::new(),
                links: Links::new(self.folder),
                seen: Inodes::default(),
                head: Vec::new(),
                visitor: &mut visitor,
            };
            walker.root()?;
            visitor.end()?;
            Ok(visitor)
        };
        std::thread::scope(|scope| {
            let started = thread.spawn_scoped(scope, walk);
            let here = here();
            let walked = match started {
                Ok(thread) => thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(source) => Err(WorkersError {
                    threads: 1,
                    source: source.into(),
                }
                .into()),
            };
            (walked, here)
        })
    }
}

/// A directory on the way to where the walk is.
#[derive(Debug)]
struct Level {
    /// Where its name begins in the path, and where it ends.
    name: Range<usize>,
    /// Where its name is kept, once something in it has a name that is.
    kept: Option<Kept>,
}

struct Walker<'w, 'a, 't, V> {
    walk: Walk<'a, 't>,
    /// The path to where the walk is, with a `/` at its end in a directory.
    path: Vec<u8>,
    /// The directories of the path, but for the root.
    levels: Vec<Level>,
    links: Links,
    /// The directories that were seen.
    seen: Inodes,
    head: Vec<u8>,
    visitor: &'w mut V,
}

impl<'t, V: Visitor<'t>> Walker<'_, '_, 't, V> {
    fn root(&mut self) -> Result<()> {
        self.path.extend(b"./");
        let root = self.walk.tree.root();
        let named = |source| file_error(b"./", source);
        // Without it there is nothing.
        let node = self.walk.tree.node(root).map_err(named)?;
        self.seen.insert(root);
        let attributes = node.attributes().map_err(named)?;
        let kind = FileType::Directory;
        self.encode(&*node, &attributes, Kind::Other);
        self.visitor
            .member(Visited::Other(kind), &self.head, None)?;
        self.entries(&*node)
    }

    /// Goes through a directory, whose path is where the walk is.
    fn entries(&mut self, directory: &(dyn Node + 't)) -> Result<()> {
        let len = self.path.len();
        for entry in directory.entries() {
            if self.walk.stop.load(Ordering::Relaxed) {
                return Err(Error::stopped());
            }
            let done = match entry {
                Ok(entry) => {
                    self.path.extend(&entry.name);
                    let done = self.entry(entry.inode, len..self.path.len());
                    self.path.truncate(len);
                    done
                }
                Err(error) => self.leave_out(error),
            };
            done?;
        }
        Ok(())
    }

    /// Shows what an entry leads to; the path ends with its name.
    fn entry(&mut self, inode: u64, name: Range<usize>) -> Result<()> {
        match self.file(inode, name) {
            Err(Failed::Unreadable(error)) => self.leave_out(error),
            Err(Failed::Elsewhere(error)) => Err(error),
            Ok(()) => Ok(()),
        }
    }

    fn file(&mut self, inode: u64, name: Range<usize>) -> std::result::Result<(), Failed> {
        let unreadable = Failed::Unreadable;
        let node = self.walk.tree.node(inode).map_err(unreadable)?;
        let metadata = node.metadata();
        let file_type = metadata.file_type;
        match file_type {
            FileType::Socket => {
                self.visitor.socket();
                return Ok(());
            }
            FileType::Directory => return self.directory(node, name),
            _ => {}
        }
        let attributes = node.attributes().map_err(unreadable)?;
        let has_more = metadata.links > 1;
        if has_more && let Some(first) = self.links.first(inode)? {
            self.encode(&*node, &attributes, Kind::HardLink(&first));
            self.visitor.member(Visited::HardLink, &self.head, None)?;
            return Ok(());
        }
        if file_type == FileType::File {
            self.regular(node, &attributes)?;
        } else {
            let target = node.link_target().map_err(unreadable)?;
            let kind = match file_type {
                FileType::Symlink if target.is_empty() || target.contains(&0) => {
                    return Err(unreadable(TarError::NoTarget { inode }.into()));
                }
                FileType::Symlink => Kind::Symlink(&target),
                _ => Kind::Other,
            };
            self.encode(&*node, &attributes, kind);
            let visited = Visited::Other(file_type);
            self.visitor.member(visited, &self.head, None)?;
        }
        if has_more {
            self.remember(inode, name)?;
        }
        Ok(())
    }

    fn regular(
        &mut self,
        node: Box<dyn Node + 't>,
        attributes: &[Attribute],
    ) -> std::result::Result<(), Failed> {
        let size = node.metadata().size;
        let survey = Survey::of(&*node, size).map_err(Failed::Unreadable)?;
        let kind = match survey.is_sparse {
            true => Kind::Sparse(survey.len()),
            false => Kind::Plain,
        };
        self.encode(&*node, attributes, kind);
        let visited = Visited::File {
            holes: size - survey.data,
        };
        let contents = (survey.len() > 0).then(|| Contents {
            path: self.path.clone(),
            node,
            survey,
        });
        self.visitor.member(visited, &self.head, contents)?;
        Ok(())
    }

    fn directory(
        &mut self,
        node: Box<dyn Node + 't>,
        name: Range<usize>,
    ) -> std::result::Result<(), Failed> {
        let inode = node.metadata().inode;
        if !self.seen.insert(inode) {
            return Err(Failed::Unreadable(
                TarError::DirectoryTwice { inode }.into(),
            ));
        }
        if self.levels.len() >= DEEPEST {
            let most = DEEPEST;
            return Err(Failed::Unreadable(TarError::TooDeep { most }.into()));
        }
        let attributes = node.attributes().map_err(Failed::Unreadable)?;
        self.path.push(b'/');
        self.encode(&*node, &attributes, Kind::Other);
        let visited = Visited::Other(FileType::Directory);
        self.visitor.member(visited, &self.head, None)?;
        self.levels.push(Level { name, kept: None });
        let done = self.entries(&*node);
        self.levels.pop();
        Ok(done?)
    }

    /// Makes the bytes of a member.
    fn encode(&mut self, node: &dyn Node, attributes: &[Attribute], kind: Kind<'_>) {
        self.head.clear();
        let member = Member {
            path: &self.path,
            metadata: node.metadata(),
            attributes,
            kind,
        };
        member.write(&mut self.head);
    }

    /// Keeps the name at the end of the path as the first one of a file.
    fn remember(&mut self, inode: u64, name: Range<usize>) -> Result<()> {
        let mut directory = None;
        for level in &mut self.levels {
            let kept = match level.kept {
                Some(kept) => kept,
                None => self.links.keep(directory, &self.path[level.name.clone()])?,
            };
            level.kept = Some(kept);
            directory = Some(kept);
        }
        let kept = self.links.keep(directory, &self.path[name])?;
        self.links.is_first(inode, kept)
    }

    /// Ends the walk for a file that cannot be read, the one at the end of the path, or lists it
    /// and goes on. What is wrong with something else than the file ends it in any case.
    fn leave_out(&mut self, error: Error) -> Result<()> {
        let is_of_the_file = matches!(
            error.kind(),
            ErrorKind::NotThisFormat
                | ErrorKind::Unsupported
                | ErrorKind::Corrupt
                | ErrorKind::Lost
                | ErrorKind::Input
        );
        if self.walk.unreadable == Unreadable::LeaveOut && is_of_the_file {
            self.visitor.unreadable(&self.path, &error);
            return Ok(());
        }
        match error.kind() {
            ErrorKind::Stopped => Err(error),
            _ => Err(file_error(&self.path, error)),
        }
    }
}

/// The error of a file in the archive.
pub(super) fn file_error(path: &[u8], source: Error) -> Error {
    let path = path.to_vec();
    TarError::File { path, source }.into()
}

/// Why a file was not shown.
enum Failed {
    /// It cannot be read.
    Unreadable(Error),
    /// What it was shown to, or something else, failed.
    Elsewhere(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Elsewhere(error)
    }
}

/// Numbers of inodes, a bit each; only those parts of the whole that have some take memory.
#[derive(Debug, Default)]
struct Inodes(HashMap<u64, [u64; 8]>);

impl Inodes {
    /// Adds an inode; `false` where it is there already.
    fn insert(&mut self, inode: u64) -> bool {
        let part = self.0.entry(inode / 512).or_default();
        let word = &mut part[to_usize(inode / 64 % 8)];
        let bit = 1 << (inode % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

//! The walk over what was asked for, and the work that it hands to threads.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use nix::errno::Errno;

use super::directory::{Directory, c_name};
use super::links::Links;
use super::maker::{Maker, OnTheWay, Open, below};
use super::options::ExtractOptions;
use super::queue::Queue;
use super::selection::{names, outermost};
use super::summary::Extracted;
use crate::error::{Error, Result};
use crate::sink::IfExists;
use crate::tree::{Ancestors, Entry, FileType, Node, PathError, Resolved, Tree, sorted_entries};
use crate::util::sync::{StopOthers, into_inner};

/// How deep directories may be nested: each on the way to a file is open.
const DEEPEST: usize = 500;

/// Writes files of a tree into a directory, with the directories on the way to them. What lies in
/// a directory of `paths` comes with it; the root is everything.
///
/// A file that cannot be made is a problem in the summary, and the others are made. Only a full
/// target and [`ExtractOptions::stop`] end the work, and the summary says so.
///
/// # Errors
///
/// Where the directory cannot be opened.
pub fn extract(
    tree: &dyn Tree,
    paths: &[Resolved],
    options: &ExtractOptions<'_>,
) -> Result<Extracted> {
    let root = Directory::root(options.into)?;
    let again = root.again();
    let again = again.map_err(|error| Error::io("opening", options.into, error))?;
    let summary = Mutex::new(Extracted::default());
    let maker = Maker {
        options,
        summary: &summary,
        is_full: AtomicBool::new(false),
    };
    let queue = Queue::new();
    let work = || {
        let others = StopOthers::new(|| queue.close());
        while let Some(work) = queue.take() {
            let Work { open, name, node } = work;
            if !maker.is_over() {
                maker.file_or_problem(&open, &name, &*node);
            }
            maker.finish(open);
        }
        others.ended_well();
    };
    options.workers.beside(work, || {
        // However this ends, the others end too.
        let _others = StopOthers::new(|| queue.close());
        let mut walk = Walk {
            tree,
            maker: &maker,
            queue: &queue,
            root: again,
            links: Links::default(),
            seen: Ancestors::default(),
        };
        walk.all(paths, root);
    });
    if options.stop.load(Ordering::Relaxed) {
        maker.end(Error::stopped());
    }
    Ok(into_inner(summary))
}

/// A file to be written.
#[derive(Debug)]
struct Work<'t> {
    open: Arc<Open>,
    name: Vec<u8>,
    node: Box<dyn Node + 't>,
}

/// The walk over the tree, on one thread.
struct Walk<'t, 'w> {
    tree: &'t dyn Tree,
    maker: &'w Maker<'w>,
    queue: &'w Queue<Work<'t>>,
    /// The target, for the way to the first name of a file.
    root: Directory,
    links: Links,
    seen: Ancestors,
}

/// A directory that is being filled.
struct Frame {
    open: Arc<Open>,
    entries: VecDeque<Entry>,
}

impl<'t> Walk<'t, '_> {
    fn all(&mut self, paths: &[Resolved], root: Directory) {
        let is_everything = paths.iter().any(|path| path.path.is_empty());
        let is_empty = root.is_empty();
        let root = Arc::new(Open {
            directory: root,
            inode: self.tree.root(),
            path: Vec::new(),
            restore: Mutex::new(None),
        });
        if is_everything {
            let replaces = self.maker.options.if_exists == IfExists::Replace;
            self.everything(&root, is_empty || replaces);
            self.maker.finish(root);
            return;
        }
        // The directories on the way to the last path stay open for the next one.
        let mut chain: Vec<(Vec<u8>, Arc<Open>)> = Vec::new();
        for path in outermost(paths) {
            if self.maker.is_over() {
                break;
            }
            let mut way = names(&path.path);
            let Some(last) = way.pop() else { continue };
            let same = chain.iter().zip(&way);
            let same = same.take_while(|((one, _), other)| one == *other).count();
            while chain.len() > same {
                self.finish_last(&mut chain);
            }
            match self.descend(&root, &mut chain, way.get(same..).unwrap_or_default()) {
                Ok(()) => {
                    let open = chain.last().map_or(&root, |(_, open)| open);
                    let inode = path.inode;
                    let depth = chain.len();
                    self.below(&Arc::clone(open), last, inode, depth);
                }
                Err(error) => self.maker.problem(&path.path, error),
            }
        }
        while !chain.is_empty() {
            self.finish_last(&mut chain);
        }
        self.maker.finish(root);
    }

    fn finish_last(&self, chain: &mut Vec<(Vec<u8>, Arc<Open>)>) {
        if let Some((_, open)) = chain.pop() {
            self.maker.finish(open);
        }
    }

    /// Makes the directories on the way to a path.
    fn descend(
        &self,
        root: &Arc<Open>,
        chain: &mut Vec<(Vec<u8>, Arc<Open>)>,
        way: &[&[u8]],
    ) -> Result<()> {
        for name in way {
            let open = chain.last().map_or(root, |(_, open)| open);
            let path = below(&open.path, name);
            let here = self.tree.node(open.inode)?.lookup(name)?;
            let inode = here.ok_or(PathError::Missing(path))?;
            let node = self.tree.node(inode)?;
            let next = self.maker.directory(open, name, &*node, OnTheWay::Yes)?;
            chain.push((name.to_vec(), next));
        }
        Ok(())
    }

    /// Makes everything that the root has.
    fn everything(&mut self, root: &Arc<Open>, is_ours: bool) {
        let node = match self.tree.node(root.inode) {
            Ok(node) => node,
            Err(error) => return self.maker.problem(b"", error),
        };
        if is_ours {
            self.maker.will_restore(root, &*node);
        }
        let _ = self.seen.enter(root.inode);
        let entries = self.entries(&root.path, &*node);
        let frame = Frame {
            open: Arc::clone(root),
            entries,
        };
        self.fill(frame, 0);
    }

    /// Makes a file, and all that lies in it where it is a directory.
    fn below(&mut self, open: &Arc<Open>, name: &[u8], inode: u64, depth: usize) {
        if let Some(frame) = self.make(open, name, inode, depth) {
            self.fill(frame, depth);
        }
    }

    /// Fills a directory, and those in it. By a list and not by calls: a tree that somebody made up
    /// may be deeper than a stack.
    fn fill(&mut self, first: Frame, depth: usize) {
        let mut frames = vec![first];
        while let Some(frame) = frames.last_mut() {
            let next = frame.entries.pop_front();
            match next.filter(|_| !self.maker.is_over()) {
                Some(entry) => {
                    let open = Arc::clone(&frame.open);
                    let depth = depth + frames.len();
                    frames.extend(self.make(&open, &entry.name, entry.inode, depth));
                    self.maker.finish(open);
                }
                None => {
                    if let Some(frame) = frames.pop() {
                        self.maker.finish(frame.open);
                    }
                }
            }
        }
    }

    /// Makes one file, or lets another thread do that; gives a directory that is to be filled.
    fn make(&mut self, open: &Arc<Open>, name: &[u8], inode: u64, depth: usize) -> Option<Frame> {
        let path = below(&open.path, name);
        match self.try_to_make(open, name, inode, depth) {
            Ok(frame) => frame,
            Err(error) => {
                self.maker.problem(&path, error);
                None
            }
        }
    }

    fn try_to_make(
        &mut self,
        open: &Arc<Open>,
        name: &[u8],
        inode: u64,
        depth: usize,
    ) -> Result<Option<Frame>> {
        let node: Box<dyn Node + 't> = self.tree.node(inode)?;
        let metadata = node.metadata();
        if metadata.file_type == FileType::Directory {
            if depth >= DEEPEST {
                let path = self.maker.shown(&below(&open.path, name));
                return Err(Error::io("creating", &path, Errno::ENAMETOOLONG.into()));
            }
            self.seen.enter(inode)?;
            let next = self.maker.directory(open, name, &*node, OnTheWay::No)?;
            let entries = self.entries(&next.path, &*node);
            return Ok(Some(Frame {
                open: next,
                entries,
            }));
        }
        if metadata.links > 1 {
            self.one_of_several(open, name, inode, &*node)?;
        } else if metadata.file_type == FileType::File {
            let work = Work {
                open: Arc::clone(open),
                name: name.to_vec(),
                node,
            };
            // What comes back is not made, because a thread has failed.
            if let Err(work) = self.queue.push(work) {
                self.maker.finish(work.open);
            }
        } else {
            self.maker.special(open, name, &*node)?;
        }
        Ok(None)
    }

    /// Makes a file that has more names in the tree, or one more name for it.
    fn one_of_several(
        &mut self,
        open: &Open,
        name: &[u8],
        inode: u64,
        node: &dyn Node,
    ) -> Result<()> {
        let mut copies = None;
        if self.links.has(inode) {
            match self
                .maker
                .link(&self.links, inode, &self.root, open, name)?
            {
                Ok(()) => return Ok(()),
                Err(errno) => copies = Some(errno),
            }
        }
        let is_made = if node.metadata().file_type == FileType::File {
            self.maker.file(open, name, node)?;
            true
        } else {
            self.maker.special(open, name, node)?
        };
        if let Some(errno) = copies {
            self.maker.copies(open, name, errno);
        } else if is_made {
            let path = below(&open.path, name);
            self.links
                .made(inode, &path, &open.directory, &c_name(name));
        }
        Ok(())
    }

    fn entries(&self, path: &[u8], node: &dyn Node) -> VecDeque<Entry> {
        let (entries, problem) = sorted_entries(node);
        if let Some(problem) = problem {
            self.maker.problem(path, problem);
        }
        entries.into()
    }
}

//! Makes one file of the target at a time, and keeps the summary.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstat, makedev, mknodat};
use nix::unistd::symlinkat;

use super::directory::{Directory, c_name};
use super::error::ExtractError;
use super::file::{NewFile, WriteError, write};
use super::links::Links;
use super::new_name::{Temporary, make_beside};
use super::options::ExtractOptions;
use super::restore::{Opened, Properties, restore};
use super::summary::{Extracted, Property};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::{IfExists, TargetError, refusal};
use crate::tree::{FileType, IfLost, Node};
use crate::util::sync::{into_inner, lock};

/// A directory of the target that is being filled.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) directory: Directory,
    /// Its inode in the tree.
    pub(super) inode: u64,
    /// Its path in the tree and in the target.
    pub(super) path: Vec<u8>,
    /// What it gets when all is in it.
    pub(super) restore: Mutex<Option<Properties>>,
}

/// Whether a directory is only on the way to what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnTheWay {
    Yes,
    No,
}

/// Makes files, on any thread.
pub(super) struct Maker<'a> {
    pub(super) options: &'a ExtractOptions<'a>,
    pub(super) summary: &'a Mutex<Extracted>,
    /// The target takes no more.
    pub(super) is_full: AtomicBool,
}

/// The path of a name in a directory.
pub(super) fn below(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if folder.is_empty() { b"" } else { b"/" };
    [folder, slash, name].concat()
}

impl Maker<'_> {
    /// Whether no more is to be made.
    pub(super) fn is_over(&self) -> bool {
        self.options.stop.load(Ordering::Relaxed) || self.is_full.load(Ordering::Relaxed)
    }

    /// Ends the work; the first reason counts.
    pub(super) fn end(&self, error: Error) {
        self.is_full.store(true, Ordering::Relaxed);
        lock(self.summary).ended_by.get_or_insert(error);
    }

    /// Notes that a file was not made. Where none can be any more, that ends the work.
    pub(super) fn problem(&self, path: &[u8], error: Error) {
        let is_too_large = error.code() == "file-too-large";
        match error.kind() {
            ErrorKind::NoRoom if !is_too_large => self.end(error),
            ErrorKind::Stopped => {}
            _ => lock(self.summary).add_problem(path, error),
        }
    }

    /// The path of a file in the target.
    pub(super) fn shown(&self, path: &[u8]) -> PathBuf {
        self.options.into.join(OsStr::from_bytes(path))
    }

    /// What the target refused.
    fn refused(&self, doing: &'static str, path: &[u8], errno: Errno) -> Error {
        let path = self.shown(path);
        if errno == Errno::EEXIST {
            return TargetError::Exists { path }.into();
        }
        refusal(doing, &path, None, errno.into())
    }

    /// Whether a name may be given, or taken from what has it.
    fn may_make(&self, open: &Open, name: &CStr, path: &[u8]) -> Result<()> {
        let Ok(stat) = open.directory.stat(name) else {
            return Ok(());
        };
        if self.options.if_exists == IfExists::Refuse {
            return Err(self.refused("creating", path, Errno::EEXIST));
        }
        if (self.options.is_source)((stat.st_dev, stat.st_ino)) {
            let path = self.shown(path);
            return Err(ExtractError::IsSource { path }.into());
        }
        Ok(())
    }

    /// What a file has beside its contents. Attributes that cannot be read are a problem of their
    /// own where the rest is wanted all the same.
    fn properties(&self, node: &dyn Node, path: &[u8], if_lost: IfLost) -> Result<Properties> {
        let attributes = match node.attributes() {
            Ok(attributes) => attributes,
            Err(error) if if_lost == IfLost::Refuse => return Err(error),
            Err(error) => {
                self.problem(path, error);
                Vec::new()
            }
        };
        let metadata = node.metadata().clone();
        Ok(Properties {
            metadata,
            attributes,
        })
    }

    fn restore(&self, opened: Opened<'_>, properties: &Properties, path: &[u8]) {
        restore(opened, properties, |property, error| {
            lock(self.summary).add_not_restored(property, path, error);
        });
    }

    /// Makes a directory, or opens the one that is there.
    pub(super) fn directory(
        &self,
        open: &Open,
        name: &[u8],
        node: &dyn Node,
        on_the_way: OnTheWay,
    ) -> Result<Arc<Open>> {
        let (path, name) = (below(&open.path, name), c_name(name));
        let refused = |errno| self.refused("creating", &path, errno);
        let mut is_ours = true;
        let directory = match open.directory.make(&name) {
            Err(Errno::EEXIST) => match open.directory.open(&name) {
                // A link is no directory, wherever it leads.
                Err(Errno::ENOTDIR | Errno::ELOOP) => {
                    self.may_make(open, &name, &path)?;
                    open.directory.unlink(&name).map_err(refused)?;
                    open.directory.make(&name)
                }
                opened => {
                    let replaces = self.options.if_exists == IfExists::Replace;
                    is_ours = replaces && on_the_way == OnTheWay::No;
                    opened
                }
            },
            made => {
                lock(self.summary).directories += u64::from(made.is_ok());
                made
            }
        };
        let directory = directory.map_err(refused)?;
        let next = Arc::new(Open {
            directory,
            inode: node.metadata().inode,
            path,
            restore: Mutex::new(None),
        });
        if is_ours {
            self.will_restore(&next, node);
        }
        Ok(next)
    }

    /// A directory gets what it has in the tree once it is filled.
    pub(super) fn will_restore(&self, open: &Open, node: &dyn Node) {
        // Its files are wanted, whatever its attributes are.
        if let Ok(properties) = self.properties(node, &open.path, IfLost::Zeros) {
            *lock(&open.restore) = Some(properties);
        }
    }

    /// Lets go of a directory; the last one to do that gives it what it has in the tree.
    pub(super) fn finish(&self, open: Arc<Open>) {
        let Some(open) = Arc::into_inner(open) else {
            return;
        };
        if let Some(properties) = into_inner(open.restore) {
            let opened = Opened::Real(&open.directory.file);
            self.restore(opened, &properties, &open.path);
        }
    }

    /// Makes a regular file, or notes why not.
    pub(super) fn file_or_problem(&self, open: &Open, name: &[u8], node: &dyn Node) {
        if let Err(error) = self.file(open, name, node) {
            self.problem(&below(&open.path, name), error);
        }
    }

    /// Makes a regular file.
    pub(super) fn file(&self, open: &Open, name: &[u8], node: &dyn Node) -> Result<()> {
        let (path, name) = (below(&open.path, name), c_name(name));
        let options = self.options;
        self.may_make(open, &name, &path)?;
        let properties = self.properties(node, &path, options.if_lost)?;
        let new = NewFile::make(&open.directory, &name);
        let new = new.map_err(|errno| self.refused("creating", &path, errno))?;
        let written = write(node, options, &new.file);
        let lost = written.map_err(|error| match error {
            WriteError::Tree(error) => error,
            WriteError::Target(error) => refusal("writing", &self.shown(&path), None, error),
        })?;
        self.restore(Opened::Real(&new.file), &properties, &path);
        let placed = new.place(&name, options.if_exists);
        placed.map_err(|errno| self.refused("creating", &path, errno))?;
        let mut summary = lock(self.summary);
        summary.files += 1;
        summary.bytes += properties.metadata.size;
        for range in lost {
            summary.add_lost(&path, range);
        }
        Ok(())
    }

    /// Makes a link, a device, a pipe or a socket. False where only root could make it.
    pub(super) fn special(&self, open: &Open, name: &[u8], node: &dyn Node) -> Result<bool> {
        let (path, name) = (below(&open.path, name), c_name(name));
        self.may_make(open, &name, &path)?;
        let properties = self.properties(node, &path, self.options.if_lost)?;
        let target = node.link_target()?;
        let make = |name: &CStr| make_special(&open.directory, name, &properties, &target);
        let made = match self.options.if_exists {
            IfExists::Refuse => make(&name).map(|()| None),
            IfExists::Replace => make_beside(&name, make)
                .map(|((), name)| Some(Temporary::new(&open.directory, name))),
        };
        let temporary = match made {
            Ok(temporary) => temporary,
            Err(errno) if errno == Errno::EPERM && properties.metadata.device.is_some() => {
                lock(self.summary).add_not_restored(Property::Device, &path, &errno.into());
                return Ok(false);
            }
            Err(errno) => return Err(self.refused("creating", &path, errno)),
        };
        let now = temporary.as_ref().map_or(&*name, Temporary::name);
        let place = self.place(&open.directory, now, &properties);
        let place = place.map_err(|errno| self.refused("opening", &path, errno))?;
        self.restore(Opened::Place(&place), &properties, &path);
        if let Some(temporary) = temporary {
            let replaced = temporary.replace(&name);
            replaced.map_err(|errno| self.refused("replacing", &path, errno))?;
        }
        let mut summary = lock(self.summary);
        match properties.metadata.file_type {
            FileType::Symlink => summary.symlinks += 1,
            _ => summary.special += 1,
        }
        Ok(true)
    }

    /// Opens what was just made as a place only, so that no driver sees it. It has to be of the
    /// type that was made.
    fn place(&self, directory: &Directory, name: &CStr, made: &Properties) -> nix::Result<File> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let place = File::from(openat(&directory.file, name, flags, Mode::empty())?);
        let kind = SFlag::from_bits_truncate(fstat(&place)?.st_mode) & SFlag::S_IFMT;
        if kind == type_of(made) {
            Ok(place)
        } else {
            Err(Errno::ESTALE)
        }
    }

    /// Gives a file that was made one more name. The inner error says that the two cannot be one
    /// file.
    pub(super) fn link(
        &self,
        links: &Links,
        inode: u64,
        root: &Directory,
        open: &Open,
        name: &[u8],
    ) -> Result<std::result::Result<(), Errno>> {
        let (path, name) = (below(&open.path, name), c_name(name));
        self.may_make(open, &name, &path)?;
        let link = |name: &CStr| links.link(inode, root, &open.directory, name);
        let linked = match self.options.if_exists {
            IfExists::Refuse => link(&name),
            IfExists::Replace => make_beside(&name, link)
                .and_then(|((), beside)| Temporary::new(&open.directory, beside).replace(&name)),
        };
        match linked {
            Ok(()) => lock(self.summary).hard_links += 1,
            Err(errno @ (Errno::EEXIST | Errno::ENOSPC | Errno::EDQUOT | Errno::EISDIR)) => {
                return Err(self.refused("linking", &path, errno));
            }
            Err(errno) => return Ok(Err(errno)),
        }
        Ok(Ok(()))
    }

    /// Notes that a further name of a file is a copy of it.
    pub(super) fn copies(&self, open: &Open, name: &[u8], errno: Errno) {
        let path = below(&open.path, name);
        lock(self.summary).add_not_restored(Property::HardLink, &path, &errno.into());
    }
}

/// The type of a file in the highest bits of its mode.
fn type_of(properties: &Properties) -> SFlag {
    match properties.metadata.file_type {
        FileType::File => SFlag::S_IFREG,
        FileType::Directory => SFlag::S_IFDIR,
        FileType::Symlink => SFlag::S_IFLNK,
        FileType::CharacterDevice => SFlag::S_IFCHR,
        FileType::BlockDevice => SFlag::S_IFBLK,
        FileType::Fifo => SFlag::S_IFIFO,
        FileType::Socket => SFlag::S_IFSOCK,
    }
}

fn make_special(
    directory: &Directory,
    name: &CStr,
    properties: &Properties,
    target: &[u8],
) -> nix::Result<()> {
    let Properties { metadata, .. } = properties;
    if metadata.file_type == FileType::Symlink {
        return symlinkat(target, &directory.file, name);
    }
    let device = metadata.device.map_or(0, |device| {
        makedev(u64::from(device.major), u64::from(device.minor))
    });
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    mknodat(&directory.file, name, type_of(properties), mode, device)
}

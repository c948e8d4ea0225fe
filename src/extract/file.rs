//! A regular file: written without a name, or with a temporary one, and named at the end.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags, openat, renameat2};
use nix::sys::stat::Mode;
use nix::unistd::linkat;
use xattr::FileExt as _;

use super::directory::Directory;
use super::new_name::{Temporary, make_beside};
use super::options::ExtractOptions;
use super::restore::{ACL_ACCESS, is_unsupported};
use crate::error::Error;
use crate::sink::IfExists;
use crate::tree::{Node, Piece, contents};
use crate::util::bytes::to_u64;

/// Why a file could not be written.
#[derive(Debug)]
pub(super) enum WriteError {
    /// The tree does not give it.
    Tree(Error),
    /// The target does not take it.
    Target(io::Error),
}

impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        Self::Tree(error)
    }
}

impl From<Errno> for WriteError {
    fn from(errno: Errno) -> Self {
        Self::Target(errno.into())
    }
}

/// Writes the contents of a file, with its holes, and gives the ranges that are lost.
pub(super) fn write(
    node: &dyn Node,
    options: &ExtractOptions<'_>,
    file: &File,
) -> Result<Vec<Range<u64>>, WriteError> {
    let mut at = 0;
    let lost = contents(node, options.if_lost, options.stop, |piece| {
        let len = match piece {
            Piece::Data(bytes) => {
                let written = file.write_all_at(bytes, at);
                written.map_err(WriteError::Target)?;
                to_u64(bytes.len())
            }
            Piece::Hole(len) => len,
        };
        at += len;
        options.progress.advance(len);
        Ok::<(), WriteError>(())
    })?;
    let sized = file.set_len(node.metadata().size);
    sized.map_err(WriteError::Target)?;
    Ok(lost)
}

/// A file that has no name yet, or a temporary one.
#[derive(Debug)]
pub(super) struct NewFile<'a> {
    pub(super) file: File,
    directory: &'a Directory,
    temporary: Option<Temporary<'a>>,
}

impl<'a> NewFile<'a> {
    /// Makes a file in a directory that is to be called `name`.
    pub(super) fn make(directory: &'a Directory, name: &CStr) -> nix::Result<Self> {
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let nameless = OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let (file, temporary): (File, _) = match openat(&directory.file, ".", nameless, mode) {
            Ok(fd) => (fd.into(), None),
            Err(errno) if is_unsupported(errno) => {
                let new = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY;
                let new = new | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
                let open = |beside: &CStr| openat(&directory.file, beside, new, mode);
                let (fd, temporary) = make_beside(name, open)?;
                (fd.into(), Some(Temporary::new(directory, temporary)))
            }
            Err(errno) => return Err(errno),
        };
        if directory.gives_acl {
            let _ = file.remove_xattr(ACL_ACCESS);
        }
        Ok(Self {
            file,
            directory,
            temporary,
        })
    }

    /// Gives the file its name.
    pub(super) fn place(self, name: &CStr, if_exists: IfExists) -> nix::Result<()> {
        let Self {
            file,
            directory,
            temporary,
        } = self;
        let link = |name: &CStr| {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            let follow = AtFlags::AT_SYMLINK_FOLLOW;
            linkat(AT_FDCWD, path.as_str(), &directory.file, name, follow)
        };
        match (temporary, if_exists) {
            (None, IfExists::Refuse) => link(name),
            (None, IfExists::Replace) => {
                let ((), temporary) = make_beside(name, link)?;
                Temporary::new(directory, temporary).replace(name)
            }
            (Some(temporary), IfExists::Replace) => temporary.replace(name),
            (Some(temporary), IfExists::Refuse) => name_new(temporary, directory, name),
        }
    }
}

/// Gives a file with a temporary name its own, if that is free.
fn name_new(temporary: Temporary<'_>, directory: &Directory, name: &CStr) -> nix::Result<()> {
    let file = &directory.file;
    let never = RenameFlags::RENAME_NOREPLACE;
    match renameat2(file, temporary.name(), file, name, never) {
        Err(errno) if is_unsupported(errno) => {}
        // The temporary name is gone, or is taken away now.
        renamed => return renamed,
    }
    // A second name replaces no other file either, and then the first one goes.
    match linkat(file, temporary.name(), file, name, AtFlags::empty()) {
        Err(Errno::EPERM | Errno::EOPNOTSUPP) if !directory.has(name) => temporary.replace(name),
        linked => linked,
    }
}

//! A directory of the target, open, so that nothing on the way to it is looked up twice.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use xattr::FileExt as _;

use super::restore::{ACL_ACCESS, ACL_DEFAULT};
use crate::error::{Error, Result};

/// How a directory is opened: itself, and never what a link leads to.
const AS_DIRECTORY: OFlag = OFlag::O_DIRECTORY
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// A directory of the target.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) file: File,
    /// Whether what is made in it begins with an ACL that the tree does not know.
    pub(super) gives_acl: bool,
}

impl Directory {
    /// Opens the directory that everything goes into. That may be a link.
    pub(super) fn root(path: &Path) -> Result<Self> {
        let flags = AS_DIRECTORY.difference(OFlag::O_NOFOLLOW);
        match openat(AT_FDCWD, path, flags, Mode::empty()) {
            Ok(fd) => Ok(Self::of(fd.into())),
            Err(errno) => Err(Error::io("opening", path, errno.into())),
        }
    }

    fn of(file: File) -> Self {
        let gives_acl = matches!(file.get_xattr(ACL_DEFAULT), Ok(Some(_)));
        Self { file, gives_acl }
    }

    /// The same directory once more.
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self {
            file: self.file.try_clone()?,
            ..*self
        })
    }

    /// Opens a directory in it.
    pub(super) fn open(&self, name: &CStr) -> nix::Result<Self> {
        let fd = openat(&self.file, name, AS_DIRECTORY, Mode::empty())?;
        Ok(Self::of(fd.into()))
    }

    /// Makes a directory in it that only its owner may use, and opens that.
    pub(super) fn make(&self, name: &CStr) -> nix::Result<Self> {
        mkdirat(&self.file, name, Mode::S_IRWXU)?;
        let fd = openat(&self.file, name, AS_DIRECTORY, Mode::empty())?;
        let file = File::from(fd);
        let mut gives_acl = self.gives_acl;
        if gives_acl {
            gives_acl = file.remove_xattr(ACL_DEFAULT).is_err();
            let _ = file.remove_xattr(ACL_ACCESS);
        }
        Ok(Self { file, gives_acl })
    }

    /// What a name in it stands for; no link is followed.
    pub(super) fn stat(&self, name: &CStr) -> nix::Result<FileStat> {
        fstatat(&self.file, name, AtFlags::AT_SYMLINK_NOFOLLOW)
    }

    /// Whether a name in it is taken.
    pub(super) fn has(&self, name: &CStr) -> bool {
        self.stat(name).err() != Some(Errno::ENOENT)
    }

    /// Removes a name that is no directory.
    pub(super) fn unlink(&self, name: &CStr) -> nix::Result<()> {
        unlinkat(&self.file, name, UnlinkatFlags::NoRemoveDir)
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
    }
}

/// A name as system calls take it. It comes from entries that were looked at when they were sorted.
pub(super) fn c_name(name: &[u8]) -> CString {
    CString::new(name).expect("names with NUL are left out of sorted entries")
}

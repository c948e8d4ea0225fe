//! What a file has beside its contents: owner, permissions, attributes, times, in the order in
//! which one does not undo the other.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{FchmodatFlags, Mode, UtimensatFlags, fchmod, fchmodat, futimens, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat};
use xattr::FileExt as _;

use super::summary::Property;
use crate::tree::{Attribute, FileType, Metadata, Moment};

pub(super) const ACL_ACCESS: &str = "system.posix_acl_access";
pub(super) const ACL_DEFAULT: &str = "system.posix_acl_default";

/// The bits that let a program run as its owner or group.
const SET_ID: u16 = 0o6000;

/// What a file of the tree has beside its contents.
#[derive(Debug)]
pub(super) struct Properties {
    pub(super) metadata: Metadata,
    pub(super) attributes: Vec<Attribute>,
}

/// A file of the target: open for reading or writing, or only as a place (`O_PATH`).
#[derive(Debug, Clone, Copy)]
pub(super) enum Opened<'a> {
    Real(&'a File),
    Place(&'a File),
}

impl Opened<'_> {
    fn file(&self) -> &File {
        match self {
            Self::Real(file) | Self::Place(file) => file,
        }
    }

    /// A path to the file itself, whatever its name leads to by now.
    fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.file().as_raw_fd())
    }

    fn set_attribute(&self, attribute: &Attribute) -> io::Result<()> {
        let name = OsStr::from_bytes(&attribute.name);
        match self {
            Self::Real(file) => file.set_xattr(name, &attribute.value),
            Self::Place(_) => xattr::set_deref(self.path(), name, &attribute.value),
        }
    }
}

/// Gives a file of the target what it has in the tree, and says what it could not be given.
pub(super) fn restore(
    opened: Opened<'_>,
    properties: &Properties,
    mut lacks: impl FnMut(Property, &io::Error),
) {
    let metadata = &properties.metadata;
    let is_of_users = |attribute: &&Attribute| attribute.name.starts_with(b"user.");
    let attributes = properties.attributes.iter();
    let (of_users, others): (Vec<_>, Vec<_>) = attributes.partition(is_of_users);
    // First, because a file that its owner may not write takes none.
    set_attributes(opened, &of_users, &mut lacks);
    let owner = restore_owner(opened, metadata);
    if let Err(error) = &owner {
        lacks(Property::Owner, error);
    }
    if metadata.file_type != FileType::Symlink {
        let mut mode = metadata.permissions;
        // Without its owner a program would run as another one.
        let is_program = metadata.file_type == FileType::File;
        if let Err(error) = &owner
            && mode & SET_ID != 0
            && is_program
        {
            lacks(Property::SetId, error);
            mode &= !SET_ID;
        }
        // After the owner, whose change takes bits away.
        if let Err(error) = restore_mode(opened, mode) {
            lacks(Property::Permissions, &error);
        }
    }
    // A change of the owner takes capabilities away, and one of the mode part of an ACL.
    set_attributes(opened, &others, &mut lacks);
    if let Err(error) = restore_times(opened, metadata) {
        lacks(Property::Times, &error);
    }
}

fn set_attributes(
    opened: Opened<'_>,
    attributes: &[&Attribute],
    lacks: &mut dyn FnMut(Property, &io::Error),
) {
    for attribute in attributes {
        if let Err(error) = opened.set_attribute(attribute) {
            lacks(Property::of_attribute(&attribute.name), &error);
        }
    }
}

fn restore_owner(opened: Opened<'_>, metadata: &Metadata) -> io::Result<()> {
    let own = |uid| {
        let gid = Some(Gid::from_raw(metadata.gid));
        let flags = AtFlags::AT_EMPTY_PATH | AtFlags::AT_SYMLINK_NOFOLLOW;
        fchownat(opened.file(), "", uid, gid, flags)
    };
    let owned = own(Some(Uid::from_raw(metadata.uid)));
    if owned.is_err() {
        // A group of the caller's own may be given all the same.
        let _ = own(None);
    }
    owned.map_err(io::Error::from)
}

fn restore_mode(opened: Opened<'_>, mode: u16) -> io::Result<()> {
    let mode = Mode::from_bits_truncate(u32::from(mode));
    match opened {
        Opened::Real(file) => fchmod(file, mode)?,
        Opened::Place(_) => {
            let path = opened.path();
            fchmodat(AT_FDCWD, path.as_str(), mode, FchmodatFlags::FollowSymlink)?;
        }
    }
    Ok(())
}

fn restore_times(opened: Opened<'_>, metadata: &Metadata) -> io::Result<()> {
    let time = |moment: Moment| TimeSpec::new(moment.seconds, i64::from(moment.nanoseconds));
    let (accessed, modified) = (time(metadata.accessed), time(metadata.modified));
    match opened {
        Opened::Real(file) => futimens(file, &accessed, &modified)?,
        Opened::Place(_) => {
            let (path, follow) = (opened.path(), UtimensatFlags::FollowSymlink);
            utimensat(AT_FDCWD, path.as_str(), &accessed, &modified, follow)?;
        }
    }
    Ok(())
}

/// Whether a refusal means that there is no such way on this file system.
pub(super) fn is_unsupported(errno: Errno) -> bool {
    let known = [
        Errno::EOPNOTSUPP,
        Errno::EISDIR,
        Errno::EINVAL,
        Errno::ENOSYS,
        Errno::ENOENT,
    ];
    known.contains(&errno)
}

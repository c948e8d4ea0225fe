//! Files with several names: where the first one was made.

use std::collections::HashMap;
use std::ffi::CStr;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::unistd::linkat;

use super::directory::{Directory, c_name};

/// The files of the target that have more names in the tree, by the inode in the tree.
#[derive(Debug, Default)]
pub(super) struct Links(HashMap<u64, First>);

/// The name that was made first.
#[derive(Debug)]
struct First {
    /// Names of directories from the target on, and of the file.
    path: Vec<u8>,
    /// Device and inode number in the target.
    identity: (u64, u64),
}

impl Links {
    /// Remembers a file that was made.
    pub(super) fn made(&mut self, inode: u64, path: &[u8], directory: &Directory, name: &CStr) {
        if let Ok(stat) = directory.stat(name) {
            let path = path.to_vec();
            let identity = (stat.st_dev, stat.st_ino);
            self.0.insert(inode, First { path, identity });
        }
    }

    /// Whether a name of the file was made.
    pub(super) fn has(&self, inode: u64) -> bool {
        self.0.contains_key(&inode)
    }

    /// Gives the file that was made one more name. The way to the first one is opened again, a
    /// directory after the other, and what is there has to be that file still.
    pub(super) fn link(
        &self,
        inode: u64,
        root: &Directory,
        directory: &Directory,
        name: &CStr,
    ) -> nix::Result<()> {
        let first = self.0.get(&inode).ok_or(Errno::ENOENT)?;
        let mut names: Vec<_> = first.path.split(|byte| *byte == b'/').collect();
        let last = c_name(names.pop().unwrap_or_default());
        let mut opened = None;
        for folder in names {
            let here = opened.as_ref().unwrap_or(root);
            opened = Some(here.open(&c_name(folder))?);
        }
        let folder = opened.as_ref().unwrap_or(root);
        linkat(
            &folder.file,
            &*last,
            &directory.file,
            name,
            AtFlags::empty(),
        )?;
        let made = directory.stat(name)?;
        if (made.st_dev, made.st_ino) != first.identity {
            directory.unlink(name)?;
            return Err(Errno::ESTALE);
        }
        Ok(())
    }
}

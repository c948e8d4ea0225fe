//! A name for what is not complete, or is to replace something: beside its own, until it gets that.

use std::ffi::{CStr, CString};
use std::hash::{BuildHasher, RandomState};

use nix::errno::Errno;
use nix::fcntl::renameat;

use super::directory::{Directory, c_name};

/// The longest name that file systems take.
const LONGEST: usize = 255;

/// A name beside another one: `.NAME.part-…`.
fn beside(name: &CStr) -> CString {
    let random = RandomState::new().hash_one(name) & 0xffff_ffff;
    let end = format!(".part-{random:08x}");
    let name = name.to_bytes();
    let room = LONGEST - 1 - end.len();
    let start = name.get(..room).unwrap_or(name);
    c_name(&[b".", start, end.as_bytes()].concat())
}

/// Makes something under a name beside `name` that is not taken, and gives that name too.
pub(super) fn make_beside<T>(
    name: &CStr,
    mut make: impl FnMut(&CStr) -> nix::Result<T>,
) -> nix::Result<(T, CString)> {
    let mut tries = 0;
    loop {
        let temporary = beside(name);
        match make(&temporary) {
            Err(Errno::EEXIST) if tries < 100 => tries += 1,
            made => return Ok((made?, temporary)),
        }
    }
}

/// A file with a temporary name, which is removed unless it gets its own.
#[derive(Debug)]
pub(super) struct Temporary<'a> {
    directory: &'a Directory,
    name: CString,
    is_kept: bool,
}

impl<'a> Temporary<'a> {
    pub(super) fn new(directory: &'a Directory, name: CString) -> Self {
        Self {
            directory,
            name,
            is_kept: false,
        }
    }

    pub(super) fn name(&self) -> &CStr {
        &self.name
    }

    /// Gives it its own name, and takes that from what has it. A directory keeps its name.
    pub(super) fn replace(mut self, name: &CStr) -> nix::Result<()> {
        let file = &self.directory.file;
        renameat(file, self.name(), file, name)?;
        // Two names of one file both stay.
        self.is_kept = !self.directory.has(&self.name);
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = self.directory.unlink(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_beside_the_longest_is_not_too_long() {
        let name = beside(&c_name(&[b'x'; 255]));
        assert_eq!(name.as_bytes().len(), 255);
        let name = beside(c"passwd");
        assert!(
            name.to_str().unwrap().starts_with(".passwd.part-"),
            "{name:?}"
        );
        assert_ne!(beside(c"a"), beside(c"a"));
    }
}

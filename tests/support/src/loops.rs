//! Files as block devices.

use super::Scratch;
use super::tools::tool;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A loop device over a file, which is detached when it goes out of scope.
#[derive(Debug)]
pub struct Loop {
    pub path: PathBuf,
    pub backing: PathBuf,
}

impl Loop {
    pub fn new(backing: &Path) -> Self {
        Self::with(backing, &[])
    }

    /// One that `losetup` makes with these options.
    pub fn with(backing: &Path, options: &[&str]) -> Self {
        let mut losetup = Command::new("losetup");
        losetup.args(["--find", "--show"]).args(options);
        let path = tool("mount", losetup.arg(backing));
        Self {
            path: path.trim().into(),
            backing: backing.to_owned(),
        }
    }

    /// One with sectors of this many bytes.
    pub fn with_sectors(backing: &Path, bytes: u64) -> Self {
        Self::with(backing, &["--sector-size", &bytes.to_string()])
    }

    /// One of `size` bytes that read as zeros, in the folder of a test.
    pub fn empty(scratch: &Scratch, size: u64) -> Self {
        let backing = scratch.path().join(format!("device-{size}"));
        File::create(&backing).unwrap().set_len(size).unwrap();
        Self::new(&backing)
    }

    /// One of `size` bytes, each of them 0xdb, in the folder of a test.
    pub fn noisy(scratch: &Scratch, size: u64, options: &[&str]) -> Self {
        let backing = scratch.path().join("device");
        std::fs::write(&backing, vec![0xdb; size as usize]).unwrap();
        Self::with(&backing, options)
    }

    /// What the device holds, which no cache hides.
    pub fn bytes(&self) -> Vec<u8> {
        let mut flush = Command::new("blockdev");
        tool("util-linux", flush.arg("--flushbufs").arg(&self.path));
        std::fs::read(&self.path).unwrap()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("-d").arg(&self.path).status();
    }
}

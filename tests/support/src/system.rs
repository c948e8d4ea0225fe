//! Mounts that tests need; only root may make them.

use crate::tools::tool;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Gives this thread, and what it starts, a mount namespace of its own. Otherwise a namespace that
/// another test makes meanwhile holds a copy of each mount, and what was unmounted here is busy
/// until that test ends.
pub fn own_mounts() {
    thread_local!(static HAS_OWN: Cell<bool> = const { Cell::new(false) });
    if HAS_OWN.replace(true) {
        return;
    }
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
}

/// A file system that is unmounted when it goes out of scope.
#[derive(Debug)]
pub struct Mounted {
    pub dir: PathBuf,
}

impl Mounted {
    /// Mounts a file system in a file on a new folder.
    pub fn image(backing: &Path, dir: &Path, options: &str) -> Self {
        own_mounts();
        std::fs::create_dir_all(dir).unwrap();
        tool(
            "mount",
            Command::new("mount")
                .args(["-o", options])
                .arg(backing)
                .arg(dir),
        );
        Self {
            dir: dir.to_owned(),
        }
    }

    /// Mounts a file system of this size in memory on a new folder.
    pub fn memory(size: &str, dir: &Path) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let options = format!("size={size},mode=0755");
        tool(
            "mount",
            Command::new("mount")
                .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
                .arg(dir),
        );
        Self {
            dir: dir.to_owned(),
        }
    }

    /// Unmounts it at once, so that everything written is in the backing file.
    pub fn end(self) {
        tool("mount", Command::new("umount").arg(&self.dir));
        std::mem::forget(self);
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.dir).status();
    }
}

//! Mounts that tests need; only root may make them.

use crate::tools::tool;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Gives this thread, and what it starts from now on, mounts of its own: what is mounted is seen by
/// no other test, and what others have mounted is not kept by this one. Otherwise a copy of it
/// would keep it busy after it was unmounted there.
pub fn own_mounts() {
    thread_local!(static HAS_OWN: Cell<bool> = const { Cell::new(false) });
    if HAS_OWN.replace(true) {
        return;
    }
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let nothing = None::<&str>;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(nothing, "/", nothing, private, nothing).unwrap();
    let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let of_tests = points.filter(|point| point.contains("/ploopconv-it-"));
    for point in of_tests.collect::<Vec<_>>().into_iter().rev() {
        let _ = umount2(point, MntFlags::MNT_DETACH);
    }
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
        own_mounts();
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

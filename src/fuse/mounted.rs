//! What is mounted, and how it is taken away.

use std::path::{Path, PathBuf};

use super::label::MountLabel;
use super::log_file::log_file_of;
use super::unmount::unmount;
use crate::attach::{
    AttachError, Force, Holder, Mount, PASSING_BY, PATIENCE, mounts_of, start_time, users_of,
    wait_until,
};

/// Files that are mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// Where.
    pub dir: PathBuf,
    /// What the mount says of itself.
    pub label: MountLabel,
    /// The user who mounted them.
    pub owner: u32,
}

/// Everything of this program that is mounted where this process sees it, in the order in which it
/// was mounted. Anybody may ask.
#[must_use]
pub fn mounted() -> Vec<Mounted> {
    let mounts = mounts_of("self");
    let on_top = |at: usize, mount: &Mount| {
        let later = mounts.get(at + 1..).unwrap_or_default();
        later.iter().all(|other| other.point != mount.point)
    };
    let mut found = Vec::new();
    for (at, mount) in mounts.iter().enumerate() {
        // What is mounted over another mount hides that, and is what a name leads to.
        if on_top(at, mount) {
            found.extend(Mounted::of(mount));
        }
    }
    found
}

impl Mounted {
    fn of(mount: &Mount) -> Option<Self> {
        if mount.kind != "fuse" && !mount.kind.starts_with("fuse.") {
            return None;
        }
        let mut options = mount.options.split(',');
        let owner = options.find_map(|option| option.strip_prefix("user_id="));
        Some(Self {
            dir: mount.point.clone(),
            label: MountLabel::parse(&mount.source)?,
            owner: owner?.parse().ok()?,
        })
    }

    /// Whether the process lives that serves it. Where it does not, every read is an error.
    #[must_use]
    pub fn is_served(&self) -> bool {
        start_time(self.label.pid) == Some(self.label.started)
    }

    /// Where its server writes what goes wrong, if it does.
    #[must_use]
    pub fn log(&self) -> Option<PathBuf> {
        let log = log_file_of(self.owner, self.label.pid)?;
        log.is_file().then_some(log)
    }

    /// Whether it is mounted on this directory.
    #[must_use]
    pub fn is_at(&self, dir: &Path) -> bool {
        self.dir == dir || real_name(dir).is_some_and(|real| self.dir == real)
    }

    /// Whether IMAGE, as somebody types it later, is what the files are read from: what was typed,
    /// the same file or folder, or the folder around it.
    #[must_use]
    pub fn is_of(&self, image: &Path) -> bool {
        let own = &self.label.image;
        let Some(real) = real_name(image).filter(|_| !own.as_os_str().is_empty()) else {
            return own == image && !image.as_os_str().is_empty();
        };
        let folder = || own.parent().filter(|_| own.is_file());
        own == image || *own == real || folder() == Some(&real)
    }

    /// Unmounts the files, and waits until their server has ended. Works without the server too.
    ///
    /// # Errors
    ///
    /// [`AttachError::Busy`] with those who use the files, which then stay mounted;
    /// [`AttachError::ServerStays`] where they are unmounted and the server goes on;
    /// [`AttachError::Device`] for what the kernel says.
    pub fn detach(&self, force: Force) -> Result<(), AttachError> {
        let mut failure = None;
        let gone = wait_until(PASSING_BY, || match unmount(&self.dir, force) {
            Ok(gone) => gone,
            Err(error) => {
                failure = Some(error);
                true
            }
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
        if !gone {
            return Err(AttachError::Busy {
                path: self.dir.clone(),
                holders: self.holders(),
            });
        }
        if self.label.pid != std::process::id() {
            if !wait_until(PATIENCE, || !self.is_served()) {
                return Err(AttachError::ServerStays {
                    path: self.dir.clone(),
                    pid: self.label.pid,
                });
            }
            self.forget_log();
        }
        Ok(())
    }

    /// Removes the log of its server, where that is this user's own.
    pub fn forget_log(&self) {
        let user = nix::unistd::geteuid().as_raw();
        if let Some(log) = log_file_of(user, self.label.pid).filter(|_| user == self.owner) {
            let _ = std::fs::remove_file(log.with_extension("log.old"));
            let _ = std::fs::remove_file(log);
        }
    }

    /// Who keeps it from being unmounted, as far as this user can see.
    fn holders(&self) -> Vec<Holder> {
        let mut holders = users_of(&self.dir);
        let below = mounts_of("self").into_iter().map(|mount| mount.point);
        let below = below.filter(|point| *point != self.dir && point.starts_with(&self.dir));
        holders.extend(below.map(|point| Holder::Mount {
            point,
            seen_by: None,
        }));
        holders
    }
}

/// A path without symbolic links, also where a server has died whose files are mounted there.
fn real_name(path: &Path) -> Option<PathBuf> {
    if let Ok(real) = std::fs::canonicalize(path) {
        return Some(real);
    }
    let folder = match path.parent()? {
        folder if folder.as_os_str().is_empty() => Path::new("."),
        folder => folder,
    };
    Some(std::fs::canonicalize(folder).ok()?.join(path.file_name()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(kind: &str, source: &str, options: &str) -> Mount {
        let line = format!("36 35 0:44 / /mnt/a rw - {kind} {source} {options}\n");
        Mount::parse(line.as_bytes()).remove(0)
    }

    #[test]
    fn only_our_own_mounts_are_ours() {
        let options = "ro,user_id=1000,group_id=1000";
        let ours = Mounted::of(&mount("fuse", "ploopconv:7:8:image=/a", options)).unwrap();
        assert_eq!(ours.owner, 1000);
        assert_eq!(ours.label.image, Path::new("/a"));
        assert!(ours.is_at(Path::new("/mnt/a")) && ours.is_of(Path::new("/a")));
        assert!(!ours.is_at(Path::new("/mnt")) && !ours.is_of(Path::new("/mnt/a")));
        for (kind, source, options) in [
            ("ext4", "ploopconv:7:8", options),
            ("fuse", "ploopconv:7", options),
            ("fuse", "ploopconv:7:8", "ro"),
        ] {
            assert_eq!(Mounted::of(&mount(kind, source, options)), None);
        }
    }
}

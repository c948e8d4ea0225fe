//! Who else uses a file on this host: what the kernel shows in `/sys` and `/proc`. No lock is
//! taken, no other file is opened but a block device, and whatever cannot be read says nothing.
//!
//! - `/sys/block/ploop*/pdelta/LEVEL/image`: the layers of ploop devices (OpenVZ 6, Virtuozzo 7).
//!   Only the last level of a device that is not read-only is written to.
//! - `/sys/block/loop*/loop/backing_file`: loop devices that are not read-only.
//! - `/proc/locks`: locks for writing, and those by which libploop and QEMU tell each other that
//!   they write. Somebody who reads under a shared lock is no sign.
//! - `/proc/PID/fd`: programs that have the file open for writing.
//! - A block device is opened for reading with `O_EXCL`, which asks for the claim that mounts, swap
//!   and device-mapper hold.
//!
//! The dm-ploop devices of Virtuozzo 8 and 9 name their files to an ioctl of root only; there the
//! mark in the image's header says the same.

mod claims;
mod locks;
mod process;
mod watched;
mod writers;

use std::fmt;
use std::path::{Path, PathBuf};

pub use self::process::Process;
pub use self::watched::Watched;

use self::process::line_of;
use self::watched::{Identity, identity};

/// Where the kernel shows what happens on a host.
#[derive(Debug, Clone)]
pub struct Host {
    sys: PathBuf,
    proc: PathBuf,
}

impl Default for Host {
    /// The host that the program runs on.
    fn default() -> Self {
        Self::at(Path::new("/"))
    }
}

/// A sign that a file is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sign {
    /// The file.
    pub path: PathBuf,
    /// Who uses it.
    pub user: User,
}

/// Who uses a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// A ploop device writes to it. What the driver writes does not show in the file's times.
    Ploop {
        /// The name of the device.
        device: String,
    },
    /// A loop device may write to it.
    Loop {
        /// The name of the device.
        device: String,
    },
    /// A program holds a lock that says that it writes.
    Lock {
        /// The program.
        process: Process,
    },
    /// A program has it open for writing.
    Writer {
        /// The program.
        process: Process,
    },
    /// The kernel uses the device: it is mounted, swap, or part of another device.
    Kernel,
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ploop { device } => write!(f, "attached as {device}, which writes to it"),
            Self::Loop { device } => write!(f, "open for writing as the loop device {device}"),
            Self::Lock { process } => write!(f, "locked for writing by {process}"),
            Self::Writer { process } => write!(f, "open for writing in {process}"),
            Self::Kernel => f.write_str("mounted, swap, or part of another device"),
        }
    }
}

impl Host {
    /// A host whose `/sys` and `/proc` lie below `root`.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self {
            sys: root.join("sys"),
            proc: root.join("proc"),
        }
    }

    /// Every sign that one of the files is in use, the surest first.
    #[must_use]
    pub fn signs(&self, files: &[Watched]) -> Vec<Sign> {
        let known: Vec<(&Watched, Identity)> = files
            .iter()
            .filter_map(|file| Some((file, identity(&file.path)?)))
            .collect();
        if known.is_empty() {
            return Vec::new();
        }
        let mut signs = Vec::new();
        let mut say = |file: &Watched, user| {
            let path = file.path.clone();
            signs.push(Sign { path, user });
        };
        for (device, dir) in self.devices("ploop") {
            let Some(written) = last_delta(&dir).filter(|_| !is_read_only(&dir)) else {
                continue;
            };
            let written = identity(&written);
            for (file, _) in known.iter().filter(|(_, id)| Some(*id) == written) {
                let device = device.clone();
                if file.top {
                    say(file, User::Ploop { device });
                }
            }
        }
        for (device, dir) in self.devices("loop") {
            let backing = line_of(&dir.join("loop/backing_file"));
            let Some(backing) = backing.filter(|_| !is_read_only(&dir)) else {
                continue;
            };
            let backing = identity(Path::new(&backing));
            for (file, _) in known.iter().filter(|(_, id)| Some(*id) == backing) {
                let device = device.clone();
                say(file, User::Loop { device });
            }
        }
        for (file, id) in &known {
            for process in locks::for_writing(&self.proc, &file.path, *id) {
                say(file, User::Lock { process });
            }
        }
        for (file, _) in known.iter().filter(|(file, _)| claims::is_held(&file.path)) {
            say(file, User::Kernel);
        }
        for (at, process) in writers::of(&self.proc, &known) {
            if let Some((file, _)) = known.get(at) {
                say(file, User::Writer { process });
            }
        }
        signs
    }

    /// The block devices whose names begin with `kind` and go on with a number.
    fn devices(&self, kind: &str) -> Vec<(String, PathBuf)> {
        let entries = std::fs::read_dir(self.sys.join("block"));
        let mut found: Vec<_> = entries
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let number = name.strip_prefix(kind)?;
                let digits = number.bytes().all(|byte| byte.is_ascii_digit());
                (digits && !number.is_empty()).then(|| (name, entry.path()))
            })
            .collect();
        found.sort();
        found
    }
}

/// The image of a ploop device that is written to: that of the highest level.
fn last_delta(dir: &Path) -> Option<PathBuf> {
    let levels = std::fs::read_dir(dir.join("pdelta")).ok()?.flatten();
    let level = |entry: std::fs::DirEntry| {
        let number: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((number, entry.path()))
    };
    let (_, last) = levels.filter_map(level).max()?;
    line_of(&last.join("image")).map(PathBuf::from)
}

fn is_read_only(dir: &Path) -> bool {
    line_of(&dir.join("ro")).is_some_and(|ro| ro == "1")
}

#[cfg(test)]
mod tests;

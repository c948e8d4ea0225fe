//! Why a disk could not be attached or detached.

use std::io;
use std::path::PathBuf;

use super::holder::Holder;
use crate::error::{Detail, ErrorKind};
use crate::partition::FileSystem;

/// Why a disk could not be attached or detached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// The kernel has no NBD driver.
    #[error("this kernel has no NBD driver: the module nbd is not there, and {why}")]
    NoModule {
        /// What loading it said.
        why: String,
    },
    /// The kernel has no loop devices.
    #[error("there are no loop devices here: {why}")]
    NoLoop {
        /// What is missing.
        why: String,
    },
    /// The caller may not ask the kernel for devices.
    #[error("attaching and detaching disks needs root (CAP_SYS_ADMIN, and not in a container)")]
    NotPermitted,
    /// The device that was asked for is in use.
    #[error("{} is in use by something else", path.display())]
    Taken {
        /// The device.
        path: PathBuf,
    },
    /// The kernel would read the file of a loop device through the page cache, where a range that
    /// cannot be read may become zeros.
    #[error(
        "{} would not pass on every error in reading: this kernel does not read files of FUSE \
         directly",
        path.display()
    )]
    NotDirect {
        /// The device.
        path: PathBuf,
    },
    /// Every device is in use.
    #[error("no NBD device is free")]
    NoneFree,
    /// The kernel refused to connect a device.
    #[error("connecting {what}")]
    Connect {
        /// Which device.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Something failed with a device or a file of its state.
    #[error("{doing} {}", path.display())]
    Device {
        /// What was being done.
        doing: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The kernel does not take a partition.
    #[error("telling the kernel of partition {number} of {}", path.display())]
    Partition {
        /// The number of the partition.
        number: u32,
        /// The device.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A node is missing in `/dev`.
    #[error("{} did not appear; /dev is not kept by the kernel (devtmpfs) here", path.display())]
    NoNode {
        /// The node.
        path: PathBuf,
    },
    /// The kernel does not mount a file system.
    #[error("mounting {} ({}) on {}", path.display(), kind.name(), dir.display())]
    Mount {
        /// The device or partition.
        path: PathBuf,
        /// The directory.
        dir: PathBuf,
        /// What it holds.
        kind: FileSystem,
        /// What the kernel said.
        source: io::Error,
    },
    /// What a device holds is nothing to mount.
    #[error("{} holds {}, which cannot be mounted", path.display(), kind.title())]
    NotMountable {
        /// The device or partition.
        path: PathBuf,
        /// What it holds.
        kind: FileSystem,
    },
    /// Somebody uses the device.
    #[error("{} is in use: {}", path.display(), list(holders))]
    Busy {
        /// The device.
        path: PathBuf,
        /// The holders; empty where none could be found.
        holders: Vec<Holder>,
    },
    /// The device was disconnected, and somebody keeps it open.
    #[error("{} is disconnected, but not free yet: {}", path.display(), list(holders))]
    Lingering {
        /// The device.
        path: PathBuf,
        /// The holders; empty where none could be found.
        holders: Vec<Holder>,
    },
    /// The server of a device did not end.
    #[error("the server of {} (process {pid}) does not end", path.display())]
    ServerStays {
        /// The device.
        path: PathBuf,
        /// The process.
        pid: u32,
    },
    /// Nothing is attached under this name.
    #[error("nothing is attached as {}", path.display())]
    NotAttached {
        /// What was asked for.
        path: PathBuf,
    },
    /// The device is connected to something else.
    #[error("{} was not attached by ploopconv", path.display())]
    NotOurs {
        /// The device.
        path: PathBuf,
    },
    /// An image is attached more than once.
    #[error("{} is attached more than once: {}", path.display(), paths(devices))]
    Several {
        /// What was asked for.
        path: PathBuf,
        /// The devices.
        devices: Vec<PathBuf>,
    },
}

impl Detail for AttachError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Busy { .. } | Self::Taken { .. } => ErrorKind::InUse,
            Self::NotAttached { .. } | Self::NotOurs { .. } | Self::Several { .. } => {
                ErrorKind::Input
            }
            Self::NotMountable { .. } => ErrorKind::Unsupported,
            Self::NoModule { .. }
            | Self::NoLoop { .. }
            | Self::NotDirect { .. }
            | Self::NotPermitted
            | Self::NoneFree
            | Self::Connect { .. }
            | Self::Device { .. }
            | Self::Partition { .. }
            | Self::NoNode { .. }
            | Self::Mount { .. }
            | Self::Lingering { .. }
            | Self::ServerStays { .. } => ErrorKind::Io,
        }
    }

    fn code(&self) -> &'static str {
        "attach"
    }
}

fn list(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return "the kernel says so, and no holder can be found".to_owned();
    }
    let texts: Vec<_> = holders.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

fn paths(paths: &[PathBuf]) -> String {
    let texts: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    texts.join(" ")
}

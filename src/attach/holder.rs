//! Who holds a device.

use std::fmt;
use std::path::PathBuf;

/// Something that holds a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// It is mounted.
    Mount {
        /// Where.
        point: PathBuf,
        /// The process that sees it there, where this process does not.
        seen_by: Option<u32>,
    },
    /// Another device is built on it: LVM, md, multipath.
    Device(String),
    /// A process has it, or something on it, open.
    Process {
        /// The number of the process.
        pid: u32,
        /// Its name.
        name: String,
        /// What it has open, or where it is.
        path: PathBuf,
    },
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mount {
                point,
                seen_by: None,
            } => write!(f, "mounted on {}", point.display()),
            Self::Mount {
                point,
                seen_by: Some(pid),
            } => write!(
                f,
                "mounted on {} where process {pid} lives",
                point.display()
            ),
            Self::Device(name) => write!(f, "used by the device {name}"),
            Self::Process { pid, name, path } => {
                write!(f, "{} used by process {pid} ({name})", path.display())
            }
        }
    }
}

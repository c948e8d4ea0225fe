//! Why a target cannot be made.

use std::io;
use std::path::{Path, PathBuf};

use super::limit::Limit;
use crate::error::{Detail, ErrorKind};

/// Why a target cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The target is there and may not be replaced.
    #[error("{} exists", path.display())]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// The target is something that cannot be written to.
    #[error("cannot write to {}: {why}", path.display())]
    Kind {
        /// The target.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A program uses what would be changed where it lies.
    #[error("{} is {user}", path.display())]
    InUse {
        /// The target.
        path: PathBuf,
        /// Who uses it.
        user: String,
    },
    /// There is less room than the copy needs.
    #[error("{} has {free} bytes free, and {needed} bytes are needed", path.display())]
    NoRoom {
        /// The directory that was asked.
        path: PathBuf,
        /// How many bytes are free there.
        free: u64,
        /// How many bytes would be written.
        needed: u64,
    },
    /// The room ran out while a target was being written.
    #[error("{doing} {}: {limit}", path.display())]
    Full {
        /// What was being done, as in "writing".
        doing: &'static str,
        /// The target.
        path: PathBuf,
        /// What keeps it from growing.
        limit: Limit,
    },
    /// A file of a target cannot be made where it was asked for.
    #[error("cannot create {}{}", path.display(), because_of(folder, source))]
    Create {
        /// The file.
        path: PathBuf,
        /// The folder that it was to be in.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Sharing blocks with the source was asked for, and is not possible.
    #[error("sharing blocks with {} at offset {offset:#x}", path.display())]
    CannotShare {
        /// The target.
        path: PathBuf,
        /// Where in the target, in bytes.
        offset: u64,
        /// Why.
        source: io::Error,
    },
}

/// What a refusal to make a file says about its folder.
fn because_of(folder: &Path, source: &io::Error) -> String {
    let name = folder.display();
    match source.kind() {
        io::ErrorKind::NotFound => format!(": there is no folder {name}"),
        io::ErrorKind::NotADirectory => format!(": {name} is not a folder"),
        io::ErrorKind::PermissionDenied => format!(": the folder {name} may not be written to"),
        io::ErrorKind::ReadOnlyFilesystem => {
            format!(": the folder {name} is on a read-only file system")
        }
        _ => format!(" in the folder {name}"),
    }
}

impl Detail for TargetError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoRoom { .. } | Self::Full { .. } => ErrorKind::NoRoom,
            Self::Exists { .. }
            | Self::Kind { .. }
            | Self::InUse { .. }
            | Self::Create { .. }
            | Self::CannotShare { .. } => ErrorKind::Target,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Exists { .. } => "target-exists",
            Self::Kind { .. } => "target-kind",
            Self::InUse { .. } => "target-in-use",
            Self::NoRoom { .. } => "no-room",
            Self::Full { limit, .. } => match limit {
                Limit::FileSystem(_) | Limit::Inodes(_) | Limit::Device => "full",
                Limit::Quota(_) => "quota",
                Limit::FileSize => "file-too-large",
            },
            Self::Create { .. } => "cannot-create",
            Self::CannotShare { .. } => "cannot-share",
        }
    }
}

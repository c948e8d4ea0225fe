//! The disks of one container or virtual machine.

use std::path::{Path, PathBuf};

use crate::error::{Detail, ErrorKind};
use crate::ploop::DEFAULT_PRIVATE_DIRS;

/// Why no disks are found that belong together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OneError {
    /// It is no folder.
    #[error(
        "all disks are those of the folder of a virtual machine or container, and {} is none",
        path.display()
    )]
    NoFolder {
        /// What was given.
        path: PathBuf,
    },
    /// There are others, or none.
    #[error(
        "all disks are those of one virtual machine or container, and below {} are {found}",
        path.display()
    )]
    NotOne {
        /// The folder.
        path: PathBuf,
        /// How many there are.
        found: usize,
    },
}

impl Detail for OneError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Input
    }

    fn code(&self) -> &'static str {
        "not-one-container"
    }
}

/// The private area of a container that is named by its number: below `dirs`, or where there are
/// none below the usual folders. What is there under this name, or nowhere, is given back.
#[must_use]
pub fn area_of(container: &Path, dirs: &[PathBuf]) -> PathBuf {
    let below = |dir: &Path| dir.join(container);
    let mut areas: Box<dyn Iterator<Item = PathBuf>> = match dirs {
        _ if container.exists() => Box::new(std::iter::empty()),
        [] => Box::new(DEFAULT_PRIVATE_DIRS.iter().map(|dir| below(Path::new(dir)))),
        dirs => Box::new(dirs.iter().map(|dir| below(dir))),
    };
    let area = areas.find(|area| area.is_dir());
    area.unwrap_or_else(|| container.to_owned())
}

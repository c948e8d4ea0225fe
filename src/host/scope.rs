//! Where containers are looked for.

use std::path::PathBuf;

use crate::guest::HOST_FOLDERS;
use crate::ploop::DEFAULT_PRIVATE_DIRS;

/// Where containers are looked for.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Folders that hold containers and disks, at any depth.
    pub folders: Vec<PathBuf>,
    /// Folders of configurations, `ID.conf`, that may say that a container lies elsewhere; only
    /// looked through where `folders` are those of this host.
    pub configurations: Vec<PathBuf>,
}

impl Scope {
    /// The containers of this host: below the usual folders, and where a configuration says.
    #[must_use]
    pub fn host() -> Self {
        let private = DEFAULT_PRIVATE_DIRS.iter().map(PathBuf::from);
        Self {
            folders: private.filter(|folder| folder.exists()).collect(),
            configurations: HOST_FOLDERS.iter().map(PathBuf::from).collect(),
        }
    }

    /// What lies below these folders.
    #[must_use]
    pub fn below(folders: &[PathBuf]) -> Self {
        Self {
            folders: folders.to_vec(),
            configurations: Vec::new(),
        }
    }
}

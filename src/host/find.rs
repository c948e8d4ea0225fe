//! Where containers and disks lie.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::scope::Scope;
use crate::error::{Error, Result};
use crate::guest::{private_area, read_config};
use crate::ploop::{OpenError, Reach, Search, locate};

/// How deep folders are looked through: a copy of a host's whole tree below a folder of backups has
/// about six.
const DEPTH: usize = 10;

/// A container or a disk that was found, and has yet to be looked at.
#[derive(Debug)]
pub(super) struct Place {
    /// The private area, or the folder of the disk.
    pub(super) area: PathBuf,
    pub(super) holds: Holds,
}

/// What a folder holds.
#[derive(Debug)]
pub(super) enum Holds {
    /// A disk that the folder stands for.
    Disk,
    /// Disks of which none is the first.
    Disks(Vec<PathBuf>),
    /// The container's files, without a disk.
    Files(PathBuf),
    /// Something that should be a disk and is none, or that names nothing.
    Nothing(Error),
}

/// What was found below all folders.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) places: Vec<Place>,
    pub(super) problems: Vec<Error>,
    /// Device and inode of each folder that was seen: several names may lead to one.
    seen: BTreeSet<(u64, u64)>,
}

pub(super) fn find(search: &Scope) -> Found {
    let mut found = Found::default();
    for folder in &search.folders {
        found.top(folder);
    }
    for folder in &search.configurations {
        found.configured(folder);
    }
    found
}

impl Found {
    /// A folder that somebody named: what is wrong with it is said.
    fn top(&mut self, folder: &Path) {
        if let Err(error) = self.folder(folder, DEPTH) {
            self.problems.push(error);
        }
    }

    /// Takes a folder as a container, or looks through it.
    fn folder(&mut self, folder: &Path, depth: usize) -> Result<()> {
        if !self.is_new(folder)? {
            return Ok(());
        }
        match holds(folder)? {
            Some(holds) => {
                self.place(folder, holds);
                Ok(())
            }
            None => self.below(folder, depth),
        }
    }

    fn place(&mut self, folder: &Path, holds: Holds) {
        self.places.push(Place {
            area: folder.to_owned(),
            holds,
        });
    }

    fn is_new(&mut self, folder: &Path) -> Result<bool> {
        let meta = std::fs::metadata(folder);
        let meta = meta.map_err(|error| Error::io("looking into", folder, error))?;
        Ok(self.seen.insert((meta.dev(), meta.ino())))
    }

    /// Looks through a folder that is no container itself. A link is followed to a container, and
    /// no further: it may lead to the root of this host.
    fn below(&mut self, folder: &Path, depth: usize) -> Result<()> {
        let Some(depth) = depth.checked_sub(1) else {
            return Ok(());
        };
        let failed = |error| Error::io("listing", folder, error);
        let entries = std::fs::read_dir(folder).map_err(failed)?;
        let mut paths = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() || (kind.is_symlink() && entry.path().is_dir()) {
                paths.push((entry.path(), kind.is_symlink()));
            }
        }
        // What is not a link first: it is the name that people know.
        paths.sort_unstable_by_key(|(path, is_link)| (*is_link, path.clone()));
        for (path, is_link) in paths {
            let entered = match is_link {
                false => self.folder(&path, depth),
                true => self.link(&path),
            };
            if let Err(error) = entered {
                self.problems.push(error);
            }
        }
        Ok(())
    }

    fn link(&mut self, path: &Path) -> Result<()> {
        if let Some(holds) = holds(path)?
            && self.is_new(path)?
        {
            self.place(path, holds);
        }
        Ok(())
    }

    /// The containers that a folder of configurations names, where they were not found yet.
    fn configured(&mut self, folder: &Path) {
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ext| ext == "conf"))
            .collect();
        files.sort_unstable();
        for file in files {
            // 0.conf is the host's own, and ve-NAME.conf-sample is none of a container.
            let id = file.file_stem().and_then(|id| id.to_str());
            let Some(id) = id.filter(|id| *id != "0") else {
                continue;
            };
            let area = match read_config(&file) {
                Ok(config) => private_area(&config, id),
                Err(error) => {
                    self.problems.push(error);
                    continue;
                }
            };
            if let Some(area) = area.filter(|area| area.is_dir()) {
                self.top(&area);
            }
        }
    }
}

/// What a folder holds; `None` for one that may hold containers somewhere below.
fn holds(folder: &Path) -> Result<Option<Holds>> {
    let search = Search {
        disk: None,
        private_dirs: &[],
        reach: Reach::Folder,
    };
    let error = match locate(folder, &search) {
        Ok(_) => return Ok(Some(Holds::Disk)),
        Err(error) => error,
    };
    Ok(Some(match error.detail() {
        Some(OpenError::SeveralDisks { disks, .. }) if disks.iter().all(|disk| disk.is_dir()) => {
            Holds::Disks(disks.clone())
        }
        Some(OpenError::Simfs { files, .. }) => Holds::Files(files.clone()),
        Some(OpenError::Containers { .. }) => return Ok(None),
        Some(OpenError::NoImage { images, .. }) if images.is_empty() && !is_named(folder) => {
            return Ok(None);
        }
        // A descriptor that is lost says nothing where there is one image.
        Some(OpenError::NoImage { images, .. }) if images.len() == 1 => {
            Holds::Disks(images.clone())
        }
        Some(_) => Holds::Nothing(error),
        None => return Err(error),
    }))
}

/// Whether a folder is called like a disk, or has the configuration of a container.
fn is_named(folder: &Path) -> bool {
    let is_disk = folder.extension();
    is_disk.is_some_and(|ext| ext.eq_ignore_ascii_case("hdd")) || folder.join("ve.conf").is_file()
}

//! A file that has its name only when it is complete.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use tempfile::NamedTempFile;

use super::decisions::{Durability, IfExists};
use super::error::TargetError;
use super::full::{full, refusal};
use super::leftovers;
use super::partials::{Partials, Registered};
use crate::error::{Error, Result};
use crate::util::paths::folder_of;

/// The random characters at the end of a temporary name.
const RANDOM: usize = 6;

/// A new file under a temporary name (`.NAME.part-…`) in the directory of its target. Dropped
/// before [`PartialFile::finish`], it is gone.
#[derive(Debug)]
pub struct PartialFile {
    partial: NamedTempFile,
    target: PathBuf,
    if_exists: IfExists,
    /// Dropped after the file, so that a file that is still there is not forgotten.
    registered: Registered,
}

impl PartialFile {
    /// Makes an empty file beside `target`. A symbolic link is followed: what it points to is
    /// the target. The mode is that of the file which is replaced, or of any new file, and so is
    /// the owner where the user may give files away.
    ///
    /// # Errors
    ///
    /// [`TargetError::Exists`] where there is a file already and it may not be replaced,
    /// [`TargetError::Kind`] where there is something that is no file, [`TargetError::Create`] or
    /// [`TargetError::Full`] where the file cannot be made,
    /// [`ErrorKind::Stopped`](crate::ErrorKind::Stopped) where the program was told to end.
    pub fn create(target: &Path, if_exists: IfExists, partials: &Arc<Partials>) -> Result<Self> {
        let (target, replaced) = Self::admit(target, if_exists)?;
        let create_failed = |error| create_failed(&target, error);
        Self::remove_leftovers(&target);
        let make = || loop {
            let made = tempfile::Builder::new()
                .prefix(&partial_prefix(&target))
                .rand_bytes(RANDOM)
                // Mode 0666 less the umask, as for any new file.
                .make_in(folder_of(&target), |path| {
                    File::options()
                        .read(true)
                        .write(true)
                        .create_new(true)
                        .open(path)
                });
            let (file, path) = made.map_err(create_failed)?.into_parts();
            let partial = NamedTempFile::from_parts(file, path);
            if leftovers::claim(partial.as_file(), partial.path()) {
                return Ok(partial);
            }
        };
        let (partial, registered) = partials.make(make, |partial| partial.path().to_owned())?;
        if let Some(permissions) = replaced {
            // Only root can give files away. What it replaces stays with who has it.
            if let Ok(meta) = std::fs::metadata(&target) {
                let _ = fchown(partial.as_file(), Some(meta.uid()), Some(meta.gid()));
            }
            partial
                .as_file()
                .set_permissions(permissions)
                .map_err(create_failed)?;
        }
        Ok(Self {
            partial,
            target,
            if_exists,
            registered,
        })
    }

    /// Removes the partial files that earlier runs for the same target left when they were killed,
    /// and answers their paths. Those of runs that are not over are known by a lock and stay.
    pub fn remove_leftovers(target: &Path) -> Vec<PathBuf> {
        leftovers::remove(folder_of(target), &partial_prefix(target), RANDOM)
    }

    /// Says whether `target` could be made, without touching anything: the path behind symbolic
    /// links, and the permissions of the file that is there.
    ///
    /// # Errors
    ///
    /// As [`PartialFile::create`], but for the making.
    pub fn admit(target: &Path, if_exists: IfExists) -> Result<(PathBuf, Option<Permissions>)> {
        let wrong = |why| {
            TargetError::Kind {
                path: target.to_owned(),
                why,
            }
            .into()
        };
        if target.file_name().is_none() || target.as_os_str().as_bytes().ends_with(b"/") {
            return Err(wrong("it names a directory"));
        }
        let meta = match std::fs::metadata(target) {
            Ok(meta) => meta,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if target.symlink_metadata().is_ok() {
                    return Err(wrong("it is a symbolic link to nothing"));
                }
                let folder = folder_of(target);
                return match std::fs::metadata(folder) {
                    Ok(_) => Ok((target.to_owned(), None)),
                    Err(error) => Err(create_failed(target, error)),
                };
            }
            Err(error) => return Err(create_failed(target, error)),
        };
        if meta.is_dir() {
            return Err(wrong("it is a directory"));
        }
        if !meta.is_file() {
            return Err(wrong("it is neither a file nor a stream"));
        }
        if if_exists == IfExists::Refuse {
            return Err(TargetError::Exists {
                path: target.to_owned(),
            }
            .into());
        }
        let real = target
            .canonicalize()
            .map_err(|error| Error::io("resolving", target, error))?;
        // A file that ran with somebody's rights does not give them to a disk image.
        let mode = meta.permissions().mode() & 0o777;
        Ok((real, Some(Permissions::from_mode(mode))))
    }

    /// The file, to be written.
    #[must_use]
    pub fn file(&self) -> &File {
        self.partial.as_file()
    }

    /// The temporary path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.partial.path()
    }

    /// What the file will be called.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The error for bytes that the file did not take.
    #[must_use]
    pub fn failed(&self, source: std::io::Error) -> Error {
        refusal("writing", &self.target, None, source)
    }

    /// Waits until all of the file has reached the disk.
    ///
    /// # Errors
    ///
    /// [`TargetError::Full`] where there is no room for it, [`ErrorKind::Io`](crate::ErrorKind::Io)
    /// where it does not for another reason.
    pub fn sync(&self) -> Result<()> {
        let synced = self.file().sync_all();
        synced.map_err(|error| refusal("syncing", &self.target, None, error))
    }

    /// Gives the file its name, where it is to be [`Durability::Synced`] once all of it has reached
    /// the disk.
    ///
    /// # Errors
    ///
    /// [`TargetError::Exists`] where somebody else made the target meanwhile,
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where the file system refuses,
    /// [`ErrorKind::Stopped`](crate::ErrorKind::Stopped) where the program was told to end; then
    /// there is no file, but where it had replaced another before its new name could be made to
    /// last.
    pub fn finish(self, durability: Durability) -> Result<()> {
        if durability == Durability::Synced {
            self.sync()?;
        }
        self.give_name(durability)
    }

    fn give_name(self, durability: Durability) -> Result<()> {
        let Self {
            partial,
            target,
            if_exists,
            registered,
        } = self;
        registered.name(|| rename(partial, &target, if_exists))?;
        if durability == Durability::Synced
            && let Err(error) = sync_directory(folder_of(&target))
        {
            // The name may not last. What was replaced cannot come back, and what replaced it is
            // complete.
            if if_exists == IfExists::Refuse {
                let _ = std::fs::remove_file(&target);
            }
            return Err(error);
        }
        Ok(())
    }
}

fn rename(partial: NamedTempFile, target: &Path, if_exists: IfExists) -> Result<()> {
    let named = if if_exists == IfExists::Replace {
        partial.persist(target)
    } else {
        partial.persist_noclobber(target).or_else(|failed| {
            // Some file systems (FAT) know neither way of not replacing.
            let unknown = matches!(
                failed.error.raw_os_error().map(Errno::from_raw),
                Some(Errno::EPERM | Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOSYS)
            );
            if unknown && target.symlink_metadata().is_err() {
                failed.file.persist(target)
            } else {
                Err(failed)
            }
        })
    };
    match named {
        Ok(_) => Ok(()),
        Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => {
            Err(TargetError::Exists {
                path: target.to_owned(),
            }
            .into())
        }
        Err(failed) => Err(refusal(
            "renaming the complete file to",
            target,
            None,
            failed.error,
        )),
    }
}

/// Makes a directory for targets.
///
/// # Errors
///
/// [`TargetError::Create`] or [`TargetError::Full`] where it cannot be made.
pub fn create_directory(path: &Path) -> Result<()> {
    std::fs::create_dir(path).map_err(|error| create_failed(path, error))
}

/// The error for a file that cannot be made. The folder may be the one that a symbolic link leads
/// to.
fn create_failed(target: &Path, error: std::io::Error) -> Error {
    let folder = folder_of(target);
    let full = full("creating", target, Some(folder), &error);
    let failed = full.unwrap_or_else(|| TargetError::Create {
        path: target.to_owned(),
        folder: folder.to_owned(),
        source: error,
    });
    failed.into()
}

/// `.NAME.part-`, shortened where NAME leaves no room for the rest of a file name.
fn partial_prefix(target: &Path) -> OsString {
    /// NAME_MAX is 255; the dot, the word and the random characters come on top.
    const LONGEST: usize = 255 - ".".len() - ".part-".len() - RANDOM;
    let name = target
        .file_name()
        .unwrap_or(OsStr::new("target"))
        .as_bytes();
    let name = name.get(..name.len().min(LONGEST)).unwrap_or_default();
    OsString::from_vec([b".", name, b".part-"].concat())
}

/// Makes a new name in a directory last.
fn sync_directory(dir: &Path) -> Result<()> {
    match File::open(dir) {
        Ok(handle) => match handle.sync_all() {
            // Some file systems have nothing to do for a directory, and say EINVAL.
            Err(error) if error.raw_os_error() != Some(Errno::EINVAL as i32) => {
                Err(refusal("syncing", dir, None, error))
            }
            _ => Ok(()),
        },
        // A directory that may be written but not read cannot be synced by itself.
        Err(_) => Ok(()),
    }
}

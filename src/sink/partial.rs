//! A file that has its name only when it is complete.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use tempfile::NamedTempFile;

use super::leftovers;
use super::partials::{Known, Partials};
use crate::error::{Error, Result};

/// The random characters at the end of a temporary name.
const RANDOM: usize = 6;

/// A new file under a temporary name (`.NAME.part-…`) in the directory of its target. Dropped
/// before [`PartialFile::finish`], it is gone.
#[derive(Debug)]
pub struct PartialFile {
    partial: NamedTempFile,
    target: PathBuf,
    replace: bool,
    /// Dropped behind the file, so that nobody forgets a file that is still there.
    known: Known,
}

impl PartialFile {
    /// Makes an empty file beside `target`. A symbolic link is followed: what it points to is
    /// the target. The mode is that of the file which is replaced, or of any new file.
    ///
    /// # Errors
    ///
    /// [`Error::TargetExists`] where there is a file already and it may not be replaced,
    /// [`Error::TargetKind`] where there is something that is no file, [`Error::Create`] or
    /// [`Error::Full`] where the file cannot be made, [`Error::Stopped`] where the program was told to end.
    pub fn create(target: &Path, replace: bool, partials: &Arc<Partials>) -> Result<Self> {
        let (target, replaced) = Self::admit(target, replace)?;
        let create_failed = |error| create_failed(&target, error);
        Self::remove_leftovers(&target);
        let make = || loop {
            let made = tempfile::Builder::new()
                .prefix(&partial_prefix(&target))
                .rand_bytes(RANDOM)
                // Mode 0666 less the umask, as for any new file.
                .make_in(directory_of(&target), |path| {
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
        let (partial, known) = partials.make(make, |partial| partial.path().to_owned())?;
        if let Some(permissions) = replaced {
            partial
                .as_file()
                .set_permissions(permissions)
                .map_err(create_failed)?;
        }
        Ok(Self {
            partial,
            target,
            replace,
            known,
        })
    }

    /// Removes the partial files that earlier runs for the same target left when they were killed,
    /// and answers their paths. Those of runs that are not over are known by a lock and stay.
    pub fn remove_leftovers(target: &Path) -> Vec<PathBuf> {
        leftovers::remove(directory_of(target), &partial_prefix(target), RANDOM)
    }

    /// Says whether `target` could be made, without touching anything: the path behind symbolic
    /// links, and the permissions of the file that is there.
    ///
    /// # Errors
    ///
    /// As [`PartialFile::create`], but for the making.
    pub fn admit(target: &Path, replace: bool) -> Result<(PathBuf, Option<Permissions>)> {
        let wrong = |why| Error::TargetKind {
            path: target.to_owned(),
            why,
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
                let folder = directory_of(target);
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
        if !replace {
            return Err(Error::TargetExists {
                path: target.to_owned(),
            });
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
        Error::target("writing", &self.target, None, source)
    }

    /// Waits until all of the file has reached the disk.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] where there is no room for it, [`Error::Io`] where it does not for another
    /// reason.
    pub fn sync(&self) -> Result<()> {
        let synced = self.file().sync_all();
        synced.map_err(|error| Error::target("syncing", &self.target, None, error))
    }

    /// Gives the file its name; with `sync`, once all of it has reached the disk.
    ///
    /// # Errors
    ///
    /// [`Error::TargetExists`] where somebody else made the target meanwhile, [`Error::Io`]
    /// where the file system refuses, [`Error::Stopped`] where the program was told to end; then
    /// there is no file, but where it had replaced another before its new name could be made to
    /// last.
    pub fn finish(self, sync: bool) -> Result<()> {
        if sync {
            self.sync()?;
        }
        self.give_name(sync)
    }

    fn give_name(self, sync: bool) -> Result<()> {
        let Self {
            partial,
            target,
            replace,
            known,
        } = self;
        known.name(|| rename(partial, &target, replace))?;
        if sync && let Err(error) = sync_directory(directory_of(&target)) {
            // The name may not last. What was replaced cannot come back, and what replaced it is
            // complete.
            if !replace {
                let _ = std::fs::remove_file(&target);
            }
            return Err(error);
        }
        Ok(())
    }
}

fn rename(partial: NamedTempFile, target: &Path, replace: bool) -> Result<()> {
    let named = if replace {
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
            Err(Error::TargetExists {
                path: target.to_owned(),
            })
        }
        Err(failed) => Err(Error::target(
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
/// [`Error::Create`] or [`Error::Full`] where it cannot be made.
pub fn create_directory(path: &Path) -> Result<()> {
    std::fs::create_dir(path).map_err(|error| create_failed(path, error))
}

/// The error for a file that cannot be made. The folder may be the one that a symbolic link leads
/// to.
fn create_failed(target: &Path, error: std::io::Error) -> Error {
    let folder = directory_of(target);
    Error::full("creating", target, Some(folder), &error).unwrap_or_else(|| Error::Create {
        path: target.to_owned(),
        folder: folder.to_owned(),
        source: error,
    })
}

fn directory_of(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
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
                Err(Error::target("syncing", dir, None, error))
            }
            _ => Ok(()),
        },
        // A directory that may be written but not read cannot be synced by itself.
        Err(_) => Ok(()),
    }
}

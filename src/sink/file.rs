//! A file that is complete or absent.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use tempfile::NamedTempFile;

use super::Sink;
use crate::error::{Error, Result};

/// How a file is to be made.
#[derive(Debug, Clone, Copy)]
pub struct FileSinkOptions {
    /// Replace an existing file, once the new one is complete.
    pub replace: bool,
    /// Give every byte room on the file system.
    pub allocate: bool,
    /// Wait until the file has reached the disk before it gets its name.
    pub sync: bool,
}

/// A regular file, written under a temporary name in the directory of the target and given its
/// name at the end.
#[derive(Debug)]
pub struct FileSink {
    partial: NamedTempFile,
    target: PathBuf,
    options: FileSinkOptions,
    /// Whether zeros have to be written, because room could not be given in another way.
    write_zeros: bool,
}

impl FileSink {
    /// Makes a partial file of `size` zero bytes beside `target`. A symbolic link is followed:
    /// what it points to is the target.
    ///
    /// # Errors
    ///
    /// [`Error::TargetExists`] where there is a file already and it may not be replaced,
    /// [`Error::TargetKind`] where there is something that is no file, [`Error::Io`] where the
    /// partial file cannot be made or the file system does not take its size.
    pub fn create(target: &Path, size: u64, options: FileSinkOptions) -> Result<Self> {
        let (target, replaced) = Self::admit(target, options.replace)?;
        let create_failed = |error| Error::io("creating a file beside", &target, error);
        let partial = tempfile::Builder::new()
            .prefix(&partial_prefix(&target))
            // Mode 0666 less the umask, as for any new file.
            .make_in(directory_of(&target), |path| {
                File::options()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .open(path)
            })
            .map(|made| {
                let (file, path) = made.into_parts();
                NamedTempFile::from_parts(file, path)
            })
            .map_err(create_failed)?;
        if let Some(permissions) = replaced {
            partial
                .as_file()
                .set_permissions(permissions)
                .map_err(create_failed)?;
        }
        let mut sink = Self {
            partial,
            target,
            options,
            write_zeros: false,
        };
        sink.set_size(size)?;
        Ok(sink)
    }

    /// Says whether `target` could be made, without touching anything: the path behind symbolic
    /// links, and the permissions of the file that is there.
    ///
    /// # Errors
    ///
    /// As [`FileSink::create`], but for the making.
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
                return Ok((target.to_owned(), None));
            }
            Err(error) => return Err(Error::io("looking at", target, error)),
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
        Ok((real, Some(meta.permissions())))
    }

    /// The partial file's path, so that somebody can remove it when the program ends at once.
    #[must_use]
    pub fn partial_path(&self) -> &Path {
        self.partial.path()
    }

    fn set_size(&mut self, size: u64) -> Result<()> {
        let file = self.partial.as_file();
        let failed = |doing, error| Error::io(doing, &self.target, error);
        file.set_len(size)
            .map_err(|error| failed("setting the size of", error))?;
        if self.options.allocate && size > 0 {
            let len = i64::try_from(size).unwrap_or(i64::MAX);
            match fallocate(file, FallocateFlags::empty(), 0, len) {
                Ok(()) => {}
                Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => self.write_zeros = true,
                Err(error) => return Err(failed("allocating room for", error.into())),
            }
        }
        Ok(())
    }

    fn give_name(self) -> Result<()> {
        let Self {
            partial,
            target,
            options,
            ..
        } = self;
        let named = if options.replace {
            partial.persist(&target)
        } else {
            partial.persist_noclobber(&target).or_else(|failed| {
                // Some file systems (FAT) know neither way of not replacing.
                let unknown = matches!(
                    failed.error.raw_os_error().map(Errno::from_raw),
                    Some(Errno::EPERM | Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOSYS)
                );
                if unknown && target.symlink_metadata().is_err() {
                    failed.file.persist(&target)
                } else {
                    Err(failed)
                }
            })
        };
        named.map_err(|failed| match failed.error.kind() {
            ErrorKind::AlreadyExists => Error::TargetExists {
                path: target.clone(),
            },
            _ => Error::io("renaming the complete file to", &target, failed.error),
        })?;
        if options.sync {
            sync_directory(directory_of(&target))?;
        }
        Ok(())
    }
}

impl Sink for FileSink {
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()> {
        self.partial
            .as_file()
            .write_all_at(data, offset)
            .map_err(|error| Error::io_at("writing", &self.target, offset, error))
    }

    fn zero_at(&self, offset: u64, len: u64) -> Result<()> {
        if !self.write_zeros {
            return Ok(()); // a new file reads as zeros where nothing was written
        }
        super::stream::zero_pieces(len).try_fold(offset, |at, zeros| {
            self.write_at(zeros, at)?;
            Ok(at + zeros.len() as u64)
        })?;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let failed = |target: &Path, error| Error::io("writing", target, error);
        self.partial
            .flush()
            .map_err(|error| failed(&self.target, error))?;
        if self.options.sync {
            let file = self.partial.as_file();
            file.sync_all()
                .map_err(|error| Error::io("syncing", &self.target, error))?;
        }
        self.give_name()
    }
}

fn directory_of(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// `.NAME.part-`, shortened where NAME leaves no room for the rest of a file name.
fn partial_prefix(target: &Path) -> OsString {
    /// NAME_MAX is 255; the dot, the word and six random characters come on top.
    const LONGEST: usize = 255 - ".".len() - ".part-".len() - 6;
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
                Err(Error::io("syncing", dir, error))
            }
            _ => Ok(()),
        },
        // A directory that may be written but not read cannot be synced by itself.
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: FileSinkOptions = FileSinkOptions {
        replace: false,
        allocate: false,
        sync: true,
    };

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_has_its_name_only_when_it_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("disk.raw");
        let sink = FileSink::create(&target, 10, PLAIN).unwrap();
        sink.write_at(b"abc", 4).unwrap();
        let partial = names(dir.path());
        assert!(
            partial.len() == 1 && partial[0].starts_with(".disk.raw.part-"),
            "{partial:?}"
        );

        Box::new(sink).finish().unwrap();

        assert_eq!(names(dir.path()), ["disk.raw"]);
        assert_eq!(std::fs::read(&target).unwrap(), b"\0\0\0\0abc\0\0\0");
    }

    #[test]
    fn a_sink_that_is_dropped_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        drop(FileSink::create(&dir.path().join("disk.raw"), 10, PLAIN).unwrap());
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn a_file_that_appears_meanwhile_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("disk.raw");
        let sink = FileSink::create(&target, 10, PLAIN).unwrap();
        std::fs::write(&target, "somebody else's").unwrap();

        let error = Box::new(sink).finish().unwrap_err();

        assert!(matches!(error, Error::TargetExists { .. }));
        assert_eq!(names(dir.path()), ["disk.raw"]);
        assert_eq!(std::fs::read(&target).unwrap(), b"somebody else's");
    }

    #[test]
    fn a_long_name_leaves_room_for_the_partial_one() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("n".repeat(255));
        let sink = FileSink::create(&target, 1, PLAIN).unwrap();
        Box::new(sink).finish().unwrap();
        assert_eq!(names(dir.path()), ["n".repeat(255)]);
    }
}

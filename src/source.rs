//! Where image bytes come from: a file opened for reading only, or a byte vector in tests.

mod cached;
mod error;
mod rescue;
mod resolved;
mod seeks;

use std::fmt::Debug;
use std::fs::{File, FileType};
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use nix::errno::Errno;
use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};
use nix::unistd::{Whence, lseek64};

use self::cached::Asked;
pub use self::error::SourceError;
pub use self::rescue::{is_bad_sector, rescue};
use crate::error::{Error, Result};
use crate::util::bytes::to_usize;

/// Bytes that can be read at any offset, by many threads.
pub trait Source: Debug + Send + Sync {
    /// The number of bytes there are to read.
    ///
    /// # Errors
    ///
    /// Whatever the operating system says when it is asked.
    fn size(&self) -> io::Result<u64>;

    /// Fills all of `buf` with the bytes from `offset`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] where the source ends before `buf` is full.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// As [`Source::read_exact_at`] for bytes of one sector of 512 bytes, past any cache whose
    /// pages are larger: its other sectors may be bad.
    ///
    /// # Errors
    ///
    /// As [`Source::read_exact_at`], and where the source cannot be read so.
    fn read_sector(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buf, offset)
    }

    /// The first run of bytes at or after `offset` that may hold anything but zeros; `None`
    /// where only zeros follow.
    ///
    /// What lies between `offset` and the start of the run reads as zeros. A source that cannot
    /// tell says that everything to its end is data.
    ///
    /// # Errors
    ///
    /// As [`Source::size`].
    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        let size = self.size()?;
        Ok((offset < size).then_some(offset..size))
    }
}

impl Source for Vec<u8> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        read_slice(self, buf, offset)
    }
}

impl Source for Arc<[u8]> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        read_slice(self, buf, offset)
    }
}

fn read_slice(bytes: &[u8], buf: &mut [u8], offset: u64) -> io::Result<()> {
    let bytes = bytes
        .get(to_usize(offset)..)
        .and_then(|bytes| bytes.get(..buf.len()))
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    buf.copy_from_slice(bytes);
    Ok(())
}

/// A file of an image, opened for reading and nothing else. A clone is the same open file.
#[derive(Debug, Clone)]
pub struct FileSource {
    file: Arc<File>,
    path: PathBuf,
    /// What the file was when it was opened; see [`FileSource::check_unchanged`].
    opened: FileState,
    /// How it is asked what of it is in the page cache, once that is known.
    asked: Arc<OnceLock<Asked>>,
}

/// What shows that a file was changed: identity, size and times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileState {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileState {
    fn of(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        if meta.file_type().is_block_device() {
            let size = lseek64(file, 0, Whence::SeekEnd)?;
            return Ok(Self {
                device: meta.dev(),
                inode: meta.ino(),
                size: u64::try_from(size).map_err(io::Error::other)?,
                // Those of the node in /dev, which say nothing about what is on the device.
                modified: (0, 0),
                changed: (0, 0),
            });
        }
        Ok(Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

/// What something is that can be opened, with its article.
fn name_of(kind: &FileType) -> &'static str {
    if kind.is_file() {
        "a file"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_block_device() {
        "a block device"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a character device"
    }
}

impl FileSource {
    /// Opens a regular file for reading. The file is never locked, and where the kernel allows it
    /// (the owner and root) not even its access time changes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where it cannot be opened, [`SourceError::NotAFile`]
    /// where it is a directory, a device, a pipe or a socket (none of which is waited for).
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_kind(path, FileType::is_file)
    }

    /// As [`FileSource::open`], for an absolute path without a symbolic link in it. Where one was
    /// put there since the path was resolved, it is not followed.
    ///
    /// # Errors
    ///
    /// As [`FileSource::open`], and [`ErrorKind::Io`](crate::ErrorKind::Io) where there is a link
    /// in the path.
    pub fn open_resolved(path: &Path) -> Result<Self> {
        Self::open_by(path, FileType::is_file, |flags| {
            resolved::open_resolved(path, flags)
        })
    }

    /// As [`FileSource::open`], and opens block devices too. A device does not show whether it
    /// was written to, so only its size is watched.
    ///
    /// # Errors
    ///
    /// As [`FileSource::open`], but for block devices.
    pub fn open_file_or_device(path: &Path) -> Result<Self> {
        Self::open_kind(path, |kind| kind.is_file() || kind.is_block_device())
    }

    fn open_kind(path: &Path, wanted: impl Fn(&FileType) -> bool) -> Result<Self> {
        Self::open_by(path, wanted, |flags| {
            File::options()
                .read(true)
                .custom_flags(flags.bits())
                .open(path)
        })
    }

    fn open_by(
        path: &Path,
        wanted: impl Fn(&FileType) -> bool,
        open: impl Fn(OFlag) -> io::Result<File>,
    ) -> Result<Self> {
        let failed = |source| Error::io("opening", path, source);
        let admit = |kind: FileType| -> Result<()> {
            if wanted(&kind) {
                return Ok(());
            }
            Err(SourceError::NotAFile {
                path: path.to_owned(),
                what: name_of(&kind),
            }
            .into())
        };
        // Opening alone can rewind a tape or start a watchdog.
        admit(std::fs::metadata(path).map_err(failed)?.file_type())?;
        // O_NONBLOCK: opening a pipe without a writer must not hang; regular files ignore it.
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = match open(flags | OFlag::O_NOATIME) {
            // Only the owner may ask for no access time.
            Err(error) if error.raw_os_error() == Some(Errno::EPERM as i32) => open(flags),
            other => other,
        }
        .map_err(failed)?;
        // Somebody may have put something else there meanwhile.
        admit(file.metadata().map_err(failed)?.file_type())?;
        let opened = FileState::of(&file).map_err(failed)?;
        Ok(Self {
            file: Arc::new(file),
            path: path.to_owned(),
            opened,
            asked: Arc::default(),
        })
    }

    /// The path that the file was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file, for system calls that take bytes from file to file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Device and inode number: two paths with the same pair are one file.
    #[must_use]
    pub fn identity(&self) -> (u64, u64) {
        (self.opened.device, self.opened.inode)
    }

    /// The length in bytes when the file was opened.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.opened.size
    }

    /// When the file was written to last before it was opened, in seconds and nanoseconds. Zeros
    /// for a device.
    #[must_use]
    pub fn modified(&self) -> (i64, i64) {
        self.opened.modified
    }

    /// Whether the file was empty when it was opened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The room that the file takes on its file system, in bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where the file system does not say.
    pub fn disk_usage(&self) -> Result<u64> {
        let meta = self.file.metadata();
        // st_blocks counts 512-byte units whatever the file system's block size (stat(2)).
        let blocks = meta
            .map_err(|source| Error::io("asking for the size of", &self.path, source))?
            .blocks();
        Ok(blocks.saturating_mul(512))
    }

    /// Lets what was written to the file reach the disk, and asks the kernel to forget what it
    /// holds in memory of it: what is read afterwards comes from the disk, as far as the file
    /// system has one. For targets; a run never waits for the files of an image.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where something did not reach the disk.
    pub fn forget_cached(&self) -> Result<()> {
        match self.file.sync_all() {
            // Where nothing can be written, nothing waits.
            Err(error)
                if ![Some(Errno::EINVAL as i32), Some(Errno::EROFS as i32)]
                    .contains(&error.raw_os_error()) =>
            {
                return Err(Error::io("syncing", &self.path, error));
            }
            _ => {}
        }
        // Advice: a kernel that does not take it reads from memory, and no byte is another.
        let _ = posix_fadvise(&self.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        Ok(())
    }

    /// Whether the kernel holds the ends of a range of bytes in memory; `true` where it does not
    /// say.
    #[must_use]
    pub fn is_cached(&self, range: &Range<u64>) -> bool {
        let asked = self.asked.get_or_init(|| Asked::of(&self.file));
        let last = range.end.saturating_sub(1).max(range.start);
        asked.is_cached(&self.file, range.start) && asked.is_cached(&self.file, last)
    }

    /// Whether reading here and there in the file moves the head of a disk, or may.
    #[must_use]
    pub fn may_seek(&self) -> bool {
        seeks::may_seek(&self.file)
    }

    /// Asks the kernel to read a range of bytes soon.
    pub fn will_need(&self, range: &Range<u64>) {
        self.advise(range, PosixFadviseAdvice::POSIX_FADV_WILLNEED);
    }

    /// Advises the kernel that this program needs a range of bytes in memory no longer.
    pub fn drop_cache(&self, range: &Range<u64>) {
        self.advise(range, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }

    /// Advice: a kernel that does not take it is slower, and no byte is another.
    fn advise(&self, range: &Range<u64>, advice: PosixFadviseAdvice) {
        let len = range.end.saturating_sub(range.start);
        if let (Ok(offset), Ok(len @ 1..)) = (i64::try_from(range.start), i64::try_from(len)) {
            let _ = posix_fadvise(&self.file, offset, len, advice);
        }
    }

    /// Makes sure that the file did not change since it was opened.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Changed`](crate::ErrorKind::Changed) where size or times differ.
    pub fn check_unchanged(&self) -> Result<()> {
        let now = FileState::of(&self.file)
            .map_err(|source| Error::io("asking for the state of", &self.path, source))?;
        if now == self.opened {
            Ok(())
        } else {
            Err(SourceError::Changed {
                path: self.path.clone(),
            }
            .into())
        }
    }
}

impl Source for FileSource {
    fn size(&self) -> io::Result<u64> {
        Ok(self.opened.size)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn read_sector(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        /// Enough for every device that has sectors of 512 bytes.
        const ALIGNMENT: usize = 4096;
        let start = offset / 512 * 512;
        // Another way to the same file: how a file was opened cannot be changed for this alone.
        let again = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let file = File::options()
            .read(true)
            .custom_flags((OFlag::O_DIRECT | OFlag::O_NONBLOCK).bits())
            .open(again)?;
        let mut room = vec![0; ALIGNMENT + 512];
        let aligned = room.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        let sector = room
            .get_mut(aligned..aligned + 512)
            .ok_or(io::ErrorKind::InvalidInput)?;
        let read = file.read_at(sector, start)?;
        let wanted = sector
            .get(..read)
            .and_then(|read| read.get(to_usize(offset - start)..)?.get(..buf.len()))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(wanted);
        Ok(())
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        let size = self.opened.size;
        if offset >= size {
            return Ok(None);
        }
        let everything = Ok(Some(offset..size));
        let Ok(from) = i64::try_from(offset) else {
            return everything;
        };
        let start = match lseek64(&self.file, from, Whence::SeekData) {
            Ok(start) => start.unsigned_abs(),    // offsets are not negative
            Err(Errno::ENXIO) => return Ok(None), // only a hole follows
            // A file system that does not know holes (EINVAL, ENOTSUP) has only data.
            Err(_) => return everything,
        };
        if start >= size {
            return Ok(None);
        }
        let end = i64::try_from(start)
            .ok()
            .and_then(|start| lseek64(&self.file, start, Whence::SeekHole).ok())
            .and_then(|end| u64::try_from(end).ok())
            .map_or(size, |end| end.min(size));
        Ok(Some(start..end.max(start.saturating_add(1))))
    }
}

/// Whether a path leads to a block device, as far as that is known.
pub(crate) fn is_block_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_block_device())
}

/// Whether something has this name, a link that leads nowhere too. A name that no file can have is
/// one that nothing has.
///
/// # Errors
///
/// Where that cannot be said: a folder on the way may not be entered, or the file system fails.
pub fn is_there(path: &Path) -> Result<bool> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if is_absence(&error) => Ok(false),
        Err(error) => Err(Error::io("looking for", path, error)),
    }
}

/// Whether an error means that there is no such file, and not that the search failed.
#[must_use]
pub fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    [NotFound, NotADirectory, InvalidFilename].contains(&error.kind())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_short_source_is_an_error_and_not_zeros() {
        let mut buf = [0; 4];
        let error = vec![1, 2, 3].read_exact_at(&mut buf, 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        vec![1, 2, 3, 4, 5].read_exact_at(&mut buf, 1).unwrap();
        assert_eq!(buf, [2, 3, 4, 5]);
    }

    #[test]
    fn holes_of_a_file_are_passed_over() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(8 << 20).unwrap();
        file.as_file().write_all_at(b"x", 4 << 20).unwrap();
        file.flush().unwrap();
        let source = FileSource::open(file.path()).unwrap();

        let data = source.next_data(0).unwrap().unwrap();
        assert!(
            data.contains(&(4 << 20)),
            "{data:?} holds the one byte written"
        );
        // A file system without holes may say that all is data; never that the byte is not.
        let after = source.next_data(data.end).unwrap();
        assert!(after.is_none_or(|range| range.start >= data.end));
    }

    #[test]
    fn a_file_that_grows_is_noticed() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let source = FileSource::open(file.path()).unwrap();
        source.check_unchanged().unwrap();

        file.write_all(b"more").unwrap();

        assert!(matches!(
            source.check_unchanged(),
            Err(error) if error.kind() == crate::ErrorKind::Changed
        ));
    }

    #[test]
    fn a_pipe_is_refused_without_waiting_for_a_writer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let error = FileSource::open(&path).unwrap_err();
        assert!(matches!(
            error.detail(),
            Some(SourceError::NotAFile { what: "a pipe", .. })
        ));
    }
}

//! An existing block device.

use std::fs::File;
use std::io::{ErrorKind, Seek, SeekFrom};
use std::os::linux::fs::MetadataExt;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate};
use nix::sys::stat::{major, minor};

use super::decisions::Durability;
use super::error::TargetError;
use super::full::refusal;
use super::head::{HEAD, Head};
use super::token::Token;
use super::writeback::Writeback;
use super::{ExistingSink, Sink};
use crate::error::{Error, Result};
use crate::util::bytes::{saturating_i64, to_usize, zero_pieces};

/// Zeros are given to the device in multiples of this, which suits every sector size there is.
const ALIGNMENT: u64 = 4096;

/// A block device, written in place. Its first MiB is written last: until it is finished, that is
/// zeros, or what it was before where the device is only updated.
#[derive(Debug)]
pub struct BlockSink {
    device: File,
    path: PathBuf,
    /// The first bytes of the disk, kept back until all others are safe.
    head: Head,
    /// What stands at the end of the head until that is written.
    token: Option<Token>,
    durability: Durability,
    writeback: Writeback,
    /// An index into [`WAYS`]: how this device makes zeros.
    way: AtomicU8,
    /// Whether the head is on the device.
    complete: AtomicBool,
    /// Whether it may stay there.
    finished: bool,
}

/// How a device is asked for zeros, the cheapest way first. Both are promises: what was there
/// before reads as zeros afterwards. A mere discard promises nothing, and is not used.
const WAYS: [FallocateFlags; 2] = [
    FallocateFlags::FALLOC_FL_PUNCH_HOLE.union(FallocateFlags::FALLOC_FL_KEEP_SIZE),
    FallocateFlags::FALLOC_FL_ZERO_RANGE.union(FallocateFlags::FALLOC_FL_KEEP_SIZE),
];

impl BlockSink {
    /// Opens a device that has no other user, for a disk of `size` bytes, and overwrites its first
    /// MiB with zeros.
    ///
    /// # Errors
    ///
    /// As [`BlockSink::admit`], and [`ErrorKind::Io`](crate::ErrorKind::Io) where the device cannot
    /// be written.
    pub fn open(path: &Path, size: u64, durability: Durability) -> Result<Self> {
        let device = Self::claim(path, size, true)?;
        let mut sink = Self::over(device, path, Head::zeros(size.min(HEAD)), durability);
        sink.invalidate()?;
        Ok(sink)
    }

    /// Opens a device that has no other user and that holds a disk of `size` bytes, or a smaller
    /// one, to change parts of it. Its first MiB stays what it is until the sink is finished.
    ///
    /// # Errors
    ///
    /// As [`BlockSink::open`], and [`ErrorKind::Io`](crate::ErrorKind::Io) where the device cannot
    /// be read.
    pub fn update(path: &Path, size: u64, durability: Durability) -> Result<Self> {
        let device = Self::claim(path, size, true)?;
        let mut head = vec![0; to_usize(size.min(HEAD))];
        let read = device.read_exact_at(&mut head, 0);
        read.map_err(|error| Error::io_at("reading", path, 0, error))?;
        Ok(Self::over(device, path, Head::new(head), durability))
    }

    /// Opens a device that has no other user, for a disk of `size` bytes of which only a part is
    /// written, and changes nothing yet.
    ///
    /// # Errors
    ///
    /// As [`BlockSink::admit`].
    pub fn open_as_it_is(path: &Path, size: u64, durability: Durability) -> Result<Self> {
        let device = Self::claim(path, size, true)?;
        let head = Head::zeros(size.min(HEAD));
        Ok(Self::over(device, path, head, durability))
    }

    /// Overwrites the first MiB with zeros and a token.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where the device cannot be written.
    pub fn begin(&mut self, token: &Token) -> Result<()> {
        self.token = Some(token.clone());
        self.invalidate()
    }

    fn over(device: File, path: &Path, head: Head, durability: Durability) -> Self {
        Self {
            device,
            path: path.to_owned(),
            head,
            token: None,
            durability,
            writeback: Writeback::new(durability),
            way: AtomicU8::new(0),
            complete: AtomicBool::new(false),
            finished: false,
        }
    }

    /// Says whether a device could take a disk of `size` bytes, and how many bytes it has.
    /// Writes nothing.
    ///
    /// # Errors
    ///
    /// [`TargetError::Kind`] where it is no block device, or is mounted, used as swap or part of
    /// another device; [`TargetError::NoRoom`] where it is too small;
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where it cannot be opened.
    pub fn admit(path: &Path, size: u64) -> Result<u64> {
        let mut device = Self::claim(path, size, false)?;
        device_size(&mut device, path)
    }

    fn claim(path: &Path, size: u64, write: bool) -> Result<File> {
        // Of a block device, O_EXCL asks for the claim that mounts, swap and device-mapper hold.
        let opened = File::options()
            .read(true)
            .write(write)
            .custom_flags(OFlag::O_EXCL.bits())
            .open(path);
        let mut device =
            opened.map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EBUSY) => TargetError::Kind {
                    path: path.to_owned(),
                    why: "it is in use: mounted, swap, or part of another device",
                }
                .into(),
                _ => Error::io("opening", path, error),
            })?;
        let meta = device.metadata();
        let meta = meta.map_err(|error| Error::io("looking at", path, error))?;
        if !meta.file_type().is_block_device() {
            return Err(TargetError::Kind {
                path: path.to_owned(),
                why: "it is not a block device",
            }
            .into());
        }
        let room = device_size(&mut device, path)?;
        if room < size {
            return Err(TargetError::NoRoom {
                path: path.to_owned(),
                free: room,
                needed: size,
            }
            .into());
        }
        Ok(device)
    }

    fn failed(&self, doing: &'static str, offset: u64, error: std::io::Error) -> Error {
        refusal(doing, &self.path, Some(offset), error)
    }

    fn put(&self, data: &[u8], offset: u64) -> Result<()> {
        self.device
            .write_all_at(data, offset)
            .map_err(|error| self.failed("writing", offset, error))?;
        self.writeback
            .wrote(&self.device, offset..offset + data.len() as u64);
        Ok(())
    }

    /// Makes zeros of the head on the device, and puts the token at its end if there is one.
    fn invalidate(&mut self) -> Result<()> {
        let len = self.head.len();
        Head::invalidate(
            len,
            self.token.as_ref(),
            |at, len| self.make_zeros(at, len),
            |data, offset| self.put(data, offset),
            || self.sync(),
        )
    }

    fn make_zeros(&self, offset: u64, len: u64) -> Result<()> {
        let end = offset + len;
        let first = offset.next_multiple_of(ALIGNMENT).min(end);
        let last = (end / ALIGNMENT * ALIGNMENT).max(first);
        self.write_zeros(offset, first - offset)?;
        if first < last && !self.ask_for_zeros(first, last - first)? {
            self.write_zeros(first, last - first)?;
        }
        self.write_zeros(last, end - last)
    }

    /// Lets the device make the zeros; false where it knows no way.
    fn ask_for_zeros(&self, offset: u64, len: u64) -> Result<bool> {
        loop {
            let way = self.way.load(Ordering::Relaxed);
            let Some(&flags) = WAYS.get(usize::from(way)) else {
                return Ok(false);
            };
            match fallocate(
                &self.device,
                flags,
                saturating_i64(offset),
                saturating_i64(len),
            ) {
                Ok(()) => {
                    self.writeback.skipped(&self.device, offset..offset + len);
                    return Ok(true);
                }
                Err(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENOSYS | Errno::ENODEV) => {
                    self.way.fetch_max(way + 1, Ordering::Relaxed);
                }
                Err(error) => return Err(self.failed("zeroing", offset, error.into())),
            }
        }
    }

    fn write_zeros(&self, offset: u64, len: u64) -> Result<()> {
        zero_pieces(len).try_fold(offset, |at, zeros| {
            let next = at + zeros.len() as u64;
            self.put(zeros, at).map(|()| next)
        })?;
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        if self.durability == Durability::Unsynced {
            return Ok(());
        }
        let synced = self.device.sync_all();
        synced.map_err(|error| refusal("syncing", &self.path, None, error))
    }
}

impl ExistingSink for BlockSink {}

impl Sink for BlockSink {
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()> {
        let (rest, offset) = self.head.keep_back(data, offset);
        self.put(rest, offset)
    }

    fn zero_at(&self, offset: u64, len: u64) -> Result<()> {
        let end = offset + len;
        let start = self.head.zero(offset, end);
        if start >= end {
            return Ok(());
        }
        self.make_zeros(start, end - start)
    }

    fn complete(&self) -> Result<()> {
        self.sync()?;
        self.complete.store(true, Ordering::Relaxed);
        self.head
            .write(|data, offset| self.put(data, offset), || self.sync())
    }

    fn readable_at(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        if !self.complete.load(Ordering::Relaxed) {
            self.complete()?;
        }
        self.finished = true;
        Ok(())
    }
}

impl Drop for BlockSink {
    /// A device whose contents proved to be wrong must not look as if they were right.
    fn drop(&mut self) {
        if self.complete.load(Ordering::Relaxed) && !self.finished {
            // There is no caller left to report to.
            let _ = self.invalidate();
        }
    }
}

fn device_size(device: &mut File, path: &Path) -> Result<u64> {
    // A block device has no length in its metadata; its end can be sought.
    let size = device.seek(SeekFrom::End(0));
    size.map_err(|error| Error::io("asking for the size of", path, error))
}

/// The file behind a loop device, so that no run writes over the file that it reads.
#[must_use]
pub fn backing_file(device: &Path) -> Option<PathBuf> {
    let rdev = std::fs::metadata(device).ok()?.st_rdev();
    let link = format!(
        "/sys/dev/block/{}:{}/loop/backing_file",
        major(rdev),
        minor(rdev)
    );
    match std::fs::read_to_string(link) {
        Ok(path) => Some(PathBuf::from(path.trim_end_matches('\n'))),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(_) => None,
    }
}

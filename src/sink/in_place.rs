//! A file that holds a disk and is brought up to date where it lies.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::decisions::Durability;
use super::existing::ExistingFile;
use super::head::{HEAD, Head};
use super::{ExistingSink, Sink};
use crate::error::Result;

/// A regular file that is changed where it lies. Its head is zeros from the start, and is written
/// last: a disk of which only a part was changed does not boot. It has to be given all of the head:
/// of a raw disk that is the first MiB.
#[derive(Debug)]
pub struct FileInPlace {
    file: ExistingFile,
    head: Head,
    /// Whether the head is in the file.
    complete: AtomicBool,
    /// Whether it may stay there.
    finished: bool,
}

impl FileInPlace {
    /// Opens a file for changing, makes it `size` bytes long, and overwrites its first MiB with
    /// zeros, which reach the disk before anything else is changed.
    ///
    /// # Errors
    ///
    /// As [`ExistingFile::open`].
    pub fn open(path: &Path, size: u64, durability: Durability) -> Result<Self> {
        let sink = Self::with_head(path, size.min(HEAD), durability)?;
        sink.file.set_size(size)?;
        Ok(sink)
    }

    /// As [`FileInPlace::open`], for a file that is valid by its first `head` bytes, and of which
    /// the first `kept` bytes are left: what makes it `size` bytes long reads as zeros.
    ///
    /// # Errors
    ///
    /// As [`ExistingFile::open`].
    pub fn open_kept(
        path: &Path,
        head: u64,
        kept: u64,
        size: u64,
        durability: Durability,
    ) -> Result<Self> {
        let sink = Self::with_head(path, head, durability)?;
        sink.file.set_size(kept)?;
        sink.file.set_size(size)?;
        Ok(sink)
    }

    /// Makes the head zeros before anything else: a file that only has another size or time could
    /// have been used by anybody.
    fn with_head(path: &Path, head: u64, durability: Durability) -> Result<Self> {
        let sink = Self {
            file: ExistingFile::open_as_it_is(path, durability)?,
            head: Head::zeros(head),
            complete: AtomicBool::new(false),
            finished: false,
        };
        sink.invalidate(head)?;
        Ok(sink)
    }

    fn invalidate(&self, len: u64) -> Result<()> {
        let file = &self.file;
        Head::invalidate(len, |at, len| file.zero_at(at, len), || file.sync())
    }
}

impl ExistingSink for FileInPlace {}

impl Sink for FileInPlace {
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()> {
        let (rest, offset) = self.head.keep_back(data, offset);
        self.file.write_at(rest, offset)
    }

    fn zero_at(&self, offset: u64, len: u64) -> Result<()> {
        let end = offset.saturating_add(len);
        let start = self.head.zero(offset, end);
        self.file.zero_at(start, end.saturating_sub(start))
    }

    fn complete(&self) -> Result<()> {
        // Not left to the caller: the head says that the rest is there.
        self.file.sync()?;
        self.complete.store(true, Ordering::Relaxed);
        let file = &self.file;
        self.head
            .write(|data, offset| file.write_at(data, offset), || file.sync())
    }

    fn readable_at(&self) -> Option<&Path> {
        self.file.readable_at()
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        if !self.complete.load(Ordering::Relaxed) {
            self.complete()?;
        }
        self.finished = true;
        Ok(())
    }
}

impl Drop for FileInPlace {
    /// A file whose contents proved to be wrong must not look as if they were right.
    fn drop(&mut self) {
        if self.complete.load(Ordering::Relaxed) && !self.finished {
            let len = self.head.len();
            // There is no caller left to report to.
            let _ = self.invalidate(len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_zeros_until_all_else_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.raw");
        std::fs::write(&path, vec![7; 3 << 20]).unwrap();
        let sink = FileInPlace::open(&path, 4 << 20, Durability::Synced).unwrap();
        sink.write_at(&vec![1; 2 << 20], 0).unwrap();
        let now = std::fs::read(&path).unwrap();
        assert!(now[..1 << 20].iter().all(|&byte| byte == 0));
        assert!(now[1 << 20..2 << 20].iter().all(|&byte| byte == 1));
        Box::new(sink).finish().unwrap();
        let now = std::fs::read(&path).unwrap();
        assert!(now[..2 << 20].iter().all(|&byte| byte == 1));
        assert!(now[2 << 20..3 << 20].iter().all(|&byte| byte == 7));
        assert!(now.len() == 4 << 20 && now[3 << 20..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn what_proved_to_be_wrong_has_no_head() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.raw");
        std::fs::write(&path, vec![7; 3 << 20]).unwrap();
        let sink = FileInPlace::open(&path, 3 << 20, Durability::Synced).unwrap();
        sink.write_at(&vec![1; 2 << 20], 0).unwrap();
        sink.complete().unwrap();
        drop(sink);
        let now = std::fs::read(&path).unwrap();
        assert!(now[..1 << 20].iter().all(|&byte| byte == 0));
    }
}

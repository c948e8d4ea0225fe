//! A file that holds a disk and is brought up to date where it lies.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::decisions::Durability;
use super::existing::ExistingFile;
use super::head::{HEAD, Head};
use super::token::Token;
use super::{ExistingSink, Sink};
use crate::error::Result;

/// A regular file that is changed where it lies. Its head is zeros from the start, and is written
/// last: a disk of which only a part was changed does not boot. It has to be given all of the head:
/// of a raw disk that is the first MiB.
#[derive(Debug)]
pub struct FileInPlace {
    file: ExistingFile,
    head: Head,
    /// What the head is until it is written, with zeros before it.
    token: Option<Token>,
    /// Whether the head is in the file.
    complete: AtomicBool,
    /// Whether it may stay there.
    finished: bool,
}

/// How a file is changed where it lies, in bytes.
#[derive(Debug)]
pub struct InPlace<'a> {
    /// By what it is valid: of a raw disk its first MiB.
    pub head: u64,
    /// How much of the file is left as it is; what makes it longer reads as zeros.
    pub kept: u64,
    /// How long it will be.
    pub size: u64,
    /// What tells that it is this change which is not complete.
    pub token: &'a Token,
}

impl<'a> InPlace<'a> {
    /// A raw disk of `size` bytes.
    #[must_use]
    pub fn raw(size: u64, token: &'a Token) -> Self {
        Self {
            head: size.min(HEAD),
            kept: size,
            size,
            token,
        }
    }
}

impl FileInPlace {
    /// Opens a file for changing, and changes nothing yet.
    ///
    /// # Errors
    ///
    /// As [`ExistingFile::open`].
    pub fn open(path: &Path, durability: Durability) -> Result<Self> {
        Ok(Self {
            file: ExistingFile::open_as_it_is(path, durability)?,
            head: Head::zeros(0),
            token: None,
            complete: AtomicBool::new(false),
            finished: false,
        })
    }

    /// Makes the head zeros, which reach the disk before anything else is changed: a file that only
    /// has another size or time could have been used by anybody. Then gives the file its size.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) and
    /// [`TargetError::Full`](crate::sink::TargetError::Full) where the file cannot be written.
    pub fn begin(&mut self, change: &InPlace<'_>) -> Result<()> {
        self.head = Head::zeros(change.head);
        self.token = Some(change.token.clone());
        self.invalidate()?;
        self.file.set_size(change.kept)?;
        self.file.set_size(change.size)
    }

    fn invalidate(&mut self) -> Result<()> {
        let (len, file) = (self.head.len(), &self.file);
        Head::invalidate(
            len,
            self.token.as_ref(),
            |at, len| file.zero_at(at, len),
            |data, offset| file.write_at(data, offset),
            || file.sync(),
        )
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
            // There is no caller left to report to.
            let _ = self.invalidate();
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
        let token = Token::random();
        let mut sink = FileInPlace::open(&path, Durability::Synced).unwrap();
        assert!(std::fs::read(&path).unwrap() == vec![7; 3 << 20]);
        sink.begin(&InPlace::raw(4 << 20, &token)).unwrap();
        sink.write_at(&vec![1; 2 << 20], 0).unwrap();
        let now = std::fs::read(&path).unwrap();
        assert!(token.is_alone_in(&now[..1 << 20]));
        assert!(!Token::random().is_alone_in(&now[..1 << 20]));
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
        let token = Token::random();
        let mut sink = FileInPlace::open(&path, Durability::Synced).unwrap();
        sink.begin(&InPlace::raw(3 << 20, &token)).unwrap();
        sink.write_at(&vec![1; 2 << 20], 0).unwrap();
        sink.complete().unwrap();
        drop(sink);
        let now = std::fs::read(&path).unwrap();
        assert!(token.is_alone_in(&now[..1 << 20]));
    }
}

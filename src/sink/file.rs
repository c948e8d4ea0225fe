//! A file that is complete or absent.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

use super::Sink;
use super::decisions::{Durability, IfExists};
use super::full::refusal;
use super::partial::PartialFile;
use super::partials::Partials;
use super::transfer::{Reflink, Transfer};
use super::writeback::Writeback;
use crate::error::Result;
use crate::util::bytes::{saturating_i64, zero_pieces};

/// How a file is to be made.
#[derive(Debug, Clone, Copy)]
pub struct FileSinkOptions {
    /// What becomes of an existing file.
    pub if_exists: IfExists,
    /// Give every byte room on the file system.
    pub allocate: bool,
    /// Whether the file has reached the disk before it gets its name.
    pub durability: Durability,
    /// Whether blocks are shared with the files that bytes come from.
    pub reflink: Reflink,
}

/// A regular file, written under a temporary name in the directory of the target and given its
/// name at the end.
#[derive(Debug)]
pub struct FileSink {
    partial: PartialFile,
    options: FileSinkOptions,
    /// Whether zeros have to be written, because room could not be given in another way.
    write_zeros: bool,
    transfer: Transfer,
    writeback: Writeback,
}

impl FileSink {
    /// Makes a partial file of `size` zero bytes beside `target`.
    ///
    /// # Errors
    ///
    /// As [`PartialFile::create`], and [`TargetError::Full`](crate::sink::TargetError::Full) or
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where the file system does not take the size.
    pub fn create(
        target: &Path,
        size: u64,
        options: FileSinkOptions,
        partials: &Arc<Partials>,
    ) -> Result<Self> {
        let partial = PartialFile::create(target, options.if_exists, partials)?;
        let mut sink = Self {
            partial,
            options,
            write_zeros: false,
            transfer: Transfer::new(options.reflink),
            writeback: Writeback::new(options.durability),
        };
        sink.set_size(size)?;
        Ok(sink)
    }

    fn set_size(&mut self, size: u64) -> Result<()> {
        let file = self.partial.file();
        let failed = |doing, error| refusal(doing, self.partial.target(), None, error);
        file.set_len(size)
            .map_err(|error| failed("setting the size of", error))?;
        if self.options.allocate && size > 0 {
            let len = saturating_i64(size);
            match fallocate(file, FallocateFlags::empty(), 0, len) {
                Ok(()) => {}
                Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => self.write_zeros = true,
                Err(error) => return Err(failed("allocating room for", error.into())),
            }
        }
        Ok(())
    }
}

impl Sink for FileSink {
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()> {
        let file = self.partial.file();
        file.write_all_at(data, offset)
            .map_err(|error| refusal("writing", self.partial.target(), Some(offset), error))?;
        self.writeback
            .wrote(file, offset..offset + data.len() as u64);
        Ok(())
    }

    fn zero_at(&self, offset: u64, len: u64) -> Result<()> {
        if !self.write_zeros {
            // A new file reads as zeros where nothing was written.
            let file = self.partial.file();
            self.writeback.skipped(file, offset..offset + len);
            return Ok(());
        }
        zero_pieces(len).try_fold(offset, |at, zeros| {
            let next = at + zeros.len() as u64;
            self.write_at(zeros, at).map(|()| next)
        })?;
        Ok(())
    }

    fn has_shared(&self) -> bool {
        self.transfer.has_shared()
    }

    fn shortest_transfer(&self) -> Option<u64> {
        self.transfer.shortest()
    }

    fn clone_range(&self, source: &File, host_range: Range<u64>, offset: u64) -> Result<u64> {
        let target = (self.partial.file(), self.partial.target());
        let shared = self.transfer.share(target, source, host_range, offset)?;
        self.writeback.skipped(target.0, offset..offset + shared);
        Ok(shared)
    }

    fn copy_range(&self, source: &File, host_range: Range<u64>, offset: u64) -> Result<u64> {
        let target = (self.partial.file(), self.partial.target());
        let copied = self.transfer.copy(target, source, host_range, offset)?;
        self.writeback.wrote(target.0, offset..offset + copied);
        Ok(copied)
    }

    fn complete(&self) -> Result<()> {
        if self.options.durability == Durability::Synced {
            self.partial.sync()?;
        }
        Ok(())
    }

    fn readable_at(&self) -> Option<&Path> {
        Some(self.partial.path())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.partial.finish(self.options.durability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::sink::TargetError;

    const PLAIN: FileSinkOptions = FileSinkOptions {
        if_exists: IfExists::Refuse,
        allocate: false,
        durability: Durability::Synced,
        reflink: Reflink::Auto,
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
        let sink = FileSink::create(&target, 10, PLAIN, &Arc::default()).unwrap();
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
    fn a_complete_file_can_be_read_before_it_has_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("disk.raw");
        let sink = FileSink::create(&target, 4, PLAIN, &Arc::default()).unwrap();
        sink.write_at(b"abc", 1).unwrap();
        sink.complete().unwrap();
        let partial = sink.readable_at().unwrap();
        assert_eq!(std::fs::read(partial).unwrap(), b"\0abc");
        assert!(!target.exists());
        Box::new(sink).finish().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"\0abc");
    }

    #[test]
    fn a_program_that_ends_on_the_spot_leaves_a_complete_file_or_none() {
        let dir = tempfile::tempdir().unwrap();
        let partials = Arc::default();
        let create = |name| FileSink::create(&dir.path().join(name), 10, PLAIN, &partials);
        let (first, second) = (create("first").unwrap(), create("second").unwrap());

        assert!(partials.abandon());

        assert!(names(dir.path()).is_empty());
        assert_eq!(
            Box::new(first).finish().unwrap_err().kind(),
            ErrorKind::Stopped
        );
        assert_eq!(create("third").unwrap_err().kind(), ErrorKind::Stopped);
        drop(second);
        assert!(names(dir.path()).is_empty());

        let partials = Arc::default();
        let create = |name| FileSink::create(&dir.path().join(name), 10, PLAIN, &partials);
        let (first, second) = (create("first").unwrap(), create("second").unwrap());
        Box::new(first).finish().unwrap();
        // What belongs to a target that has its name is finished too.
        assert!(!partials.abandon());
        Box::new(second).finish().unwrap();
        assert_eq!(names(dir.path()).len(), 2);
    }

    #[test]
    fn a_sink_that_is_dropped_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        drop(FileSink::create(&dir.path().join("disk.raw"), 10, PLAIN, &Arc::default()).unwrap());
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn a_file_that_appears_meanwhile_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("disk.raw");
        let sink = FileSink::create(&target, 10, PLAIN, &Arc::default()).unwrap();
        std::fs::write(&target, "somebody else's").unwrap();

        let error = Box::new(sink).finish().unwrap_err();

        assert!(matches!(error.detail(), Some(TargetError::Exists { .. })));
        assert_eq!(names(dir.path()), ["disk.raw"]);
        assert_eq!(std::fs::read(&target).unwrap(), b"somebody else's");
    }

    #[test]
    fn a_long_name_leaves_room_for_the_partial_one() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("n".repeat(255));
        let sink = FileSink::create(&target, 1, PLAIN, &Arc::default()).unwrap();
        Box::new(sink).finish().unwrap();
        assert_eq!(names(dir.path()), ["n".repeat(255)]);
    }
}

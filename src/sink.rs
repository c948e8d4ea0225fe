//! What a target owes to the copy that fills it.

mod block;
mod cloned;
mod decisions;
mod error;
mod existing;
mod file;
mod full;
mod head;
mod in_place;
mod leftovers;
mod limit;
mod partial;
mod partials;
mod path_lock;
mod stream;
mod token;
mod transfer;
mod writeback;

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use nix::sys::statfs::{BTRFS_SUPER_MAGIC, FsType, OCFS2_SUPER_MAGIC, XFS_SUPER_MAGIC, statfs};

pub use block::{BlockSink, backing_file};
pub use cloned::ClonedFile;
pub use decisions::{Durability, IfExists};
pub use error::TargetError;
pub use existing::ExistingFile;
pub use file::{FileSink, FileSinkOptions};
pub(crate) use full::refusal;
pub(crate) use head::{HEAD, MARK};
pub use in_place::{FileInPlace, InPlace};
pub use limit::Limit;
pub use partial::{PartialFile, create_directory};
pub use partials::Partials;
pub use path_lock::PathLock;
pub use stream::StreamSink;
pub use token::Token;
pub use transfer::{Reflink, Transfer};
pub(crate) use writeback::Writeback;

use crate::error::{Error, Result};
use crate::observe::Observer;

/// A target being written.
///
/// Every byte of a fresh target is given once, as data or as zeros; an [`ExistingSink`] is given
/// what changes. Nothing is valid until [`finish`](Sink::finish) has returned `Ok`. A file that is
/// new is removed where the sink is dropped earlier; a device is left without the start of the
/// disk.
pub trait Sink: Send + Sync {
    /// Writes `data` at `offset` bytes from the start of the target.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where the target does not take it.
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()>;

    /// Makes `len` bytes at `offset` read as zeros. The sink knows what that costs.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where the target does not take it.
    fn zero_at(&self, offset: u64, len: u64) -> Result<()>;

    /// Whether the target has to be given its bytes from start to end, by one thread at a time.
    fn needs_order(&self) -> bool {
        false
    }

    /// Writes what is still missing when all bytes were given, and lets it reach the disk: after
    /// that the target can be read back at [`readable_at`](Sink::readable_at).
    /// [`finish`](Sink::finish) does this too, where the caller did not ask for it before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where that fails.
    fn complete(&self) -> Result<()> {
        Ok(())
    }

    /// Where the target can be read back once it is complete and before it is finished; `None`
    /// where what was written is gone.
    fn readable_at(&self) -> Option<&Path> {
        None
    }

    /// The sink takes data in pieces that begin and end at multiples of this many bytes (a power
    /// of two), or end with the disk; what is a hole in between comes as zeros.
    fn alignment(&self) -> u64 {
        1
    }

    /// How many threads may write at the same time, at least one; fewer than there are where
    /// each one needs much memory.
    fn max_writers(&self) -> usize {
        usize::MAX
    }

    /// How many bytes a run needs for [`clone_range`](Sink::clone_range) and
    /// [`copy_range`](Sink::copy_range) to be worth their calls; `None` where the target does
    /// neither. It may change when the first ones have shown what the file system can do.
    fn shortest_transfer(&self) -> Option<u64> {
        None
    }

    /// Lets the target have the bytes of `host_range` of `source` at `offset` without a copy: the
    /// same blocks of the disk belong to both files from then on. Gives how many bytes from the
    /// start of the range are done that way; 0 where the file system cannot do it (here, or at
    /// all), and then nothing has happened.
    ///
    /// # Errors
    ///
    /// [`TargetError::CannotShare`] where sharing was asked for and is not possible,
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where there is no room.
    fn clone_range(&self, _source: &File, _host_range: Range<u64>, _offset: u64) -> Result<u64> {
        Ok(0)
    }

    /// Whether [`clone_range`](Sink::clone_range) has worked here: then it is likely to go on, and
    /// what is shared is not read.
    fn has_shared(&self) -> bool {
        false
    }

    /// As [`clone_range`](Sink::clone_range), but the kernel copies the bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where there is no room.
    fn copy_range(&self, _source: &File, _host_range: Range<u64>, _offset: u64) -> Result<u64> {
        Ok(0)
    }

    /// How the bytes of the target's file can be seen, in their order, while the disk is copied
    /// into it; `seen_by` gets those that are not the disk's.
    fn file_bytes<'a>(&'a self, seen_by: &'a mut (dyn FnMut(&[u8]) + Send)) -> FileBytes<'a> {
        let _ = seen_by;
        FileBytes::AreTheDisk
    }

    /// Makes the target complete and lasting.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where that fails; then there is no valid target.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// A target that holds something already: bytes that it is not given stay what they are, and zeros
/// are written like data. Any other sink is a fresh one, where bytes that are not written read as
/// zeros.
pub trait ExistingSink: Sink {}

/// How the bytes of a file can be seen before anything reads them back.
pub enum FileBytes<'a> {
    /// They are those of the disk, from the first to the last.
    AreTheDisk,
    /// The observer of the copy makes them of those of the disk.
    Seen(Box<dyn FileObserver + 'a>),
    /// They are known when the file is complete.
    WhenComplete,
}

/// Sees a disk being copied into a file, and knows the file's bytes.
pub trait FileObserver: Observer {
    /// Completes the file after the copy: what was not seen yet is. The sink is still to be
    /// finished.
    ///
    /// # Errors
    ///
    /// As [`Sink::complete`].
    fn complete(self: Box<Self>) -> Result<()>;
}

/// What a file system can still take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeRoom {
    /// The free bytes for this user, at best.
    pub bytes: u64,
    /// Those that are not kept back for root, or for the file system itself: ext4 has some that its
    /// count of free blocks does not tell apart, and that root does not get either.
    pub sure: u64,
    /// Whether every byte that is written as data needs a byte of them. Not so where the file
    /// system compresses what it is given, or stores equal blocks once.
    pub is_exact: bool,
    /// Whether files may share blocks there, so that what is shared needs nothing.
    pub can_share: bool,
}

/// The free room for this user where `dir` lies.
///
/// # Errors
///
/// [`ErrorKind::Io`](crate::ErrorKind::Io) where the file system does not answer.
pub fn free_room(dir: &Path) -> Result<FreeRoom> {
    /// As in statfs(2) and the OpenZFS sources; nix knows only those of the kernel's own headers.
    const ZFS: FsType = FsType(0x2fc1_2fc1);
    const BCACHEFS: FsType = FsType(0xca45_1a4e);
    let stat = statfs(dir).map_err(|e| Error::io("asking for the free room in", dir, e.into()))?;
    // Root may use what a file system keeps back for it.
    let blocks = if nix::unistd::geteuid().is_root() {
        stat.blocks_free()
    } else {
        stat.blocks_available()
    };
    let block_size = stat.block_size().max(0).unsigned_abs();
    let kind = stat.filesystem_type();
    let is_exact = ![BTRFS_SUPER_MAGIC, ZFS, BCACHEFS].contains(&kind);
    Ok(FreeRoom {
        bytes: blocks.saturating_mul(block_size),
        sure: stat.blocks_available().saturating_mul(block_size),
        is_exact,
        can_share: !is_exact || [XFS_SUPER_MAGIC, OCFS2_SUPER_MAGIC].contains(&kind),
    })
}

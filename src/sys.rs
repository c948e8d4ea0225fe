//! The system calls that neither std nor nix has, and what the processor has instructions of its
//! own for, each as a safe function: the only place with `unsafe`.

#![allow(unsafe_code)]

mod cache;
mod device;
mod sha;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;

pub(crate) use cache::{is_in_page_cache, is_read_at_once};
pub(crate) use device::{
    LoopFile, NbdIoctl, add_partition, attach_loop, become_io_flusher, delete_partition,
    detach_loop, free_loop, nbd_ioctl, reread_partitions,
};
pub(crate) use sha::sha256_of_four;

/// Lets `len` bytes of `target` at `target_offset` be those of `source` at `source_offset`, in the
/// same place of the disk (`FICLONERANGE`, ioctl_ficlonerange(2)). All three are in bytes; a `len`
/// of 0 would mean up to the end, and is refused.
///
/// # Errors
///
/// What the file system says: `EOPNOTSUPP` where it cannot share, `EXDEV` where the two files do
/// not lie on the same one, `EINVAL` where the range does not lie on whole blocks.
pub(crate) fn clone_range(
    source: &File,
    source_offset: u64,
    len: u64,
    target: &File,
    target_offset: u64,
) -> io::Result<()> {
    if len == 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let range = libc::file_clone_range {
        src_fd: i64::from(source.as_raw_fd()),
        src_offset: source_offset,
        src_length: len,
        dest_offset: target_offset,
    };
    // SAFETY: the kernel only reads the structure, which lives until the call returns, and both
    // descriptors are open while the files are borrowed.
    let result = unsafe {
        libc::ioctl(
            target.as_raw_fd(),
            libc::FICLONERANGE as _,
            &raw const range,
        )
    };
    Errno::result(result)?;
    Ok(())
}

/// Lets the kernel begin to write `len` bytes of a file from `offset` on to the disk, in bytes
/// (sync_file_range(2)); a `len` of 0 would mean up to the end. Says nothing: what goes wrong is
/// known to the next sync of the file, and where it cannot be done nothing is lost.
pub(crate) fn start_writeback(file: &File, offset: u64, len: u64) {
    let (Ok(offset), Ok(len)) = (i64::try_from(offset), i64::try_from(len)) else {
        return;
    };
    if len > 0 {
        // SAFETY: no memory is handed over, and the descriptor is open while `file` is borrowed.
        unsafe {
            libc::sync_file_range(file.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE);
        }
    }
}

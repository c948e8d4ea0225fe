//! What of a file is in the page cache.

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;

/// Whether the page of a file with the byte at `offset` is in the page cache (cachestat(2), since
/// Linux 6.5): nothing is read for it. `None` where the kernel does not say: an older one, one
/// that a container keeps from it, or for a user who neither owns the file nor may write to it.
///
/// overlayfs keeps the pages in another file: there the kernel says that none is cached.
pub(crate) fn is_in_page_cache(file: &File, offset: u64) -> Option<bool> {
    /// The number is the same on all architectures but MIPS, which gives calls other numbers, and
    /// Alpha, which Rust does not have.
    const CACHESTAT: libc::c_long = 451;
    if cfg!(any(
        target_arch = "mips",
        target_arch = "mips32r6",
        target_arch = "mips64",
        target_arch = "mips64r6"
    )) {
        return None;
    }
    // As in linux/mman.h: an offset and a length, and numbers of pages, the first of which are
    // those in the cache.
    let range = [offset, 1u64];
    let mut pages = [0u64; 5];
    // SAFETY: the kernel reads two numbers of 64 bits and writes five, all of which live until the
    // call returns; the descriptor is open while `file` is borrowed.
    let said = unsafe {
        libc::syscall(
            CACHESTAT,
            libc::c_long::from(file.as_raw_fd()),
            range.as_ptr(),
            pages.as_mut_ptr(),
            0 as libc::c_long,
        )
    };
    Errno::result(said).is_ok().then_some(pages[0] > 0)
}

/// Whether reading the byte at `offset` of a file would wait for nothing (`RWF_NOWAIT`,
/// preadv2(2)). Also `true` where the file system does not say. Where it is `false`, the kernel
/// (since 5.9) may begin to read what lies there.
pub(crate) fn is_read_at_once(file: &File, offset: u64) -> bool {
    let Ok(offset) = i64::try_from(offset) else {
        return true;
    };
    let mut byte = 0u8;
    let room = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    // SAFETY: the kernel writes at most one byte, into `byte`, which lives until the call returns;
    // the descriptor is open while `file` is borrowed.
    let read = unsafe {
        libc::preadv2(
            file.as_raw_fd(),
            &raw const room,
            1,
            offset,
            libc::RWF_NOWAIT,
        )
    };
    !matches!(Errno::result(read), Err(Errno::EAGAIN))
}

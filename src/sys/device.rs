//! Block devices and their drivers.

use std::ffi::{c_int, c_ulong, c_void};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc;

/// Numbers of ioctls, from `linux/nbd.h`, `linux/fs.h` and `linux/loop.h`.
mod number {
    use nix::libc::Ioctl;

    pub(super) const NBD_SET_SOCK: Ioctl = 0xab00;
    pub(super) const NBD_SET_BLKSIZE: Ioctl = 0xab01;
    pub(super) const NBD_DO_IT: Ioctl = 0xab03;
    pub(super) const NBD_CLEAR_SOCK: Ioctl = 0xab04;
    pub(super) const NBD_SET_SIZE_BLOCKS: Ioctl = 0xab07;
    pub(super) const NBD_DISCONNECT: Ioctl = 0xab08;
    pub(super) const NBD_SET_TIMEOUT: Ioctl = 0xab09;
    pub(super) const NBD_SET_FLAGS: Ioctl = 0xab0a;
    pub(super) const BLKRRPART: Ioctl = 0x125f;
    pub(super) const BLKPG: Ioctl = 0x1269;
    pub(super) const LOOP_CLR_FD: Ioctl = 0x4c01;
    pub(super) const LOOP_CONFIGURE: Ioctl = 0x4c0a;
    pub(super) const LOOP_CTL_GET_FREE: Ioctl = 0x4c82;
}

/// What an NBD device is told through its node, in the order of `linux/nbd.h`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NbdIoctl<'fd> {
    /// Use this stream socket.
    SetSocket(BorrowedFd<'fd>),
    /// The size of a block in bytes.
    SetBlockSize(u32),
    /// The number of blocks.
    SetBlocks(u64),
    /// Seconds; 0 for ever.
    SetTimeout(u32),
    /// Transmission flags of the protocol.
    SetFlags(u16),
    /// Serve the device until it is disconnected; the calling thread waits that long.
    DoIt,
    /// End the connection.
    Disconnect,
    /// Forget the sockets.
    ClearSockets,
}

/// Tells an NBD device something through its node.
pub(crate) fn nbd_ioctl(device: &File, what: NbdIoctl<'_>) -> io::Result<()> {
    let wide = |value: u64| c_ulong::try_from(value).map_err(io::Error::other);
    let (request, argument) = match what {
        NbdIoctl::SetSocket(fd) => {
            let fd = u64::try_from(fd.as_raw_fd()).map_err(io::Error::other)?;
            (number::NBD_SET_SOCK, fd)
        }
        NbdIoctl::SetBlockSize(bytes) => (number::NBD_SET_BLKSIZE, bytes.into()),
        NbdIoctl::SetBlocks(count) => (number::NBD_SET_SIZE_BLOCKS, count),
        NbdIoctl::SetTimeout(seconds) => (number::NBD_SET_TIMEOUT, seconds.into()),
        NbdIoctl::SetFlags(flags) => (number::NBD_SET_FLAGS, flags.into()),
        NbdIoctl::DoIt => (number::NBD_DO_IT, 0),
        NbdIoctl::Disconnect => (number::NBD_DISCONNECT, 0),
        NbdIoctl::ClearSockets => (number::NBD_CLEAR_SOCK, 0),
    };
    let argument = wide(argument)?;
    // SAFETY: these requests take a number and no pointer; the descriptor is open while `device`
    // is borrowed. A node that is no NBD device answers with an error.
    Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), request, argument) })?;
    Ok(())
}

/// Asks the kernel to read the partition table of a block device again.
pub(crate) fn reread_partitions(device: &File) -> io::Result<()> {
    // SAFETY: the request takes no argument; the descriptor is open while `device` is borrowed.
    Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), number::BLKRRPART) })?;
    Ok(())
}

/// A partition as `BLKPG` takes it: `struct blkpg_partition` of `linux/blkpg.h`.
#[repr(C)]
struct BlkpgPartition {
    start: i64,
    length: i64,
    pno: c_int,
    devname: [u8; 64],
    volname: [u8; 64],
}

/// `struct blkpg_ioctl_arg` of `linux/blkpg.h`.
#[repr(C)]
struct BlkpgArgument {
    op: c_int,
    flags: c_int,
    datalen: c_int,
    data: *mut c_void,
}

/// Tells the kernel of a partition of a block device: `start` and `len` in bytes.
pub(crate) fn add_partition(device: &File, number: u32, start: u64, len: u64) -> io::Result<()> {
    blkpg(device, 1, number, start, len)
}

/// Lets the kernel forget a partition of a block device.
pub(crate) fn delete_partition(device: &File, number: u32) -> io::Result<()> {
    blkpg(device, 2, number, 0, 0)
}

fn blkpg(device: &File, op: c_int, number: u32, start: u64, len: u64) -> io::Result<()> {
    let mut partition = BlkpgPartition {
        start: i64::try_from(start).map_err(io::Error::other)?,
        length: i64::try_from(len).map_err(io::Error::other)?,
        pno: c_int::try_from(number).map_err(io::Error::other)?,
        devname: [0; 64],
        volname: [0; 64],
    };
    let mut argument = BlkpgArgument {
        op,
        flags: 0,
        datalen: c_int::try_from(size_of::<BlkpgPartition>()).map_err(io::Error::other)?,
        data: (&raw mut partition).cast(),
    };
    // SAFETY: the request takes a `blkpg_ioctl_arg` whose `data` points to a `blkpg_partition`;
    // both live until the call returns, and the kernel only reads them.
    Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), number::BLKPG, &raw mut argument) })?;
    Ok(())
}

/// `struct loop_info64` of `linux/loop.h`.
#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` of `linux/loop.h`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// What a loop device is to read, and how.
#[derive(Debug)]
pub(crate) struct LoopFile<'file> {
    pub(crate) file: &'file File,
    /// The size of a sector in bytes.
    pub(crate) block_size: u32,
    /// What `losetup` shows where it cannot see the name of the file: up to 63 bytes of it.
    pub(crate) name: &'file str,
}

/// The number of a loop device that is free: the kernel makes one where none is. `control` is
/// `/dev/loop-control`.
pub(crate) fn free_loop(control: &File) -> io::Result<u32> {
    // SAFETY: the request takes no argument; the descriptor is open while `control` is borrowed.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), number::LOOP_CTL_GET_FREE) };
    u32::try_from(Errno::result(number)?).map_err(io::Error::other)
}

/// Lets a loop device read a file, with partitions, never write it, and read it directly:
/// not through the page cache (Linux 5.8 and later).
pub(crate) fn attach_loop(device: &File, what: &LoopFile<'_>) -> io::Result<()> {
    const READ_ONLY: u32 = 1;
    const PARTITIONS: u32 = 8;
    const DIRECTLY: u32 = 16;
    let mut file_name = [0; 64];
    let last = file_name.len() - 1;
    for (to, from) in file_name[..last].iter_mut().zip(what.name.bytes()) {
        *to = from;
    }
    let config = LoopConfig {
        fd: u32::try_from(what.file.as_raw_fd()).map_err(io::Error::other)?,
        block_size: what.block_size,
        info: LoopInfo {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: 0,
            size_limit: 0,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags: READ_ONLY | PARTITIONS | DIRECTLY,
            file_name,
            crypt_name: [0; 64],
            encrypt_key: [0; 32],
            init: [0; 2],
        },
        reserved: [0; 8],
    };
    // SAFETY: the request takes a `loop_config`, which lives until the call returns and which the
    // kernel only reads; both descriptors are open while the files are borrowed.
    let result = unsafe {
        libc::ioctl(
            device.as_raw_fd(),
            number::LOOP_CONFIGURE,
            &raw const config,
        )
    };
    Errno::result(result)?;
    Ok(())
}

/// Lets a loop device forget its file, as soon as the device is open no more.
pub(crate) fn detach_loop(device: &File) -> io::Result<()> {
    // SAFETY: the request takes no argument; the descriptor is open while `device` is borrowed.
    Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), number::LOOP_CLR_FD) })?;
    Ok(())
}

/// Lets the calling thread, and those that it starts, take memory without waiting for data to be
/// written: a server of a disk must not wait for that disk (prctl(2), `PR_SET_IO_FLUSHER`).
pub(crate) fn become_io_flusher() -> io::Result<()> {
    const PR_SET_IO_FLUSHER: c_int = 57; // linux/prctl.h, since Linux 5.6
    let none: c_ulong = 0;
    let yes: c_ulong = 1;
    // SAFETY: takes numbers only, and changes nothing but how the kernel finds memory for us.
    Errno::result(unsafe { libc::prctl(PR_SET_IO_FLUSHER, yes, none, none, none) })?;
    Ok(())
}

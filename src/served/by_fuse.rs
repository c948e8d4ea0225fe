//! A loop device that reads a file of FUSE: where the kernel has no NBD driver.

use std::path::Path;
use std::sync::Arc;

use super::{DeviceRequest, ServedDevice, WORKERS};
use crate::attach::{LoopDevices, LoopRequest, STATE_DIR};
use crate::error::{Error, Result};
use crate::fuse::{Audience, DiskFiles, FuseEvent, FuseRequest, MountLabel, UnseenFile};
use crate::util::bytes::to_usize;

/// Lets a loop device read the disk. When the device forgets its file, the file is closed, its
/// mount is gone, and the thread that serves it ends: it calls `ended`, with the reason where there
/// is one.
///
/// # Errors
///
/// As [`UnseenFile::mount`] and [`LoopDevices::connect`], and what the disk says of what it stores.
pub fn by_fuse(
    loops: &LoopDevices,
    what: &DeviceRequest<'_>,
    label: MountLabel,
    listener: impl Fn(&FuseEvent<'_>) + Send + Sync + 'static,
    ended: impl Fn(Option<Error>) + Send + 'static,
) -> Result<ServedDevice> {
    let tree = DiskFiles::alone(what.view, what.name, what.workers)?;
    let request = FuseRequest {
        tree: Arc::new(tree),
        disk: what.view.stored(),
        dir: STATE_DIR.into(),
        audience: Audience::of_this_process(),
        threads: WORKERS.saturating_mul(to_usize(u64::from(what.connections))),
        label,
        listener: Box::new(listener),
    };
    let (mount, opening) = UnseenFile::mount(request, what.name)?;
    let serve = move || ended(mount.serve(Path::new(STATE_DIR)).err());
    let thread = std::thread::Builder::new().name("files".to_owned());
    let thread = thread
        .spawn(serve)
        .map_err(|source| Error::io("starting a thread for", Path::new("the files"), source))?;
    let file = opening.open()?;
    let request = LoopRequest {
        device: what.device,
        block_size: what.block_size,
        file: &file,
        name: what.name,
    };
    // Where the kernel refuses, the file is closed, and the thread ends.
    let connection = loops.connect(&request)?;
    Ok(ServedDevice {
        connection,
        threads: vec![thread],
    })
}

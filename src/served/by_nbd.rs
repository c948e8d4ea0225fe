//! A device through the kernel's NBD driver.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

use super::{DeviceRequest, ServedDevice, WORKERS};
use crate::attach::{AttachRequest, Kernel};
use crate::disk::VirtualDisk;
use crate::error::{Error, Result};
use crate::nbd::{Ended, Export, Log, Service, Stream, serve_kernel};
use crate::overlay::Overlay;

/// Connects a device, which takes writes where there is a layer for them. Each thread calls `ended`
/// when its connection has ended, with the reason where that is no usual one.
///
/// # Errors
///
/// As [`Kernel::connect`], and where there are no threads or sockets to be had.
pub fn by_nbd<L: Log + Send + Sync + 'static>(
    kernel: &Kernel,
    what: &DeviceRequest<'_>,
    layer: Option<Arc<Overlay<Arc<dyn VirtualDisk>>>>,
    log: &Arc<L>,
    ended: impl Fn(Option<String>) + Clone + Send + 'static,
) -> Result<ServedDevice> {
    let export = match layer {
        None => Export::new(what.view.trusted()),
        Some(layer) => {
            let disk: Arc<dyn VirtualDisk> = layer.clone();
            Export::new(disk).writable(layer)
        }
    };
    let export = Arc::new(export.block_sizes(512, 4096));
    let request = AttachRequest {
        device: what.device,
        size: export.disk().size(),
        block_size: what.block_size,
        flags: export.flags(),
        backend: what.name.to_owned(),
    };
    let mut ends = Vec::new();
    let mut threads = Vec::new();
    for number in 1..=u64::from(what.connections) {
        let pair = UnixStream::pair();
        let (near, far) =
            pair.map_err(|source| Error::io("making", Path::new("a socket pair"), source))?;
        ends.push(far);
        threads.push(start(number, near, &export, log, ended.clone())?);
    }
    // Where the kernel refuses, the far ends are closed, and the threads end.
    let connection = kernel.connect(&request, ends)?;
    Ok(ServedDevice {
        connection,
        threads,
    })
}

/// Answers one connection of the kernel on a thread of its own.
fn start<L: Log + Send + Sync + 'static>(
    number: u64,
    near: UnixStream,
    export: &Arc<Export>,
    log: &Arc<L>,
    tell: impl Fn(Option<String>) + Send + 'static,
) -> Result<JoinHandle<()>> {
    let (export, log) = (Arc::clone(export), Arc::clone(log));
    let serve = move || {
        let stop = AtomicBool::new(false);
        let service = Service {
            workers: WORKERS,
            connection: number,
            ..Service::new(&export, &stop, log.as_ref())
        };
        let stream: &dyn Stream = &near;
        let ended = serve_kernel(stream, &service);
        // Whatever is left of the connection: readers must not wait for it.
        stream.hang_up();
        let is_usual = matches!(ended, Ended::Disconnected | Ended::Closed);
        tell((!is_usual).then(|| format!("connection {number} to the kernel: {ended}")));
    };
    let name = format!("connection {number}");
    let thread = std::thread::Builder::new().name(name.clone()).spawn(serve);
    thread.map_err(|source| Error::io("starting a thread for", Path::new(&name), source))
}

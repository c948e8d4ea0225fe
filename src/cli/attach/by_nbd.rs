//! A device through the kernel's NBD driver.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use anyhow::Context;
use ploopconv::Error;
use ploopconv::attach::{AttachRequest, Kernel};
use ploopconv::disk::VirtualDisk;
use ploopconv::nbd::{Ended, Export, Service, Stream, serve_kernel};
use ploopconv::overlay::Overlay;

use super::super::server::{Event, ServerLog};
use super::overlay::OverlayPlace;
use super::way::{Served, ToServe, WORKERS};

/// Connects a device, which takes writes where there is a layer for them.
pub(super) fn connect(
    kernel: &Kernel,
    what: &ToServe<'_>,
    overlay: Option<OverlayPlace>,
) -> anyhow::Result<Served> {
    let disk = what.input.view().trusted();
    let mut export = match overlay {
        None => Export::new(disk),
        Some(place) => {
            let layer = Overlay::new(disk, place.file, &place.path)?;
            let layer = Arc::new(layer);
            let disk: Arc<dyn VirtualDisk> = layer.clone();
            Export::new(disk).writable(layer)
        }
    };
    export = export.block_sizes(512, 4096);
    let request = AttachRequest {
        device: what.device,
        size: export.disk().size(),
        block_size: what.block_size,
        flags: export.flags(),
        backend: what.record.backend.clone(),
    };
    let export = Arc::new(export);
    let mut ends = Vec::new();
    let mut threads = Vec::new();
    for number in 1..=u64::from(what.args.connections) {
        let (near, far) = UnixStream::pair().context("making a socket pair")?;
        ends.push(far);
        let say = what.events.sender();
        threads.push(start_connection(number, near, &export, what.log, say)?);
    }
    // Where the kernel refuses, the far ends are closed, and the threads end.
    let connection = kernel.connect(&request, ends).map_err(Error::from)?;
    Ok(Served {
        connection,
        threads,
    })
}

/// Answers one connection of the kernel on a thread of its own.
fn start_connection(
    number: u64,
    near: UnixStream,
    export: &Arc<Export>,
    log: &Arc<ServerLog>,
    say: Sender<Event>,
) -> anyhow::Result<JoinHandle<()>> {
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
        if !matches!(ended, Ended::Disconnected | Ended::Closed) {
            log.say(&format!("connection {number} to the kernel: {ended}"));
        }
        let _ = say.send(Event::Ended);
    };
    std::thread::Builder::new()
        .name(format!("connection {number}"))
        .spawn(serve)
        .context("starting a thread")
}

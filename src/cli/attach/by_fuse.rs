//! A loop device that reads a file of FUSE: where the kernel has no NBD driver.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use ploopconv::Error;
use ploopconv::attach::{LoopDevices, LoopRequest, STATE_DIR};
use ploopconv::fuse::{Audience, DiskFiles, FuseEvent, FuseRequest, MountLabel, Shown, UnseenFile};
use ploopconv::util::bytes::to_usize;

use super::super::output::story;
use super::super::server::Event;
use super::way::{Served, ToServe, WORKERS};

/// Lets a loop device read the disk. When the device forgets its file, the file is closed, its
/// mount is gone, and the thread that serves it ends.
pub(super) fn connect(loops: &LoopDevices, what: &ToServe<'_>) -> anyhow::Result<Served> {
    let record = what.record;
    let view = what.input.view();
    let tree = DiskFiles::alone(view, &record.backend, &what.args.open.workers()?)?;
    let listener = Arc::clone(what.log);
    let request = FuseRequest {
        tree: Arc::new(tree),
        disk: view.stored(),
        dir: STATE_DIR.into(),
        audience: Audience::of_this_process(),
        threads: WORKERS * to_usize(u64::from(what.args.connections)),
        label: MountLabel {
            pid: record.pid,
            started: record.started,
            shown: Shown::Disk,
            image: record.image.clone().unwrap_or_else(|| record.given.clone()),
            snapshot: record.snapshot.clone(),
            partition: record.partition,
        },
        listener: Box::new(move |event: &FuseEvent<'_>| listener.files(event)),
    };
    let (mount, opening) = UnseenFile::mount(request, &record.backend)?;
    let (say, log) = (what.events.sender(), Arc::clone(what.log));
    let serve = move || {
        if let Err(error) = mount.serve(Path::new(STATE_DIR)) {
            log.say(&story(&error.into()));
        }
        let _ = say.send(Event::Ended);
    };
    let thread = std::thread::Builder::new().name("files".to_owned());
    let thread = thread.spawn(serve).context("starting a thread")?;
    let file = opening.open()?;
    let request = LoopRequest {
        device: what.device,
        block_size: what.block_size,
        file: &file,
        name: &record.backend,
    };
    // Where the kernel refuses, the file is closed, and the thread ends.
    let connection = loops.connect(&request).map_err(Error::from)?;
    Ok(Served {
        connection,
        threads: vec![thread],
    })
}

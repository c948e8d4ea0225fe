//! The server of a device: from the connection to the kernel to the end.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use anyhow::Context;
use ploopconv::Error;
use ploopconv::attach::{
    AttachError, AttachRequest, Attached, Connection, Device, Force, Kernel, MountMode, Record,
    log_file, mount_on,
};
use ploopconv::convert::Input;
use ploopconv::disk::VirtualDisk;
use ploopconv::nbd::{Ended, Export, Service, Stream, serve_kernel};
use ploopconv::overlay::Overlay;

use super::super::output::{finish, line, results, story, write_message};
use super::super::report::warn;
use super::super::server::{Event, Events, ServerLog, report};
use super::args::AttachArgs;
use super::overlay::OverlayPlace;
use super::plan::Plan;
use crate::cli::outcome::Verdict;

/// How many requests of a connection are answered at the same time.
const WORKERS: usize = 4;
/// How far the kernel reads ahead, in KiB: what one reader asks for is then enough for all
/// workers.
const READ_AHEAD: u32 = 4096;

/// A disk that is attached, served by this process.
#[derive(Debug)]
pub(super) struct Server {
    attached: Attached,
    connection: Connection,
    threads: Vec<JoinHandle<()>>,
    log: Arc<ServerLog>,
}

impl Server {
    /// Opens the image, connects a device and does with it what was asked for. When anything of
    /// that fails, nothing is left.
    pub(super) fn start(
        args: &AttachArgs,
        wanted: Option<Device>,
        events: &Events,
    ) -> anyhow::Result<Self> {
        let opened = open(args)?;
        let plan = Plan::of(args, opened.disk())?;
        events.check()?;
        let kernel = Kernel::open().map_err(Error::from)?;
        let mut record = remember(args, &opened);
        let overlay = args
            .overlay
            .as_ref()
            .map(|file| OverlayPlace::create(file.as_deref()))
            .transpose()?;
        record.overlay = overlay.as_ref().and_then(|overlay| overlay.named.clone());
        let result = Self::connect(
            args,
            wanted,
            &kernel,
            (opened, overlay),
            &plan,
            record.clone(),
            events,
        )
        .and_then(|mut server| match server.prepare(&plan, events) {
            Ok(()) => Ok(server),
            Err(error) => {
                server.give_up();
                Err(error)
            }
        });
        if let (Err(_), Some(overlay)) = (&result, &record.overlay) {
            let _ = overlay.remove();
        }
        result
    }

    fn connect(
        args: &AttachArgs,
        wanted: Option<Device>,
        kernel: &Kernel,
        (opened, overlay): (Input, Option<OverlayPlace>),
        plan: &Plan,
        mut record: Record,
        events: &Events,
    ) -> anyhow::Result<Self> {
        let disk = opened.view().trusted();
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
            device: wanted,
            size: export.disk().size(),
            block_size: plan.block_size,
            flags: export.flags(),
            backend: record.backend.clone(),
        };
        let log = Arc::new(ServerLog::new(args.trace));
        let export = Arc::new(export);
        let mut ends = Vec::new();
        let mut threads = Vec::new();
        for number in 1..=u64::from(args.connections) {
            let (near, far) = UnixStream::pair().context("making a socket pair")?;
            ends.push(far);
            threads.push(start_connection(
                number,
                near,
                &export,
                &log,
                events.sender(),
            )?);
        }
        // Where the kernel refuses, the far ends are closed, and the threads end.
        let connection = kernel.connect(&request, ends).map_err(Error::from)?;
        record.ioctl = connection.thread();
        let attached = Attached {
            device: connection.device(),
            record,
            mounts: Vec::new(),
            connected: true,
        };
        Ok(Self {
            attached,
            connection,
            threads,
            log,
        })
    }

    /// Makes the device fit for use: partitions, read-ahead, the mount.
    fn prepare(&mut self, plan: &Plan, events: &Events) -> anyhow::Result<()> {
        let device = self.attached.device;
        self.attached.record.read_ahead = device.read_ahead();
        // From here on anybody can find out what this is, and take it away.
        self.save()?;
        device.set_read_ahead(READ_AHEAD);
        device
            .find_partitions(plan.layout.as_ref())
            .map_err(Error::from)?;
        events.check()?;
        if let Some(mount) = &plan.mount {
            let node = mount.node(device)?;
            let writable = self.attached.record.writable;
            let mode = if writable {
                MountMode::Writable
            } else {
                MountMode::ReadOnly
            };
            mount_on(&node, mount.kind(), mode, &mount.dir).map_err(Error::from)?;
            self.attached.record.mounts.push(mount.dir.clone());
            self.save()?;
            if let Some(warning) = mount.warning().filter(|_| !writable) {
                write_message(&warning);
            }
        }
        events.check()?;
        Ok(())
    }

    fn save(&self) -> anyhow::Result<()> {
        let record = &self.attached.record;
        record
            .save(self.attached.device)
            .map_err(|error| Error::from(error).into())
    }

    /// Takes back what was done so far.
    fn give_up(self) {
        match self.attached.detach(Force::Yes) {
            Ok(()) => self.wait(),
            // The end of this process is the end of the connections.
            Err(error) => write_message(&story(&error.into())),
        }
    }

    fn wait(self) {
        for thread in self.threads {
            let _ = thread.join();
        }
        self.connection.wait();
    }

    /// Says that the device is there and serves it until it is disconnected, or a signal comes
    /// and it is not in use.
    pub(super) fn serve(mut self, args: &AttachArgs, events: &Events) -> anyhow::Result<Verdict> {
        if let Err(error) = self.announce(args) {
            self.give_up();
            return Err(error);
        }
        let mut open = self.threads.len();
        let mut asked = false;
        let mut taken_away = false;
        while open > 0 && !taken_away {
            match events.next() {
                Some(Event::Ended) => open -= 1,
                Some(Event::Signal(_)) => {
                    let force = if asked { Force::Yes } else { Force::No };
                    asked = true;
                    taken_away = self.take_away(force);
                }
                None => break,
            }
        }
        if !taken_away && let Err(error) = self.attached.tidy_up() {
            self.log.say(&story(&error.into()));
        }
        self.wait();
        Ok(Verdict::Done)
    }

    /// Detaches the device; says why, where it is not done.
    fn take_away(&self, force: Force) -> bool {
        let error = match self.attached.detach(force) {
            Ok(()) => return true,
            // Those who still use it get errors, and the device is free when they have gone.
            Err(error @ AttachError::Lingering { .. }) => {
                self.log.say(&story(&error.into()));
                let _ = self.attached.record.clean_up(self.attached.device);
                return true;
            }
            Err(error) => error,
        };
        let text = story(&error.into());
        self.log.say(&format!(
            "told to end, but {text}; still serving; another signal ends it all the same"
        ));
        false
    }

    fn announce(&mut self, args: &AttachArgs) -> anyhow::Result<()> {
        let device = self.attached.device;
        let nodes = device.partitions().into_iter().map(|node| node.path);
        let lines: Vec<_> = std::iter::once(device.path())
            .chain(nodes)
            .map(|path| path.display().to_string())
            .collect();
        if args.in_background {
            let path = log_file(device);
            let file = ServerLog::create(&path)?;
            self.attached.record.log = Some(path.clone());
            self.save()?;
            report(&lines, &file)?;
            self.log.move_to(&path, file);
            return Ok(());
        }
        let mut out = results();
        for text in &lines {
            line(&mut out, text)?;
        }
        finish(out)
    }
}

fn open(args: &AttachArgs) -> anyhow::Result<Input> {
    let workers = args.open.workers()?;
    let examined = args.open.examine(&workers)?;
    warn(&examined, args.open.if_in_use());
    Ok(args.open.disk(examined)?)
}

fn remember(args: &AttachArgs, opened: &Input) -> Record {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let first = opened.disk().stores().first();
    let folder = first.and_then(|store| store.path().parent());
    Record {
        given: args.open.image.clone(),
        image: match &args.open.disk {
            // The bundle has other disks too.
            Some(_) => folder.map(Path::to_owned),
            None => std::fs::canonicalize(&args.open.image).ok(),
        },
        snapshot: args.open.snapshot.as_ref().map(ToString::to_string),
        partition: args.open.partition,
        layers: opened
            .disk()
            .stores()
            .iter()
            .map(|store| real(store.path()))
            .collect(),
        writable: args.overlay.is_some(),
        ..Attached::record_of_this_process()
    }
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

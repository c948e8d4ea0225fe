//! The server of a device: from the connection to the kernel to the end.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use ploopconv::Error;
use ploopconv::attach::{
    AttachError, Attached, Connection, Device, Force, MountMode, Record, log_file, mount_on,
};
use ploopconv::convert::Input;
use ploopconv::served::{DeviceRequest, ServedDevice};

use super::super::output::{finish, line, results, story, write_message};
use super::super::report::warn;
use super::super::server::{Event, Events, ServerLog, report};
use super::args::AttachArgs;
use super::plan::Plan;
use super::way::Way;
use crate::cli::outcome::Verdict;

/// How far the kernel reads ahead, in KiB: what one reader asks for is then enough for all
/// workers. Newer kernels keep what they read ahead in pieces of up to 2 MiB and, where a byte of
/// one is lost, give none of it: where losses are known they read nothing ahead.
const READ_AHEAD: u32 = 4096;

/// A disk that is attached, served by this process.
#[derive(Debug)]
pub(super) struct Server {
    attached: Attached,
    connection: Connection,
    threads: Vec<JoinHandle<()>>,
    log: Arc<ServerLog>,
    /// Whether others still have the device open that was taken from them: a loop device then keeps
    /// its file until they have gone.
    lingers: bool,
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
        let way = Way::choose(args, wanted)?;
        let read_ahead = match opened.view().is_over_damage() {
            true => 0,
            false => READ_AHEAD,
        };
        let mut record = remember(args, &opened);
        let overlay = args.private_layer()?;
        record.overlay = overlay.as_ref().and_then(|overlay| overlay.named.clone());
        let log = Arc::new(ServerLog::new(args.trace));
        let workers = args.open.workers()?;
        let what = DeviceRequest {
            device: wanted,
            view: opened.view(),
            block_size: plan.block_size,
            name: &record.backend,
            connections: args.connections,
            workers: &workers,
        };
        let served = way
            .connect(&what, overlay, (&record, &log, events))
            .map_err(anyhow::Error::from);
        let remembered = record.overlay.clone();
        let result = served.map(|served| Self::of(served, record, log));
        let result =
            result.and_then(
                |mut server| match server.prepare(&plan, read_ahead, events) {
                    Ok(()) => Ok(server),
                    Err(error) => {
                        server.give_up();
                        Err(error)
                    }
                },
            );
        if let (Err(_), Some(overlay)) = (&result, &remembered) {
            let _ = overlay.remove();
        }
        result
    }

    fn of(served: ServedDevice, mut record: Record, log: Arc<ServerLog>) -> Self {
        let ServedDevice {
            connection,
            threads,
        } = served;
        record.ioctl = connection.thread();
        let attached = Attached {
            device: connection.device(),
            record,
            mounts: Vec::new(),
            connected: true,
        };
        Self {
            attached,
            connection,
            threads,
            log,
            lingers: false,
        }
    }

    /// Makes the device fit for use: partitions, read-ahead, the mount.
    fn prepare(&mut self, plan: &Plan, read_ahead: u32, events: &Events) -> anyhow::Result<()> {
        let device = self.attached.device;
        self.attached.record.read_ahead = device.read_ahead();
        // From here on anybody can find out what this is, and take it away.
        self.save()?;
        device.set_read_ahead(read_ahead);
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
        // The end of this process gives them errors.
        if !self.lingers {
            self.wait();
        }
        Ok(Verdict::Done)
    }

    /// Detaches the device; says why, where it is not done.
    fn take_away(&mut self, force: Force) -> bool {
        let error = match self.attached.detach(force) {
            Ok(()) => return true,
            // Those who still use it get errors, and the device is free when they have gone.
            Err(error @ AttachError::Lingering { .. }) => {
                self.log.say(&story(&error.into()));
                let _ = self.attached.record.clean_up(self.attached.device);
                self.lingers = true;
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

//! `ploopconv mount`: the files, or the disk and its partitions, at a directory of this machine.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use ploopconv::Error;
use ploopconv::attach::{AttachError, Attached, Force};
use ploopconv::convert::Input;
use ploopconv::fuse::{
    Audience, DiskFiles, FuseEvent, FuseMount, FuseRequest, MountLabel, Mounted, Shown,
    log_file_of, mounted,
};
use ploopconv::tree::Tree;

use super::mount_point::directory;
use super::open::OpenArgs;
use super::outcome::Verdict;
use super::output::{finish, line, results, story, write_message};
use super::report::warn;
use super::server::{Event, Events, ServerLog, report, settle, start};

/// How many requests are answered at the same time.
const WORKERS: usize = 4;

pub(super) const USAGE: &str = "ploopconv mount IMAGE DIR [OPTIONS]";

#[derive(Debug, clap::Args)]
#[command(mut_arg("disk_name", |arg| arg.long("disk-name")))]
pub(crate) struct MountArgs {
    #[command(flatten)]
    pub(crate) open: OpenArgs,
    /// Where: a directory that exists
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Show the disk and its partitions as files (disk.raw, p1.raw …) instead
    #[arg(long)]
    disk: bool,
    /// Stay, and say on stderr what goes wrong, until unmounted, Ctrl-C or a signal
    #[arg(long)]
    foreground: bool,
    /// What the background server is started with.
    #[arg(long, hide = true, conflicts_with = "foreground")]
    in_background: bool,
}

pub(crate) fn run(args: &MountArgs) -> anyhow::Result<Verdict> {
    if !args.foreground && !args.in_background {
        return start("mount");
    }
    if args.in_background {
        settle();
    }
    let context = || format!("mounting {}", args.open.name());
    let events = Events::listen()?;
    let server = Server::start(args, &events).with_context(context)?;
    server.serve(args, &events).with_context(context)
}

/// Files that are mounted, served by this process.
struct Server {
    input: Input,
    dir: PathBuf,
    log: Arc<ServerLog>,
}

impl Server {
    /// Opens the image and mounts it. When anything of that fails, nothing is left.
    fn start(args: &MountArgs, events: &Events) -> anyhow::Result<Self> {
        let dir = directory(&args.dir)?;
        let workers = args.open.workers()?;
        let examined = args.open.examine(&workers)?;
        warn(&examined, args.open.if_in_use());
        let mut input = args.open.disk(examined)?;
        let (tree, doubts): (Arc<dyn Tree>, Vec<Error>) = if args.disk {
            let (files, doubt) = DiskFiles::of(input.view(), input.partition(), &workers)?;
            (Arc::new(files), doubt.into_iter().collect())
        } else {
            input = input.only_file_system()?;
            let (files, doubts) = input.files()?;
            (Arc::new(files), doubts)
        };
        for doubt in doubts {
            write_message(&format!("warning: {}", story(&doubt.into())));
        }
        events.check()?;
        let log = Arc::new(ServerLog::new(false));
        let listener = Arc::clone(&log);
        let mount = FuseMount::new(FuseRequest {
            tree,
            disk: input.view().stored(),
            dir: dir.clone(),
            audience: Audience::of_this_process(),
            threads: args.open.threads().unwrap_or(WORKERS),
            label: label(args),
            listener: Box::new(move |event: &FuseEvent<'_>| listener.files(event)),
        })?;
        let server = Self { input, dir, log };
        server.spawn(mount, events)?;
        Ok(server)
    }

    /// Serves on a thread of its own, which says when the files were unmounted.
    fn spawn(&self, mount: FuseMount, events: &Events) -> anyhow::Result<()> {
        let (say, log, dir) = (events.sender(), Arc::clone(&self.log), self.dir.clone());
        let serve = move || {
            if let Err(error) = mount.serve(&dir) {
                log.say(&story(&error.into()));
            }
            let _ = say.send(Event::Ended);
        };
        let thread = std::thread::Builder::new().name("files".to_owned());
        thread.spawn(serve).context("starting a thread")?;
        Ok(())
    }

    /// Says that the files are there and waits until they are unmounted, by whomever.
    fn serve(self, args: &MountArgs, events: &Events) -> anyhow::Result<Verdict> {
        let log = match self.announce(args) {
            Ok(log) => log,
            Err(error) => {
                self.take_away(Force::Yes);
                return Err(error);
            }
        };
        let mut force = Force::No;
        loop {
            match events.next() {
                Some(Event::Signal(_)) if self.take_away(force) => break,
                Some(Event::Signal(_)) => force = Force::Yes,
                Some(Event::Ended) | None => break,
            }
        }
        if let Some(log) = log {
            let _ = std::fs::remove_file(log.with_extension("log.old"));
            let _ = std::fs::remove_file(log);
        }
        if args.foreground {
            self.input.disk().check_unchanged()?;
        }
        Ok(Verdict::Done)
    }

    /// Unmounts the files; says why, where it is not done.
    fn take_away(&self, force: Force) -> bool {
        let own = |it: &Mounted| it.dir == self.dir && it.label.pid == std::process::id();
        // Where it is not found, another one has unmounted it, or hides it.
        let Some(own) = mounted().into_iter().find(own) else {
            return force == Force::Yes;
        };
        let Err(error) = own.detach(force) else {
            return true;
        };
        let is_busy = matches!(error, AttachError::Busy { .. });
        let text = story(&Error::from(error).into());
        let still = match is_busy {
            true => "; still serving; another signal ends it all the same",
            false => "; still serving",
        };
        self.log.say(&format!("told to end, but {text}{still}"));
        false
    }

    /// Gives the log, where it is a file.
    fn announce(&self, args: &MountArgs) -> anyhow::Result<Option<PathBuf>> {
        let name = self.dir.display().to_string();
        if !args.in_background {
            let mut out = results();
            line(&mut out, &name)?;
            finish(out)?;
            return Ok(None);
        }
        let user = nix::unistd::geteuid().as_raw();
        let path = log_file_of(user, std::process::id());
        let path = path.filter(|path| make_folder_of(path).is_ok());
        let Some(path) = path else {
            // From here on standard error leads there too.
            let nowhere = File::options().write(true).open("/dev/null");
            report(&[name], &nowhere.context("opening /dev/null")?)?;
            return Ok(None);
        };
        let file = ServerLog::create(&path)?;
        report(&[name], &file)?;
        self.log.move_to(&path, file);
        Ok(Some(path))
    }
}

fn make_folder_of(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o755).create(folder)
}

/// What the mount says of itself.
fn label(args: &MountArgs) -> MountLabel {
    let given = &args.open.image;
    let record = Attached::record_of_this_process();
    MountLabel {
        pid: record.pid,
        started: record.started,
        shown: match args.disk {
            true => Shown::Disk,
            false => Shown::Files,
        },
        image: std::fs::canonicalize(given).unwrap_or_else(|_| given.clone()),
        snapshot: args.open.snapshot.as_ref().map(ToString::to_string),
        partition: args.open.partition,
    }
}

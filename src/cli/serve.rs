//! `ploopconv serve`: the disk for any NBD client.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use ploopconv::nbd::{self, Ended, Event, Export, Listener, Log, Pipes, Server, Service, Stop};
use signal_hook::consts::SIGINT;

use super::compact::{DiskArgs, of_whole_partitions};
use super::outcome::Verdict;
use super::output::{finish, line, results, write_message};
use super::report::warn;
use super::signals::{Guard, is_ignored};
use crate::advice::shell::quoted;
use ploopconv::util::size::human;

/// How many requests of a client are answered at the same time.
const WORKERS: usize = 4;

pub(super) const USAGE: &str = "ploopconv serve IMAGE --socket PATH [OPTIONS]\n\
                                \x20      ploopconv serve IMAGE --tcp ADDR:PORT [OPTIONS]";

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) open: DiskArgs,
    #[command(flatten)]
    place: Place,
    /// Say on stderr who connects, and every request
    #[arg(long)]
    trace: bool,
}

/// Where clients find it.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Place {
    /// Listen at a Unix socket, made with mode 0600
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Listen at a TCP port; without ADDR only this host can connect. Neither
    /// encrypted nor protected by a password
    #[arg(long, value_name = "ADDR:PORT", value_parser = address)]
    tcp: Option<SocketAddr>,
    /// Serve one client on standard input and output
    #[arg(long)]
    stdio: bool,
}

/// `ADDR:PORT`, `:PORT` or `PORT`; names are not looked up.
fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix("localhost:").or(text.strip_prefix(':'));
    if let Ok(port) = port.unwrap_or(text).parse() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse().map_err(|_| {
        "an IP address and a port are needed, as in 127.0.0.1:10809, [::1]:10809 or :10809"
            .to_owned()
    })
}

/// Prints on stderr what users need to know, or everything.
#[derive(Debug)]
struct Stderr {
    trace: bool,
}

impl Log for Stderr {
    fn event(&self, event: &Event<'_>) {
        let matters = match event {
            // The last words of the program say it.
            Event::Changed { .. } => false,
            Event::Connected { .. } | Event::Answered { .. } => self.trace,
            Event::Ended { how, .. } => {
                self.trace || matches!(how, Ended::HungUp(_) | Ended::Io(_))
            }
            _ => true,
        };
        if matters {
            write_message(&event.to_string());
        }
    }

    fn wants_requests(&self) -> bool {
        self.trace
    }
}

pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<Verdict> {
    let context = || format!("serving {}", args.open.name());
    let stop = Arc::new(Stop::new()?);
    let told = Arc::clone(&stop);
    let signals = Guard::start_with(move || told.stop())?;
    let opening = args.open.workers()?;
    let examined = args.open.examine(&opening).with_context(context)?;
    warn(&examined, args.open.if_in_use());
    let opened = args.open.disk(examined, &opening).with_context(context)?;
    let warnings = of_whole_partitions(&opened);
    warnings.iter().for_each(|line| write_message(line));
    drop(opening);
    let workers = args.open.threads().unwrap_or(WORKERS);
    let export = Export::new(opened.view().trusted()).described(&args.description());
    let export = Arc::new(export);
    let log = Arc::new(Stderr { trace: args.trace });
    let served = match &args.place {
        Place {
            socket: Some(path), ..
        } => {
            let listener = Listener::unix(path).with_context(context)?;
            args.listen(listener, export, workers, log, stop)
        }
        Place {
            tcp: Some(address), ..
        } => {
            let listener = Listener::tcp(*address).with_context(context)?;
            args.listen(listener, export, workers, log, stop)
        }
        Place { .. } => serve_stdio(&export, workers, &log, &stop),
    };
    served.with_context(context)?;
    match signals.interrupted() {
        Some(interrupted) => Err(interrupted.into()),
        None => Ok(Verdict::Done),
    }
}

/// What ends a server. A shell lets its background jobs ignore Ctrl-C, so that they need a
/// signal.
fn how_to_end() -> String {
    let kill = format!("kill {}", std::process::id());
    if is_ignored(SIGINT) {
        kill
    } else {
        format!("Ctrl-C or {kill}")
    }
}

impl ServeArgs {
    /// The description of the disk for clients.
    fn description(&self) -> String {
        let name = self.open.image.file_name();
        let name = name.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        match self.open.partition {
            Some(number) => format!("partition {number} of {name}"),
            None => name,
        }
    }

    fn listen(
        &self,
        listener: Listener,
        export: Arc<Export>,
        workers: usize,
        log: Arc<Stderr>,
        stop: Arc<Stop>,
    ) -> anyhow::Result<()> {
        let uri = listener.uri();
        let size = human(export.disk().size());
        let image = quoted(&self.open.image);
        write_message(&format!(
            "serving {image}, {size}, read-only, at {uri} until {}",
            how_to_end()
        ));
        // For scripts: once it can be read, clients can connect.
        let mut out = results();
        line(&mut out, &uri)?;
        finish(out)?;
        Server::new(listener, export, workers, log, stop).run()?;
        Ok(())
    }
}

fn serve_stdio(
    export: &Export,
    workers: usize,
    log: &Stderr,
    stop: &Arc<Stop>,
) -> anyhow::Result<()> {
    let owned = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned().map(Into::into);
    let taking = "taking standard input and output";
    let input = owned(std::io::stdin().as_fd()).context(taking)?;
    let output = owned(std::io::stdout().as_fd()).context(taking)?;
    let pipes = Pipes::new(input, output, Arc::clone(stop));
    let service = Service {
        workers,
        ..Service::new(export, stop.flag(), log)
    };
    let how = nbd::serve(&pipes, &service);
    log.event(&Event::Ended {
        connection: service.connection,
        how: &how,
    });
    export.check(log)?;
    Ok(())
}

//! `ploopconv attach`: a disk as a block device of this machine.

mod background;
mod events;
mod log;
mod overlay;
mod plan;
mod server;

use std::path::PathBuf;

use anyhow::Context;
use ploopconv::attach::{AttachError, Device};
use ploopconv::{Error, attach};

use self::server::Server;
use super::Verdict;
use super::exit::Usage;
use super::hints::quoted;
use super::number::number;
use super::open::OpenArgs;

/// Attach a disk as a block device, through the kernel's NBD driver
#[derive(Debug, clap::Args)]
pub(crate) struct AttachArgs {
    #[command(flatten)]
    pub(crate) open: OpenArgs,
    /// Mount it too: the only file system, or that of --partition
    #[arg(long, value_name = "DIR")]
    mount: Option<PathBuf>,
    /// Take writes into a private layer that is gone at detach; the image is never written
    ///
    /// The layer is a file without a name in $TMPDIR or /var/tmp, or FILE, which must not
    /// exist and is removed at detach. With it a journal can be replayed: --mount mounts
    /// for writing.
    #[arg(long, value_name = "FILE", require_equals = true)]
    overlay: Option<Option<PathBuf>>,
    /// Use this device, /dev/nbdN [default: a free one]
    #[arg(long, value_name = "DEVICE")]
    device: Option<PathBuf>,
    /// Connections between the kernel and the server
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = number::<1, 64>
    )]
    connections: u32,
    /// Size of the device's sectors [default: what the partition table needs]
    #[arg(long, value_name = "512|4096", value_parser = ["512", "4096"])]
    block_size: Option<String>,
    /// Stay, and say on stderr what goes wrong, until Ctrl-C, a signal or detach
    #[arg(long)]
    foreground: bool,
    /// Write a line for every request
    #[arg(long)]
    trace: bool,
    /// What the background server is started with.
    #[arg(long, hide = true, conflicts_with = "foreground")]
    in_background: bool,
}

impl AttachArgs {
    /// The device that was asked for.
    fn wanted_device(&self) -> anyhow::Result<Option<Device>> {
        let Some(path) = &self.device else {
            return Ok(None);
        };
        let device = Device::named(path).filter(|device| device.path() == *path);
        device.map(Some).ok_or_else(|| {
            let text = format!("{} is no NBD device such as /dev/nbd0", path.display());
            Usage(text).into()
        })
    }
}

pub(crate) fn run(args: &AttachArgs) -> anyhow::Result<Verdict> {
    let wanted = args.wanted_device()?;
    if !args.foreground && !args.in_background {
        return background::start();
    }
    if args.in_background {
        background::settle();
    }
    // Before the first thread: what this gives is handed on to those that are started later.
    attach::prepare_to_serve();
    let context = || format!("attaching {}", args.open.name());
    let events = events::Events::listen()?;
    let server = match Server::start(args, wanted, &events) {
        Ok(server) => server,
        Err(error) => return Err(without_kernel(args, error).context(context())),
    };
    server.serve(args, &events).with_context(context)
}

/// Where there is no way through the kernel, one line says what is missing and what works.
fn without_kernel(args: &AttachArgs, error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref() {
        Some(Error::Attach {
            source: source @ (AttachError::NotPermitted | AttachError::NoModule { .. }),
        }) => anyhow::anyhow!(
            "{source}; without it: ploopconv serve {} --socket PATH",
            quoted(&args.open.image)
        ),
        _ => error,
    }
}

/// An error of the room `attach` as one of the library.
pub(crate) fn ours(source: AttachError) -> Error {
    Error::Attach { source }
}

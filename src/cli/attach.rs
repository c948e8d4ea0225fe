//! `ploopconv attach`: a disk as a block device of this machine.

mod args;
mod plan;
mod server;
mod way;

use anyhow::Context;
use ploopconv::attach::AttachError;
use ploopconv::fuse::FuseError;
use ploopconv::{Error, attach};

pub(crate) use self::args::AttachArgs;

use self::server::Server;
use super::outcome::Verdict;
use super::server::{Events, settle, start};
use crate::advice::hints::Typed;

pub(crate) fn run(args: &AttachArgs) -> anyhow::Result<Verdict> {
    let wanted = args.wanted_device()?;
    if !args.foreground && !args.in_background {
        return start("attach");
    }
    if args.in_background {
        settle();
    }
    // Before the first thread: what this gives is handed on to those that are started later.
    attach::prepare_to_serve();
    let context = || format!("attaching {}", args.open.name());
    let events = Events::listen()?;
    let server = match Server::start(args, wanted, &events) {
        Ok(server) => server,
        Err(error) => return Err(without_kernel(args, error).context(context())),
    };
    server.serve(args, &events).with_context(context)
}

/// Where there is no way through the kernel, one line says what is missing and what works.
fn without_kernel(args: &AttachArgs, error: anyhow::Error) -> anyhow::Error {
    let typed = Typed::here(&args.open.image);
    let cause: Option<&Error> = error.downcast_ref();
    let missing = match cause.and_then(Error::detail) {
        Some(
            AttachError::NotPermitted
            | AttachError::NoModule { .. }
            | AttachError::NoLoop { .. }
            | AttachError::NotDirect { .. },
        ) => true,
        _ => matches!(
            cause.and_then(Error::detail),
            Some(FuseError::NoFuse { .. })
        ),
    };
    match cause {
        Some(source) if missing => anyhow::anyhow!(
            "{source}; without it: ploopconv serve {} --socket PATH",
            typed.what_is_read()
        ),
        _ => error,
    }
}

//! Arguments to options, one library call, rendering. Uses only the public API of the library.

mod any_disk;
mod attach;
mod attached;
mod batch;
mod cat;
mod check;
pub(crate) mod command_line;
pub(crate) mod commands;
mod compact;
mod compare;
mod completions;
mod convert;
mod detach;
mod ending;
pub(crate) mod exit;
mod extract;
mod files;
mod guest;
mod info;
mod list;
mod losses;
mod ls;
mod machine;
mod man;
mod map;
mod mount;
mod mount_point;
mod number;
mod open;
mod outcome;
pub(crate) mod output;
mod partitions;
mod progress;
mod report;
mod scratch;
mod serve;
mod server;
mod signals;
mod source;
mod verify;

use std::process::ExitCode;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use self::command_line::CommandLine;
use self::commands::{Command, command};

/// Lets the program open as many files as it may at all: a disk of 2 TiB that is split has a file
/// for every 2 GB. Where that is refused, opening says so in the end.
pub(crate) fn allow_open_files() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Runs the command that was read, and gives the exit status of the program.
pub(crate) fn run(typed: &CommandLine) -> ExitCode {
    let result = match &typed.command {
        Command::Convert(args) => convert::run(args),
        Command::Info(args) => info::run(args),
        Command::Check(args) => check::run(args),
        Command::Map(args) => map::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Attach(args) => attach::run(args),
        Command::Detach(args) => detach::run(args),
        Command::Attached(args) => attached::run(args),
        Command::Ls(args) => ls::run(args),
        Command::List(args) => list::run(args),
        Command::Batch(args) => batch::run(args),
        Command::Cat(args) => cat::run(args),
        Command::Extract(args) => extract::run(args),
        Command::Mount(args) => mount::run(args),
        Command::Completions(args) => completions::run(args, command()),
        Command::Man(args) => man::run(args, command()),
    };
    match result {
        Ok(verdict) => verdict.into(),
        Err(error) => exit::report(error, typed),
    }
}

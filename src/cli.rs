//! Arguments to options, one library call, rendering. Uses only the public API of the library.

mod check;
mod convert;
mod exit;
mod hints;
mod info;
mod map;
mod open;
mod output;
mod progress;
mod report;
mod signals;
mod size;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub(crate) use self::exit::Verdict;

/// Turn OpenVZ and Virtuozzo ploop disks into raw disks, right to the byte or not at all
///
/// IMAGE is an image file, a DiskDescriptor.xml, the directory that holds one, a
/// container's private directory, or a container id. A directory or descriptor
/// stands for the current state of the whole chain of snapshots.
#[derive(Debug, Parser)]
#[command(
    name = "ploopconv",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true,
    override_usage = "ploopconv IMAGE -o TARGET [OPTIONS]\n       ploopconv COMMAND IMAGE [OPTIONS]",
    max_term_width = 80
)]
struct Cli {
    #[command(flatten)]
    convert: Option<convert::ConvertArgs>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Convert a disk (the same as giving no command)
    Convert(convert::ConvertArgs),
    /// Show what an image or a chain is, without reading its data
    Info(info::InfoArgs),
    /// Look for damage; writes nothing
    Check(check::CheckArgs),
    /// Show where every part of the disk is stored
    Map(map::MapArgs),
}

/// Runs the program and gives its exit status.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout with status 0, mistakes to stderr with 2.
            let status = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(status);
        }
    };
    let result = match (&cli.command, &cli.convert) {
        (Some(Command::Convert(args)), _) | (None, Some(args)) => convert::run(args),
        (Some(Command::Info(args)), _) => info::run(args),
        (Some(Command::Check(args)), _) => check::run(args),
        (Some(Command::Map(args)), _) => map::run(args),
        (None, None) => Ok(Verdict::Done),
    };
    match result {
        Ok(verdict) => verdict.into(),
        Err(error) => exit::report(&error),
    }
}

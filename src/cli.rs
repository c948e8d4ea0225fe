//! Arguments to options, one library call, rendering. Uses only the public API of the library.

mod attach;
mod attached;
mod check;
mod command_line;
mod compare;
mod completions;
mod convert;
mod detach;
mod exit;
mod hints;
mod info;
mod losses;
mod man;
mod map;
mod mistakes;
mod number;
mod open;
mod output;
mod partitions;
mod progress;
mod qcow2;
mod report;
mod serve;
mod side;
mod signals;
mod size;
mod verify;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, FromArgMatches, Subcommand};

use self::command_line::CommandLine;
pub(crate) use self::exit::Verdict;

const ABOUT: &str = "Turn OpenVZ and Virtuozzo ploop disks into raw or qcow2 disks, right to the byte or not at all";
const LONG_ABOUT: &str =
    "Turn OpenVZ and Virtuozzo ploop disks into raw or qcow2 disks, right to the byte or not at all

IMAGE is an image file, a DiskDescriptor.xml, the directory that holds one, a
container's private directory, or a container id. A directory or descriptor
stands for the current state of the whole chain of snapshots.";
const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit: ",
    env!("PLOOPCONV_COMMIT"),
    "\ntarget: ",
    env!("PLOOPCONV_TARGET"),
    "\nlicence: MIT or Apache-2.0"
);
const USAGE: &str = "ploopconv IMAGE -o TARGET [OPTIONS]\n       ploopconv COMMAND IMAGE [OPTIONS]";

/// The whole command line: a command with its own arguments, or those of `convert` without one.
fn command() -> clap::Command {
    let base = clap::Command::new("ploopconv")
        .version(env!("CARGO_PKG_VERSION"))
        .long_version(LONG_VERSION)
        .args_conflicts_with_subcommands(true)
        .subcommand_negates_reqs(true)
        .arg_required_else_help(true)
        .max_term_width(80);
    // What the arguments say about themselves is meant for `convert`.
    Command::augment_subcommands(convert::ConvertArgs::augment_args(base))
        .about(ABOUT)
        .long_about(LONG_ABOUT)
        .override_usage(USAGE)
}

impl Command {
    fn read(words: &[OsString]) -> Result<(clap::ArgMatches, Self), clap::Error> {
        let name = OsString::from("ploopconv");
        let matches = command().try_get_matches_from(std::iter::once(&name).chain(words))?;
        let read = if matches.subcommand().is_some() {
            Self::from_arg_matches(&matches)
        } else {
            convert::ConvertArgs::from_arg_matches(&matches).map(Self::Convert)
        };
        let read = read.map_err(|error| error.format(&mut command()))?;
        Ok((matches, read))
    }

    /// The image that an error is about, as it was given.
    fn image(&self, error: &anyhow::Error) -> &Path {
        match self {
            Self::Completions(_) | Self::Man(_) => Path::new(""),
            Self::Convert(args) => &args.open.image,
            Self::Info(args) => &args.open.image,
            Self::Check(args) => &args.open.image,
            Self::Map(args) => &args.open.image,
            Self::Compare(args) => args.image(error),
            Self::Verify(args) => &args.open.image,
            Self::Serve(args) => &args.open.image,
            Self::Attach(args) => &args.open.image,
            Self::Detach(args) => args.what(),
            Self::Attached(_) => Path::new(""),
        }
    }
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
    /// Compare two disks byte by byte: ploop images, raw files, devices, qcow2
    ///
    /// What each of them is shows in the file itself, whatever its name. Ranges that are
    /// holes on both sides are skipped. Disks of different sizes are equal if the
    /// larger one has only zeros past the end of the smaller; a warning says so. The status is 0 for equal, 1 for
    /// different. Options of reading are for those of the two that are ploop images.
    Compare(compare::CompareArgs),
    /// Compare a target with its checksum file or its image
    ///
    /// The target is qcow2 if it begins as qcow2 does, whatever its name. Else it is
    /// raw: a file of the disk's size, or a device that may be larger. It is read past
    /// the page cache where the kernel can do that. The status is 0 for equal, 1 for
    /// different.
    Verify(verify::VerifyArgs),
    /// Serve the disk to NBD clients: nbdcopy, qemu-img, nbdfuse and others
    ///
    /// Read-only, and without root. Prints the URI for clients on stdout once they can
    /// connect, and serves until Ctrl-C, or a signal to the process whose number stderr
    /// shows. A range that cannot be trusted is an
    /// error for the client that reads it, never zeros. If the image changes, nothing
    /// is served any more and the status is 4. Of each client, 4 requests are answered
    /// at the same time, or as many as -j says.
    #[command(override_usage = serve::USAGE)]
    Serve(serve::ServeArgs),
    /// Attach a disk as a block device, through the kernel's NBD driver
    ///
    /// Prints the device and its partitions, a path a line, and leaves a server in the
    /// background. The device is read-only; what the image cannot give is an I/O error.
    /// Needs root and the kernel module nbd.
    Attach(attach::AttachArgs),
    /// Take an attached disk away again
    ///
    /// Unmounts what attach has mounted, disconnects the device and waits until it is
    /// free. A device that somebody else uses stays, and they are named (status 4). Works
    /// for a disk whose server has died, too.
    Detach(detach::DetachArgs),
    /// List what is attached
    Attached(attached::AttachedArgs),
    /// Print a script that lets a shell complete the command line
    Completions(completions::CompletionsArgs),
    /// Write the manual pages of all commands into a directory
    Man(man::ManArgs),
}

/// Runs the program and gives its exit status.
pub(crate) fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let (matches, read) = match Command::read(&words) {
        Ok(read) => read,
        Err(error) => return mistakes::report(&error, &words),
    };
    if let Some(mistake) = mistakes::misread(&words, &matches) {
        return mistake.say(&words);
    }
    let typed = CommandLine::new(matches, read);
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
        Command::Completions(args) => completions::run(args, self::command()),
        Command::Man(args) => man::run(args, self::command()),
    };
    match result {
        Ok(verdict) => verdict.into(),
        Err(error) => exit::report(error, &typed),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}

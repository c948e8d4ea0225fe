//! The commands and their arguments, as they are typed.

use std::ffi::OsString;
use std::path::Path;

use clap::{Args, FromArgMatches, Subcommand};

use super::{
    attach, attached, batch, cat, check, compare, completions, convert, detach, extract, info,
    list, ls, man, map, mount, serve, verify,
};

const ABOUT: &str = "Turn OpenVZ and Virtuozzo ploop disks into raw or qcow2 disks, \
                     right to the byte or not at all";

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
pub(crate) fn command() -> clap::Command {
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

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
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
    /// larger one has only zeros past the end of the smaller; a warning says so. The status is 0
    /// for equal, 1 for different. Options of reading are for those of the two that are ploop
    /// images.
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
    /// Take an attached disk, or mounted files, away again
    ///
    /// Unmounts what attach has mounted, disconnects the device and waits until it is
    /// free; unmounts the files that mount shows. What somebody else uses stays, and
    /// they are named (status 4). Works for a disk or files whose server has died, too.
    Detach(detach::DetachArgs),
    /// List what is attached and mounted
    Attached(attached::AttachedArgs),
    /// List files of the container, without mounting
    ///
    /// Reads ext2, ext3 and ext4: the only such file system of the disk, or that of
    /// --partition. Names are sorted by their bytes, one a line; hidden ones are
    /// shown, . and .. are not. A journal is replayed in memory, so the newest files
    /// are there. Links are followed inside the container only. Characters that a
    /// terminal would obey are shown as \u{1b} and the like; --json has every name as
    /// it is. A PATH that does not exist ends with status 1; the others are listed.
    Ls(ls::LsArgs),
    /// Print the bytes of files of the container, without mounting
    ///
    /// Links are followed inside the container only. Holes are zeros. What is
    /// damaged is an error (status 3) at the place, never zeros; with --salvage zeros
    /// stand for what is lost, stderr names it, and the status is 5.
    Cat(cat::CatArgs),
    /// Write files of the container into a directory, without mounting
    ///
    /// PATH etc/passwd goes to DIR/etc/passwd, as tar -x does; a directory comes with
    /// all that is in it. Restores modes, times, links, holes, extended attributes and
    /// ACLs, and as root owners, devices and capabilities; stderr says what could not
    /// be restored. Nothing outside DIR is made or changed, whatever links there are
    /// in the container or in DIR. A file gets its name when it is complete. Files that
    /// exist stay (status 1 at the end) without -f. A file that cannot be read is
    /// named, and the others are extracted (status 3).
    #[command(override_usage = extract::USAGE)]
    Extract(extract::ExtractArgs),
    /// List the containers of this host or below folders, a disk a line
    ///
    /// Looks below DIR at any depth, else where OpenVZ keeps containers and where their
    /// configurations say. Nothing is written, and a disk in use is only looked at.
    /// STORED is the room that a disk takes here with all its snapshots, USED what its
    /// file systems (ext2, ext3, ext4) say, and STATE what stands in the way of a
    /// conversion. A disk that is broken does not stop the list; a folder that cannot
    /// be listed ends with status 1.
    List(list::ListArgs),
    /// Convert many containers, with one report
    ///
    /// Targets are DIR/ID.EXT, of a further disk DIR/ID-NAME.EXT, each complete or
    /// absent. Room is looked at for all of them first. A disk that cannot be converted
    /// does not stop the others. The same command again does what is missing: a target
    /// whose DIR/ID.EXT.ploopconv says that neither it nor its image has changed is
    /// kept, and with --verify compared with the image. DIR/report.json and
    /// DIR/report.txt say what became of each disk, DIR/SHA256SUMS has the digests of
    /// all targets. The status is 0 where all are done, else the highest of theirs.
    Batch(batch::BatchArgs),
    /// Mount the files of the container, read-only, as any user
    ///
    /// Through FUSE: prints DIR once the files are there, and leaves a server in the
    /// background until detach DIR, umount, fusermount3 -u or a signal. Reads ext2, ext3
    /// and ext4, as ls does: a journal is replayed in memory. Where root mounts, all
    /// users see what the modes of the files allow them; where another user does, only
    /// that user sees the files, and may read all of them. With --disk, DIR has the disk
    /// (disk.raw) and its partitions (p1.raw …) as files instead, which losetup,
    /// qemu-img and others take. What is damaged is an I/O error, never zeros. If the
    /// image changes, everything is.
    #[command(override_usage = mount::USAGE)]
    Mount(mount::MountArgs),
    /// Print a script that lets a shell complete the command line
    Completions(completions::CompletionsArgs),
    /// Write the manual pages of all commands into a directory
    Man(man::ManArgs),
}

impl Command {
    pub(crate) fn read(words: &[OsString]) -> Result<(clap::ArgMatches, Self), clap::Error> {
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
    pub(crate) fn image(&self, error: &anyhow::Error) -> &Path {
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
            Self::Ls(args) => &args.open.image,
            Self::Cat(args) => &args.open.image,
            Self::Extract(args) => &args.open.image,
            Self::List(args) => args.folder(),
            Self::Mount(args) => &args.open.image,
            Self::Batch(args) => args.first(),
            Self::Attached(_) => Path::new(""),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::OsString;

    use crate::advice::lex::{KnownOption, KnownOptions};
    use crate::advice::options::{COMMANDS, known};

    #[test]
    fn options_that_are_looked_at_once_more_are_those_of_the_parser() {
        let program = super::command();
        let names: Vec<_> = program
            .get_subcommands()
            .map(|one| one.get_name())
            .collect();
        assert_eq!(names, COMMANDS);
        let key = |option: KnownOption| {
            let KnownOption {
                id,
                long,
                short,
                takes,
            } = option;
            (id, long, short, format!("{takes:?}"))
        };
        let of = |first: &str| {
            let known = KnownOptions::of_words(&program, &[OsString::from(first)]);
            known.options.into_iter().map(key)
        };
        let ours: BTreeSet<_> = known(None).options.into_iter().map(key).collect();
        let theirs: BTreeSet<_> = of("").chain(COMMANDS.into_iter().flat_map(of)).collect();
        assert_eq!(ours, theirs);
    }

    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}

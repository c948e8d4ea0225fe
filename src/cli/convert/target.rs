//! The target that was typed.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{IsTerminal, stdout};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use ploopconv::Error;
use ploopconv::convert::{OpenStream, Target};
use ploopconv::sink::TargetError;

use super::args::ConvertArgs;
use crate::cli::outcome::Usage;

/// Tells a target by its name and by what is there already.
pub(super) fn of(args: &ConvertArgs) -> anyhow::Result<Target> {
    let path = &args.output;
    if args.partitions {
        return directory(
            path,
            "--partitions writes several files; its target has to be a directory",
            "--partitions needs a directory",
        );
    }
    if args.disks {
        return directory(
            path,
            "--disks writes several files; its target has to be a directory",
            "--disks needs a directory",
        );
    }
    if path == OsStr::new("-") {
        return stdout_of(args).map(Target::Open);
    }
    let meta = std::fs::metadata(path);
    if meta.is_ok_and(|meta| meta.file_type().is_char_device()) {
        refuse_terminal(path)?;
    }
    Ok(Target::at(path, args.if_exists())?)
}

/// The directory of `--partitions` and `--disks`; `mistake` is for stdout, and `why` for something
/// else than a directory.
fn directory(path: &Path, mistake: &str, why: &'static str) -> anyhow::Result<Target> {
    if path == OsStr::new("-") {
        return Err(Usage(mistake.to_owned()).into());
    }
    match std::fs::metadata(path) {
        Ok(meta) if !meta.is_dir() => Err(Error::from(TargetError::Kind {
            path: path.to_owned(),
            why,
        })
        .into()),
        _ => Ok(Target::Directory(path.to_owned())),
    }
}

fn stdout_of(args: &ConvertArgs) -> anyhow::Result<OpenStream> {
    if args.json {
        let mistake = "--json and -o - would both write to stdout";
        return Err(Usage(mistake.to_owned()).into());
    }
    if !args.dry_run && stdout().is_terminal() {
        let what = args.writes();
        let mistake = format!("the {what} is not written to a terminal; redirect stdout");
        return Err(Usage(mistake).into());
    }
    if !args.dry_run && stdout_was_closed() {
        anyhow::bail!(
            "stdout is closed: there is nothing that takes the {}",
            args.writes()
        );
    }
    // Not std's stdout, which would look for line ends.
    let out = stdout().as_fd().try_clone_to_owned();
    let out = File::from(out.context("opening stdout")?);
    let meta = out.metadata();
    Ok(OpenStream {
        name: PathBuf::from("stdout"),
        identity: meta.ok().map(|meta| (meta.dev(), meta.ino())),
        kept_in: std::fs::canonicalize("/proc/self/fd/1").ok(),
        out: Box::new(out),
    })
}

/// Whether the program was started without a stdout: the runtime then opens `/dev/null` for reading
/// and writing in its place, which no redirection of a shell does.
fn stdout_was_closed() -> bool {
    let both = fcntl(stdout(), FcntlArg::F_GETFL)
        .is_ok_and(|flags| OFlag::from_bits_truncate(flags).contains(OFlag::O_RDWR));
    let meta = std::fs::metadata("/proc/self/fd/1");
    both && meta.is_ok_and(|meta| is_null(&meta))
}

/// Whether a file is `/dev/null`: number 3 of the kernel's memory devices (devices.txt).
fn is_null(meta: &Metadata) -> bool {
    let device = meta.rdev();
    meta.file_type().is_char_device() && (device >> 8 & 0xfff, device & 0xff) == (1, 3)
}

/// Refuses a terminal under whatever name.
fn refuse_terminal(path: &Path) -> Result<(), Usage> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let device = File::options()
        .write(true)
        .custom_flags(flags.bits())
        .open(path);
    if device.is_ok_and(|device| device.is_terminal()) {
        let mistake = "a disk is not written to a terminal";
        return Err(Usage(mistake.to_owned()));
    }
    Ok(())
}

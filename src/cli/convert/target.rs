//! What a target is, told before anything is opened.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{IsTerminal, stdout};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use ploopconv::Error;
use ploopconv::sink::{BlockSink, FreeRoom, PartialFile, backing_file, free_room};

use super::ConvertArgs;
use crate::cli::exit::Usage;

/// Where the bytes go.
pub(super) enum Target {
    Stdout,
    /// A pipe or a character device.
    Stream(PathBuf),
    /// A regular file, there or not.
    File(PathBuf),
    /// A block device.
    Device(PathBuf),
    /// A directory for an image of every partition, there or not.
    Directory(PathBuf),
}

impl Target {
    /// Tells a target by what is there already.
    pub(super) fn of(args: &ConvertArgs) -> anyhow::Result<Self> {
        let path = &args.output;
        if path == OsStr::new("-") {
            if args.json {
                let mistake = "--json and -o - would both write to stdout";
                return Err(Usage(mistake.to_owned()).into());
            }
            if !args.dry_run && stdout().is_terminal() {
                let mistake = "a disk is not written to a terminal; redirect stdout";
                return Err(Usage(mistake.to_owned()).into());
            }
            if !args.dry_run && stdout_was_closed() {
                anyhow::bail!("stdout is closed: there is nothing that takes the disk");
            }
            return Ok(Self::Stdout);
        }
        let Ok(meta) = std::fs::metadata(path) else {
            return Ok(Self::File(path.clone()));
        };
        let kind = meta.file_type();
        if kind.is_block_device() {
            return Ok(Self::Device(path.clone()));
        }
        if kind.is_char_device() {
            refuse_terminal(path)?;
            if !args.force && !is_memory_device(&meta) {
                return Err(Error::TargetExists { path: path.clone() }.into());
            }
            return Ok(Self::Stream(path.clone()));
        }
        if kind.is_fifo() {
            return Ok(Self::Stream(path.clone()));
        }
        Ok(Self::File(path.clone()))
    }

    /// The directory of `--partitions`.
    pub(super) fn directory_of(args: &ConvertArgs) -> anyhow::Result<Self> {
        let path = &args.output;
        if path == OsStr::new("-") {
            let mistake = "--partitions writes several files; its target has to be a directory";
            return Err(Usage(mistake.to_owned()).into());
        }
        match std::fs::metadata(path) {
            Ok(meta) if !meta.is_dir() => Err(Error::TargetKind {
                path: path.clone(),
                why: "--partitions needs a directory",
            }
            .into()),
            _ => Ok(Self::Directory(path.clone())),
        }
    }

    /// Makes sure that no file of the source is written over, under whatever name.
    pub(super) fn refuse_sources(&self, files: &[(u64, u64)]) -> anyhow::Result<()> {
        let meta = match self {
            Self::Stdout => {
                let out = stdout()
                    .as_fd()
                    .try_clone_to_owned()
                    .context("opening stdout")?;
                File::from(out).metadata()
            }
            Self::Stream(path) | Self::File(path) | Self::Directory(path) => {
                std::fs::metadata(path)
            }
            // A loop device is another name for the file behind it.
            Self::Device(path) => std::fs::metadata(backing_file(path).unwrap_or(path.clone())),
        };
        let Ok(meta) = meta else { return Ok(()) };
        let identity = (meta.dev(), meta.ino());
        if files.contains(&identity) {
            let path = match self {
                Self::Stdout => PathBuf::from("stdout"),
                Self::Stream(path)
                | Self::File(path)
                | Self::Device(path)
                | Self::Directory(path) => path.clone(),
            };
            return Err(Error::TargetIsSource { path }.into());
        }
        Ok(())
    }

    /// What is left of a copy that was stopped.
    pub(super) fn fate(&self) -> &'static str {
        match self {
            Self::File(_) | Self::Directory(_) => "nothing was left behind",
            Self::Device(_) => "the device holds part of the disk, without its first MiB",
            Self::Stdout | Self::Stream(_) => "what was sent is part of the disk",
        }
    }

    /// The directory that takes a file.
    pub(super) fn directory(&self) -> Option<PathBuf> {
        let Self::File(path) = self else { return None };
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        let parent = real
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        Some(parent.map_or_else(|| PathBuf::from("."), Path::to_owned))
    }

    /// Makes sure that the target may be written, and says how much room there is, where that can
    /// be told.
    pub(super) fn admit(&self, force: bool, size: u64) -> Result<Option<FreeRoom>, Error> {
        match self {
            Self::Stdout | Self::Stream(_) | Self::Directory(_) => Ok(None),
            Self::Device(path) if !force => Err(Error::TargetExists { path: path.clone() }),
            Self::Device(path) => {
                let bytes = BlockSink::admit(path, size)?;
                Ok(Some(FreeRoom {
                    bytes,
                    sure: bytes,
                    is_exact: true,
                    can_share: false,
                }))
            }
            Self::File(path) => {
                PartialFile::admit(path, force)?;
                let directory = self.directory();
                directory.as_deref().map(free_room).transpose()
            }
        }
    }
}

/// Whether the program was started without a stdout: the runtime then opens `/dev/null` for reading
/// and writing in its place, which no redirection of a shell does.
fn stdout_was_closed() -> bool {
    let both = fcntl(stdout(), FcntlArg::F_GETFL)
        .is_ok_and(|flags| OFlag::from_bits_truncate(flags).contains(OFlag::O_RDWR));
    let meta = std::fs::metadata("/proc/self/fd/1");
    both && meta.is_ok_and(|meta| meta.file_type().is_char_device() && is_memory_device(&meta))
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

/// `/dev/null`, `/dev/zero` and `/dev/full`, which nobody misses anything of: 3, 5 and 7 of the
/// kernel's memory devices (devices.txt).
fn is_memory_device(meta: &Metadata) -> bool {
    let device = meta.rdev();
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff);
    major == 1 && [3, 5, 7].contains(&minor)
}

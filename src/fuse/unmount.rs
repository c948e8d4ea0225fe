//! Unmounting, as root and as an ordinary user.

use std::io;
use std::path::Path;
use std::process::Command;

use nix::mount::{MntFlags, umount2};

use crate::attach::{AttachError, Force};

/// Unmounts a directory; `false` where something on it is in use. With force what is in use stays
/// for those who use it, and no path leads to it any more.
pub(super) fn unmount(dir: &Path, force: Force) -> Result<bool, AttachError> {
    let mut flags = MntFlags::UMOUNT_NOFOLLOW;
    if force == Force::Yes {
        flags |= MntFlags::MNT_DETACH;
    }
    match umount2(dir, flags) {
        Ok(()) => Ok(true),
        Err(nix::Error::EBUSY) => Ok(false),
        // Users unmount what is their own through the program that mounted it.
        Err(nix::Error::EPERM) => by_program(dir, force),
        Err(error) => Err(failed(dir, error.into())),
    }
}

fn by_program(dir: &Path, force: Force) -> Result<bool, AttachError> {
    let how = match force {
        Force::No => "u",
        Force::Yes => "uz",
    };
    // The path begins with a slash, and is taken for no option.
    let how = format!("-{how}");
    let run = |program: &str| Command::new(program).arg(&how).arg(dir).output();
    let ended = match run("fusermount3") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => run("fusermount"),
        ended => ended,
    };
    let output = ended.map_err(|error| failed(dir, error))?;
    if output.status.success() {
        return Ok(true);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("busy") {
        return Ok(false);
    }
    Err(failed(dir, io::Error::other(said.trim().to_owned())))
}

fn failed(dir: &Path, source: io::Error) -> AttachError {
    AttachError::Device {
        doing: "unmounting",
        path: dir.to_owned(),
        source,
    }
}

//! The source of what is made or compared: the disk of an image or, where a disk is to boot, the
//! one of a machine that was made before.

use ploopconv::convert::Input;
use ploopconv::ext4::IfDirty;
use ploopconv::ploop::{Examined, OpenError};
use ploopconv::{Error, Foreign, Workers};

use super::any_disk::{AnyDisk, is_device};
use super::compact::DiskArgs;
use super::guest::GuestArgs;
use super::outcome::Usage;

/// What IMAGE is.
pub(crate) enum Source {
    /// An image, or what leads to one.
    Image(Box<Examined>),
    /// The disk of a machine, raw or in another format, of which `--for kvm` makes a new one.
    Machine(Box<Input>),
}

impl Source {
    /// Finds out what IMAGE is.
    pub(crate) fn of(
        open: &DiskArgs,
        guest: &GuestArgs,
        workers: &Workers,
    ) -> anyhow::Result<Self> {
        match open.examine(workers) {
            Ok(examined) => Ok(Self::Image(Box::new(examined))),
            Err(error) if guest.is_for_machine() && is_other_disk(open, &error) => {
                machine(open, workers)?
                    .map(|input| Self::Machine(Box::new(input)))
                    .ok_or_else(|| error.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether IMAGE is a disk, and no image.
fn is_other_disk(open: &DiskArgs, error: &Error) -> bool {
    match error.detail() {
        Some(OpenError::NotPloop { path, found }) if *path == open.image => {
            matches!(found, Foreign::Qcow | Foreign::Raw(_))
        }
        _ => is_device(&open.image),
    }
}

fn machine(open: &DiskArgs, workers: &Workers) -> anyhow::Result<Option<Input>> {
    let disk = AnyDisk::file(&open.image)?;
    let Some(input) = disk.input.made_before(open.if_in_use())? else {
        return Ok(None);
    };
    if let Some(option) = open.only_for_layers() {
        let mistake = format!("{option} is for ploop images, and {} is none", open.name());
        return Err(Usage(mistake).into());
    }
    // Its first boot replays the journal before it starts, as any boot does.
    let input = open.compacted(open.narrowed(input)?, IfDirty::Replay, workers)?;
    Ok(Some(input))
}

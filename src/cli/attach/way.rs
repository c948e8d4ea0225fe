//! By which driver of the kernel a disk is attached.

use std::sync::Arc;

use anyhow::bail;
use ploopconv::Error;
use ploopconv::attach::{AttachError, Device, Driver, Kernel, LoopDevices, Record};
use ploopconv::fuse::FuseEvent;
use ploopconv::overlay::Overlay;
use ploopconv::served::{DeviceRequest, PrivateLayer, ServedDevice, by_fuse, by_nbd};

use super::super::output::{story, write_message};
use super::super::server::{Event, Events, ServerLog};
use super::args::{AttachArgs, Via};
use crate::cli::outcome::Usage;

/// A way through the kernel.
#[derive(Debug)]
pub(super) enum Way {
    /// Its NBD driver.
    Nbd(Kernel),
    /// A loop device on a file of FUSE.
    Fuse(LoopDevices),
}

impl Way {
    /// The way that was asked for; else NBD or, where the kernel does not have it, the other one.
    pub(super) fn choose(args: &AttachArgs, wanted: Option<Device>) -> anyhow::Result<Self> {
        let via = args.via.or(wanted.map(|device| match device.driver() {
            Driver::Nbd => Via::Nbd,
            Driver::Loop => Via::Fuse,
        }));
        match via {
            Some(Via::Nbd) => Ok(Self::Nbd(Kernel::open().map_err(Error::from)?)),
            Some(Via::Fuse) => {
                if let Some(option) = args.needs_nbd() {
                    return Err(Usage(format!("--via fuse: {}", without(option))).into());
                }
                Ok(Self::Fuse(LoopDevices::open().map_err(Error::from)?))
            }
            None => match Kernel::open() {
                Ok(kernel) => Ok(Self::Nbd(kernel)),
                Err(AttachError::NoModule { why }) => Self::instead(args, why),
                Err(error) => Err(Error::from(error).into()),
            },
        }
    }

    /// Connects a device; `overlay` is for the NBD driver alone.
    pub(super) fn connect(
        &self,
        what: &DeviceRequest<'_>,
        overlay: Option<PrivateLayer>,
        (record, log, events): (&Record, &Arc<ServerLog>, &Events),
    ) -> ploopconv::Result<ServedDevice> {
        let (hears, say) = (Arc::clone(log), events.sender());
        match self {
            Self::Nbd(kernel) => {
                let layer = overlay
                    .map(|place| Overlay::new(what.view.trusted(), place.file, &place.path))
                    .transpose()?;
                let ended = move |why: Option<String>| {
                    why.iter().for_each(|why| hears.say(why));
                    let _ = say.send(Event::Ended);
                };
                by_nbd(kernel, what, layer.map(Arc::new), log, ended)
            }
            Self::Fuse(loops) => {
                let tells = Arc::clone(log);
                let ended = move |why: Option<Error>| {
                    why.into_iter()
                        .for_each(|why| hears.say(&story(&why.into())));
                    let _ = say.send(Event::Ended);
                };
                let listener = move |event: &FuseEvent<'_>| tells.files(event);
                by_fuse(loops, what, record.into(), listener, ended)
            }
        }
    }

    /// The other way, where the kernel has no NBD driver.
    fn instead(args: &AttachArgs, why: String) -> anyhow::Result<Self> {
        let missing = AttachError::NoModule { why };
        if let Some(option) = args.needs_nbd() {
            bail!("{missing}; {}", without(option));
        }
        let loops = match LoopDevices::open() {
            Ok(loops) => loops,
            Err(error @ AttachError::NoLoop { .. }) => {
                let why = format!("{error}; besides, {missing}");
                return Err(Error::from(AttachError::NoLoop { why }).into());
            }
            Err(error) => return Err(Error::from(error).into()),
        };
        write_message(&format!(
            "{missing}; attaching by FUSE and a loop device instead"
        ));
        Ok(Self::Fuse(loops))
    }
}

/// What works where an option does not.
fn without(option: &str) -> String {
    format!("{option} needs the NBD driver; without it the disk is attached, read-only")
}

//! By which driver of the kernel a disk is attached.

use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::bail;
use ploopconv::Error;
use ploopconv::attach::{AttachError, Connection, Device, Driver, Kernel, LoopDevices, Record};
use ploopconv::convert::Input;

use super::super::output::write_message;
use super::super::server::{Events, ServerLog};
use super::args::{AttachArgs, Via};
use crate::cli::outcome::Usage;

/// How many requests of a connection are answered at the same time.
pub(super) const WORKERS: usize = 4;

/// A way through the kernel.
#[derive(Debug)]
pub(super) enum Way {
    /// Its NBD driver.
    Nbd(Kernel),
    /// A loop device on a file of FUSE.
    Fuse(LoopDevices),
}

/// What is to be served, for either way.
pub(super) struct ToServe<'a> {
    pub(super) args: &'a AttachArgs,
    pub(super) device: Option<Device>,
    pub(super) input: Input,
    /// The size of the device's sectors, in bytes.
    pub(super) block_size: u32,
    pub(super) record: &'a Record,
    pub(super) log: &'a Arc<ServerLog>,
    pub(super) events: &'a Events,
}

/// A connected device, and the threads that answer for it.
pub(super) struct Served {
    pub(super) connection: Connection,
    pub(super) threads: Vec<JoinHandle<()>>,
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

//! Loop devices: for kernels without the NBD driver.
//!
//! A loop device that reads its file through the page cache takes a read that came short for the
//! end of the file, and gives zeros for the rest without a word: a page that cannot be read, after
//! one that can, would be silent zeros. One that reads directly asks again for the rest, and passes
//! the error on. So a device that does not read directly is given back.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::device::{Device, Driver, wait_until};
use super::error::AttachError;
use super::kernel::{Connection, load_module, may_administrate};
use crate::sys::{LoopFile, attach_loop, detach_loop, free_loop};

/// What gives out loop devices.
const CONTROL: &str = "/dev/loop-control";

/// How long free devices may be taken by others before we have one.
const PATIENCE: Duration = Duration::from_secs(2);

/// The kernel's loop devices.
#[derive(Debug)]
pub struct LoopDevices {
    control: File,
}

/// What a loop device is to read.
#[derive(Debug)]
pub struct LoopRequest<'file> {
    /// The device, or whichever is free.
    pub device: Option<Device>,
    /// Its sectors, in bytes: a power of two, 512 to 4096.
    pub block_size: u32,
    /// The file.
    pub file: &'file File,
    /// The name of the file, by which the device is known as ours.
    pub name: &'file str,
}

impl LoopDevices {
    /// Finds the driver, and loads the modules where that is needed and possible: that of loop
    /// devices, and that of FUSE, whose file is read.
    ///
    /// # Errors
    ///
    /// [`AttachError::NotPermitted`] for callers that are not root, [`AttachError::NoLoop`]
    /// where there is no driver.
    pub fn open() -> Result<Self, AttachError> {
        may_administrate()?;
        if !Path::new("/sys/module/fuse").exists() {
            // What is missing is said when it is asked for.
            let _ = load_module("fuse");
        }
        let open = || File::options().read(true).write(true).open(CONTROL);
        let control = open().or_else(|error| {
            load_module("loop").map_err(|why| format!("{CONTROL}: {error}, and {why}"))?;
            open().map_err(|error| format!("{CONTROL}: {error}"))
        });
        let control = control.map_err(|why| AttachError::NoLoop { why })?;
        Ok(Self { control })
    }

    /// Lets a device read a file: read-only, with its partitions.
    ///
    /// # Errors
    ///
    /// [`AttachError::Taken`] for a device that is in use, [`AttachError::NotDirect`] where errors
    /// in reading would be lost, [`AttachError::Connect`] for everything else that the kernel says.
    pub fn connect(&self, request: &LoopRequest<'_>) -> Result<Connection, AttachError> {
        let mut result = Err(AttachError::NoneFree);
        // Between the question for a free device and its use another may take it.
        wait_until(PATIENCE, || {
            result = self.try_once(request);
            !matches!(result, Err(AttachError::Taken { .. }))
        });
        let device = result?;
        if device.reads_directly() {
            return Ok(Connection::of(device));
        }
        if let Ok(node) = device.open() {
            let _ = detach_loop(&node);
        }
        let path = device.path();
        Err(AttachError::NotDirect { path })
    }

    fn try_once(&self, request: &LoopRequest<'_>) -> Result<Device, AttachError> {
        let refused = |what: &str, source| AttachError::Connect {
            what: what.to_owned(),
            source,
        };
        let device = match request.device {
            Some(device) => device,
            None => {
                let index = free_loop(&self.control);
                let index = index.map_err(|error| refused("a free loop device", error))?;
                let device = Device::new(Driver::Loop, index);
                device.wait_for_node()?;
                device
            }
        };
        let node = device.open()?;
        let file = LoopFile {
            file: request.file,
            block_size: request.block_size,
            name: request.name,
        };
        match attach_loop(&node, &file) {
            Ok(()) => Ok(device),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                let path = device.path();
                Err(AttachError::Taken { path })
            }
            Err(error) => Err(refused(&device.path().display().to_string(), error)),
        }
    }
}

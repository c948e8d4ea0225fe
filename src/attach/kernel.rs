//! Asking the kernel for a device.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::device::{Device, Driver};
use super::error::AttachError;
use super::ioctl;
use super::netlink::{Connect, Netlink};
use super::request::AttachRequest;
use crate::sys::{NbdIoctl, detach_loop, nbd_ioctl};

/// How long a device that was asked for by name may be in use for a moment: a program that has
/// its node open, udev for example, makes it busy.
const PASSING_BY: Duration = Duration::from_secs(1);

/// The kernel's NBD driver.
#[derive(Debug)]
pub struct Kernel {
    /// `None` where devices are connected by ioctls only.
    netlink: Option<Netlink>,
}

impl Kernel {
    /// Finds the driver, and loads its module where that is needed and possible.
    ///
    /// # Errors
    ///
    /// [`AttachError::NotPermitted`] for callers that are not root, [`AttachError::NoModule`]
    /// where there is no driver.
    pub fn open() -> Result<Self, AttachError> {
        may_administrate()?;
        let driver = Path::new("/sys/module/nbd");
        if !driver.exists() {
            let loaded = load_module("nbd");
            if !driver.exists() {
                // Asking for the family makes newer kernels load the module by themselves.
                let netlink = Self::find_netlink();
                if let Err(why) = loaded
                    && netlink.is_none()
                {
                    return Err(AttachError::NoModule { why });
                }
                return Ok(Self { netlink });
            }
        }
        Ok(Self {
            netlink: Self::find_netlink(),
        })
    }

    /// The driver of a device as it is, for disconnecting.
    pub(super) fn as_it_is(device: Device) -> Self {
        Self {
            netlink: match device.driver() {
                Driver::Nbd => Self::find_netlink(),
                Driver::Loop => None,
            },
        }
    }

    /// Older kernels show the family only in the first network namespace; then, as where netlink
    /// fails for whatever other reason, there are the ioctls.
    fn find_netlink() -> Option<Netlink> {
        Netlink::open().ok().flatten()
    }

    /// Connects a device to the other ends of `sockets`, which the kernel keeps for itself. At
    /// the near ends a server has to answer already.
    ///
    /// # Errors
    ///
    /// [`AttachError::Taken`] for a device that is in use, [`AttachError::Connect`] for
    /// everything else that the kernel says.
    pub fn connect(
        &self,
        request: &AttachRequest,
        sockets: Vec<UnixStream>,
    ) -> Result<Connection, AttachError> {
        let Some(netlink) = &self.netlink else {
            let (device, served) = ioctl::connect(request, sockets)?;
            return Ok(Connection {
                device,
                served: Some(served),
            });
        };
        let ends: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
        let connect = Connect {
            index: request.device.map(Device::index),
            size: request.size,
            block_size: request.block_size,
            flags: request.flags,
            backend: &request.backend,
            sockets: &ends,
        };
        let start = Instant::now();
        let index = loop {
            let error = match netlink.connect(&connect) {
                Ok(index) => break index,
                Err(error) => error,
            };
            match (
                Errno::from_raw(error.raw_os_error().unwrap_or(0)),
                request.device,
            ) {
                (Errno::EBUSY, Some(device)) if start.elapsed() >= PASSING_BY => {
                    let path = device.path();
                    return Err(AttachError::Taken { path });
                }
                (Errno::EBUSY, Some(_)) => std::thread::sleep(Duration::from_millis(50)),
                (Errno::EPERM | Errno::EACCES, _) => return Err(AttachError::NotPermitted),
                (_, device) => {
                    let what = device.map_or_else(
                        || "a free NBD device".to_owned(),
                        |device| device.path().display().to_string(),
                    );
                    return Err(AttachError::Connect {
                        what,
                        source: error,
                    });
                }
            }
        };
        Ok(Connection {
            device: Device::new(Driver::Nbd, index),
            served: None,
        })
    }

    /// Ends the connections of a device. `node` is its node, held open; `by_ioctl` says how it was
    /// connected.
    pub(super) fn disconnect(&self, device: Device, node: &File, by_ioctl: bool) -> io::Result<()> {
        match &self.netlink {
            _ if device.driver() == Driver::Loop => detach_loop(node),
            Some(netlink) if !by_ioctl => netlink.disconnect(device.index()),
            _ => nbd_ioctl(node, NbdIoctl::Disconnect),
        }
    }

    /// Whether a device is connected, or was and is still held by somebody.
    pub(super) fn is_occupied(&self, device: Device) -> bool {
        let referenced = self
            .netlink
            .as_ref()
            .map(|it| it.is_referenced(device.index()));
        device.is_connected() || device.size() > 0 || matches!(referenced, Some(Ok(true)))
    }
}

/// A connected device.
#[derive(Debug)]
pub struct Connection {
    device: Device,
    /// With ioctls a thread is inside the kernel for as long as the device is connected.
    served: Option<JoinHandle<()>>,
}

impl Connection {
    /// A device that needs no thread of this process.
    pub(super) fn of(device: Device) -> Self {
        let served = None;
        Self { device, served }
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> Device {
        self.device
    }

    /// The thread that is inside the kernel, where the device was connected by ioctls: the kernel
    /// knows the device by it.
    #[must_use]
    pub fn thread(&self) -> Option<u32> {
        self.served.as_ref().and_then(|_| self.device.pid())
    }

    /// Waits until the kernel has done with the device, after its server has ended.
    pub fn wait(self) {
        if let Some(served) = self.served {
            let _ = served.join();
        }
    }
}

/// Makes sure that this process has CAP_SYS_ADMIN. In a container it may look so and not be
/// enough: the kernel has the last word.
pub(super) fn may_administrate() -> Result<(), AttachError> {
    const CAP_SYS_ADMIN: u32 = 21; // linux/capability.h
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    if set.is_none_or(|set| set >> CAP_SYS_ADMIN & 1 == 1) {
        Ok(())
    } else {
        Err(AttachError::NotPermitted)
    }
}

/// Loads a module with the program that the kernel itself uses for that.
pub(super) fn load_module(name: &str) -> Result<(), String> {
    let program = std::fs::read_to_string("/proc/sys/kernel/modprobe").unwrap_or_default();
    let program = match program.trim() {
        "" => "/sbin/modprobe",
        program => program,
    };
    let output = Command::new(program)
        .arg(name)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program} cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().unwrap_or("").trim().to_owned();
    Err(match &said[..] {
        "" => format!("{program} {name}: {}", output.status),
        _ => format!("{program} says: {said}"),
    })
}

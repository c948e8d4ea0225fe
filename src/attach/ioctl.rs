//! Connecting a device by the ioctls of its node: for kernels, and network namespaces, that do
//! not know the netlink family.
//!
//! There is no "whichever is free" here. A device belongs to the first *thread* that gives it a
//! socket, all others are refused: that is what keeps two from taking the same one. The thread
//! then stays inside the kernel for as long as the device is connected.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use nix::sys::signal::SigSet;

use super::device::{Device, PATIENCE, wait_until};
use super::error::AttachError;
use super::request::AttachRequest;
use crate::sys::{NbdIoctl, nbd_ioctl};

/// Connects the device that was asked for, or the first that is free; gives it with the thread
/// that stays inside the kernel.
pub(super) fn connect(
    request: &AttachRequest,
    sockets: Vec<UnixStream>,
) -> Result<(Device, JoinHandle<()>), AttachError> {
    let (say, hear) = channel();
    let request = request.clone();
    let start = std::thread::Builder::new().name("nbd".to_owned());
    let served = start
        .spawn(move || serve(&request, sockets, &say))
        .map_err(|source| AttachError::Connect {
            what: "a thread for the device".to_owned(),
            source,
        })?;
    let device = claimed(&hear)?;
    // The kernel shows the process once it has begun.
    let mut refusal = None;
    let begun = wait_until(PATIENCE, || {
        if refusal.is_none() {
            refusal = hear.try_recv().ok();
        }
        refusal.is_some() || device.is_connected()
    });
    match refusal {
        Some(Err(error)) => Err(error),
        _ if begun => Ok((device, served)),
        _ => Err(AttachError::Connect {
            what: device.path().display().to_string(),
            source: io::ErrorKind::TimedOut.into(),
        }),
    }
}

fn claimed(hear: &Receiver<Result<Device, AttachError>>) -> Result<Device, AttachError> {
    hear.recv().unwrap_or(Err(AttachError::NoneFree))
}

/// Runs on a thread of its own. Says which device it claimed, or why none; afterwards only what
/// keeps it from being served.
fn serve(
    request: &AttachRequest,
    sockets: Vec<UnixStream>,
    say: &Sender<Result<Device, AttachError>>,
) {
    // A signal that this thread takes would tear the connection down.
    let _ = SigSet::all().thread_block();
    let (device, node) = match claim(request, &sockets) {
        Ok(found) => found,
        Err(error) => {
            let _ = say.send(Err(error));
            return;
        }
    };
    let _ = say.send(Ok(device));
    let tell = |what| nbd_ioctl(&node, what);
    let ready = tell(NbdIoctl::SetBlockSize(request.block_size))
        .and_then(|()| {
            tell(NbdIoctl::SetBlocks(
                request.size / u64::from(request.block_size),
            ))
        })
        .and_then(|()| tell(NbdIoctl::SetFlags(request.flags)))
        .and_then(|()| tell(NbdIoctl::SetTimeout(0)));
    // The kernel has its own.
    drop(sockets);
    let result = match ready {
        Ok(()) => tell(NbdIoctl::DoIt).or_else(|error| {
            // What it says when it was disconnected.
            let usual = [nix::Error::EPIPE, nix::Error::ETIMEDOUT].map(|it| Some(it as i32));
            let usual = usual.contains(&error.raw_os_error());
            if usual { Ok(()) } else { Err(error) }
        }),
        refused => refused,
    };
    let _ = tell(NbdIoctl::ClearSockets);
    if let Err(source) = result {
        let what = device.path().display().to_string();
        let _ = say.send(Err(AttachError::Connect { what, source }));
    }
}

fn claim(
    request: &AttachRequest,
    sockets: &[UnixStream],
) -> Result<(Device, std::fs::File), AttachError> {
    let candidates = request
        .device
        .map_or_else(Device::all, |device| vec![device]);
    for device in candidates {
        if device.is_connected() {
            continue;
        }
        let path = device.path();
        let node = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(node) => node,
            Err(source) if request.device.is_some() => {
                return Err(AttachError::Device {
                    doing: "opening",
                    path,
                    source,
                });
            }
            Err(_) => continue,
        };
        let mut given = sockets.iter().map(|socket| {
            let socket = NbdIoctl::SetSocket(socket.as_fd());
            nbd_ioctl(&node, socket)
        });
        match given.try_for_each(|result| result) {
            Ok(()) => return Ok((device, node)),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(AttachError::NotPermitted);
            }
            Err(source) => {
                let what = path.display().to_string();
                return Err(AttachError::Connect { what, source });
            }
        }
    }
    Err(request
        .device
        .map_or(AttachError::NoneFree, |device| AttachError::Taken {
            path: device.path(),
        }))
}

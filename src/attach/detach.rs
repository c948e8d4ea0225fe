//! Taking a device away, with or without its server.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use super::device::{Device, PATIENCE, wait_until};
use super::holders::{claims_on, hidden_mounts, open_by, users_of};
use super::kernel::{Kernel, may_administrate};
use super::list::Attached;
use super::mounts::{mounts_on, unmount};
use super::{AttachError, Holder};

/// How long somebody may hold a device who only looks at it, as udev does.
pub(crate) const PASSING_BY: Duration = Duration::from_secs(2);

/// Whether a device is taken away from those who use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// It is not.
    No,
    /// It is: whatever they read from then on is an error.
    Yes,
}

impl Attached {
    /// Unmounts what was mounted by attaching, disconnects the device, and waits until it is free
    /// and its server has ended. Works without the server too.
    ///
    /// # Errors
    ///
    /// [`AttachError::Busy`] with those who hold the device, which then stays as it is;
    /// [`AttachError::Lingering`] or [`AttachError::ServerStays`] where it is disconnected and
    /// something did not end; [`AttachError::Device`] for what the kernel says.
    pub fn detach(&self, force: Force) -> Result<(), AttachError> {
        may_administrate()?;
        if self.connected {
            let kernel = Kernel::as_it_is(self.device);
            self.take_away(&kernel, force)?;
            self.wait_until_free(&kernel)?;
        }
        if self.record.pid != std::process::id() {
            let ended = wait_until(PATIENCE, || !self.is_served());
            if !ended {
                return Err(AttachError::ServerStays {
                    path: self.device.path(),
                    pid: self.record.pid,
                });
            }
        }
        self.record.clean_up(self.device)
    }

    /// For the server of a device that somebody else disconnected: unmounts what was mounted by
    /// attaching and forgets the device.
    ///
    /// # Errors
    ///
    /// As [`Attached::detach`].
    pub fn tidy_up(&self) -> Result<(), AttachError> {
        let unmounted = self.unmount();
        // A device that is in use again by now has other partitions.
        if !self.device.is_connected()
            && let Ok(Some(node)) = self.device.claim()
        {
            self.device.forget_partitions(&node);
            if let Some(kib) = self.record.read_ahead {
                self.device.set_read_ahead(kib);
            }
        }
        self.record.clean_up(self.device)?;
        unmounted
    }

    fn take_away(&self, kernel: &Kernel, force: Force) -> Result<(), AttachError> {
        let device = self.device;
        let node = match force {
            Force::No => self.claim()?,
            Force::Yes => {
                let _ = self.unmount();
                device.open()?
            }
        };
        device.forget_partitions(&node);
        if let Some(kib) = self.record.read_ahead {
            device.set_read_ahead(kib);
        }
        match kernel.disconnect(device, &node, self.record.ioctl.is_some()) {
            // One whose server has died may go by itself when nothing is mounted any more.
            Err(source) if device.is_connected() => Err(AttachError::Device {
                doing: "disconnecting",
                path: device.path(),
                source,
            }),
            _ => Ok(()),
        }
    }

    /// Makes sure that the device is not in use, and that no program begins to use it.
    fn claim(&self) -> Result<File, AttachError> {
        let device = self.device;
        // First what is not ours to unmount, so that a refusal leaves everything as it is.
        let claims = claims_on(device, &self.record.mounts);
        if !claims.is_empty() {
            return Err(self.busy(claims));
        }
        self.unmount()?;
        let mut node = None;
        let mut failure = None;
        let decided = wait_until(PASSING_BY, || {
            match device.claim() {
                Ok(claimed) => node = claimed,
                Err(error) => failure = Some(error),
            }
            node.is_some() || failure.is_some()
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
        let Some(node) = node.filter(|_| decided) else {
            let mut holders = claims_on(device, &[]);
            holders.extend(hidden_mounts(device));
            holders.extend(self.open_by());
            return Err(self.busy(holders));
        };
        // Who has only opened the device would get errors from one moment to the next.
        if wait_until(PASSING_BY, || self.open_by().is_empty()) {
            return Ok(node);
        }
        Err(self.busy(self.open_by()))
    }

    fn open_by(&self) -> Vec<Holder> {
        open_by(self.device, Some(self.record.pid))
    }

    fn busy(&self, holders: Vec<Holder>) -> AttachError {
        AttachError::Busy {
            path: self.device.path(),
            holders,
        }
    }

    /// Unmounts what was mounted by attaching, and is still mounted.
    fn unmount(&self) -> Result<(), AttachError> {
        let still_mounted: Vec<PathBuf> = mounts_on(self.device)
            .into_iter()
            .map(|mount| mount.point)
            .filter(|point| self.record.mounts.contains(point))
            .collect();
        for point in still_mounted.into_iter().rev() {
            let mut failure = None;
            let gone = wait_until(PASSING_BY, || match unmount(&point) {
                Ok(gone) => gone,
                Err(error) => {
                    failure = Some(error);
                    true
                }
            });
            if let Some(failure) = failure {
                return Err(failure);
            }
            if !gone {
                let mut holders = users_of(&point);
                if holders.is_empty() {
                    let seen_by = None;
                    holders.push(Holder::Mount { point, seen_by });
                }
                return Err(self.busy(holders));
            }
        }
        Ok(())
    }

    fn wait_until_free(&self, kernel: &Kernel) -> Result<(), AttachError> {
        let device: Device = self.device;
        if wait_until(PATIENCE, || !kernel.is_occupied(device)) {
            return Ok(());
        }
        let mut holders = open_by(device, None);
        holders.extend(hidden_mounts(device));
        Err(AttachError::Lingering {
            path: device.path(),
            holders,
        })
    }
}

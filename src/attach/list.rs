//! What is attached.

use std::path::{Path, PathBuf};

use super::device::Device;
use super::mounts::mounts_on;
use super::record::Record;
use super::{AttachError, start_time};

/// What this program calls the devices that it attaches, for sysfs: the process and its start.
const BACKEND: &str = "ploopconv";

/// A disk that is attached.
#[derive(Debug, Clone)]
pub struct Attached {
    /// The device.
    pub device: Device,
    /// What is remembered of it. Where nothing is, the fields are empty but for those that the
    /// kernel shows.
    pub record: Record,
    /// Where it and its partitions are mounted now, by whomever.
    pub mounts: Vec<PathBuf>,
    /// Whether the kernel still has it. Where not, there is only a record to clean up.
    pub connected: bool,
}

impl Attached {
    /// Whether the process lives that serves it. Where it does not, every read is an error.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.record.is_served()
    }

    /// The beginning of a record, for this process: what its devices are called, and who serves
    /// them.
    #[must_use]
    pub fn record_of_this_process() -> Record {
        let pid = std::process::id();
        let started = start_time(pid).unwrap_or(0);
        Record {
            backend: backend(pid, started),
            pid,
            started,
            ..Record::default()
        }
    }

    /// The device, where it is ours: the kernel says so or, where it cannot, the record names the
    /// very process that connected it.
    fn of(device: Device) -> Option<Self> {
        let record = Record::load(device);
        let mounts = || {
            mounts_on(device)
                .into_iter()
                .map(|mount| mount.point)
                .collect()
        };
        let Some(backend) = device.backend() else {
            let record = record?;
            let connected = device.is_connected();
            let same_process = start_time(record.pid).is_none_or(|start| start == record.started);
            let by_us = same_process && record.ioctl.is_some() && device.pid() == record.ioctl;
            return (by_us || !connected).then(|| Self {
                device,
                mounts: mounts(),
                connected,
                record,
            });
        };
        let (pid, started) = parse_backend(&backend)?;
        let known = record.filter(|record| record.backend == backend);
        let record = known.unwrap_or(Record {
            backend,
            pid,
            started,
            ..Record::default()
        });
        Some(Self {
            device,
            mounts: mounts(),
            connected: true,
            record,
        })
    }
}

/// The backend string of a device for the kernel: the process that serves it.
fn backend(pid: u32, started: u64) -> String {
    format!("{BACKEND}:{pid}:{started}")
}

fn parse_backend(text: &str) -> Option<(u32, u64)> {
    let (pid, started) = text
        .strip_prefix(BACKEND)?
        .strip_prefix(':')?
        .split_once(':')?;
    Some((pid.parse().ok()?, started.parse().ok()?))
}

/// All disks that this program has attached on this machine, in the order of the devices. Anybody
/// may ask.
#[must_use]
pub fn attached() -> Vec<Attached> {
    let mut devices = Device::all();
    devices.extend(Record::devices());
    devices.sort();
    devices.dedup();
    let found = devices.into_iter().filter_map(Attached::of);
    found.collect()
}

/// Finds the attached disk that a device, a mount point or an image stands for.
///
/// # Errors
///
/// [`AttachError::NotAttached`], [`AttachError::NotOurs`] for a device that is connected to
/// something else, [`AttachError::Several`] where it is not clear which is meant.
pub fn find(what: &Path) -> Result<Attached, AttachError> {
    let path = || what.to_owned();
    if let Some(device) = Device::named(what) {
        return Attached::of(device).ok_or_else(|| match device.is_connected() {
            true => AttachError::NotOurs { path: path() },
            false => AttachError::NotAttached { path: path() },
        });
    }
    let all = attached();
    let real = std::fs::canonicalize(what).ok();
    let mut found: Vec<_> = all
        .iter()
        .filter(|it| {
            let is_real = |point: &PathBuf| Some(point) == real.as_ref() || point == what;
            it.mounts.iter().any(is_real)
        })
        .collect();
    if found.is_empty() {
        found = all.iter().filter(|it| it.record.is_of(what)).collect();
    }
    match &found[..] {
        [] => Err(AttachError::NotAttached { path: path() }),
        [only] => Ok((*only).clone()),
        several => Err(AttachError::Several {
            path: path(),
            devices: several.iter().map(|it| it.device.path()).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_name_is_ours() {
        assert_eq!(parse_backend(&backend(7, 8)), Some((7, 8)));
        for other in [
            "",
            "ploopconv",
            "ploopconv:7",
            "ploopconv:x:8",
            "nbdkit:7:8",
        ] {
            assert_eq!(parse_backend(other), None, "{other}");
        }
    }
}

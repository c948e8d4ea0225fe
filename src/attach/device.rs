//! One NBD or loop device of this machine: its node, and what sysfs says of it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use super::error::AttachError;
use crate::partition::PartitionLayout;
use crate::sys;

/// Where sysfs has the file that a loop device reads, while there is one.
const BACKING_FILE: &str = "loop/backing_file";

/// How long nodes in `/dev` and a device's end are waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Which driver of the kernel a device belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Driver {
    /// The one that asks a server over a socket.
    Nbd,
    /// The one that reads a file.
    Loop,
}

impl Driver {
    const ALL: [Self; 2] = [Self::Nbd, Self::Loop];

    /// What the names of its devices begin with.
    fn prefix(self) -> &'static str {
        match self {
            Self::Nbd => "nbd",
            Self::Loop => "loop",
        }
    }
}

/// One of the kernel's NBD or loop devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Device {
    driver: Driver,
    index: u32,
}

/// A partition that the kernel sees on a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceNode {
    /// Its number.
    pub number: u32,
    /// Its node.
    pub path: PathBuf,
}

impl Device {
    /// The device with this number, whether there is one or not.
    #[must_use]
    pub fn new(driver: Driver, index: u32) -> Self {
        Self { driver, index }
    }

    /// The device that a name stands for: `/dev/nbd3`, `nbd3`, `/dev/loop3`, or one of its
    /// partitions.
    #[must_use]
    pub fn named(name: &Path) -> Option<Self> {
        let folder = name.parent()?;
        if folder != Path::new("/dev") && folder != Path::new("") {
            return None;
        }
        let name = name.file_name()?.to_str()?;
        let (driver, rest) = Driver::ALL
            .into_iter()
            .find_map(|driver| Some((driver, name.strip_prefix(driver.prefix())?)))?;
        let index = match rest.split_once('p') {
            Some((index, partition)) => {
                number(partition)?;
                index
            }
            None => rest,
        };
        number(index).map(|index| Self::new(driver, index))
    }

    /// All devices of this machine, in the order of their numbers.
    pub(super) fn all() -> Vec<Self> {
        let names = names_in(Path::new("/sys/block"));
        let mut all: Vec<_> = names
            .iter()
            .filter_map(|name| {
                let device = Self::named(Path::new(name))?;
                (device.name() == *name).then_some(device)
            })
            .collect();
        all.sort();
        all
    }

    /// The driver of the device.
    #[must_use]
    pub fn driver(self) -> Driver {
        self.driver
    }

    /// The name that the kernel gives it.
    #[must_use]
    pub fn name(self) -> String {
        format!("{}{}", self.driver.prefix(), self.index)
    }

    /// The number of the device.
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }

    /// The node of the device.
    #[must_use]
    pub fn path(self) -> PathBuf {
        Path::new("/dev").join(self.name())
    }

    fn sysfs(self, name: &str) -> PathBuf {
        Path::new("/sys/block").join(self.name()).join(name)
    }

    fn sysfs_text(self, name: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.sysfs(name)).ok()?;
        Some(text.trim_end_matches('\n').to_owned())
    }

    /// What the server called itself when it connected the device, as sysfs has it: the backend
    /// string of an NBD device, the name of the file that a loop device reads.
    pub(super) fn backend(self) -> Option<String> {
        match self.driver {
            Driver::Nbd => self.sysfs_text("backend"),
            Driver::Loop => {
                let file = PathBuf::from(self.sysfs_text(BACKING_FILE)?);
                Some(file.file_name()?.to_string_lossy().into_owned())
            }
        }
    }

    /// Whether a loop device reads its file past the page cache of that file's own.
    pub(super) fn reads_directly(self) -> bool {
        self.sysfs_text("loop/dio").as_deref() == Some("1")
    }

    /// The process that connected the device, or its thread that did so by ioctls; it need not
    /// live any more.
    pub(super) fn pid(self) -> Option<u32> {
        self.sysfs_text("pid")?.trim().parse().ok()
    }

    /// The size in bytes; 0 where nothing is attached.
    #[must_use]
    pub fn size(self) -> u64 {
        let sectors = self.sysfs_text("size");
        let sectors: Option<u64> = sectors.and_then(|text| text.trim().parse().ok());
        sectors.unwrap_or(0).saturating_mul(512)
    }

    /// Whether something is connected to it.
    pub(super) fn is_connected(self) -> bool {
        self.sysfs(match self.driver {
            Driver::Nbd => "pid",
            Driver::Loop => BACKING_FILE,
        })
        .exists()
    }

    /// The numbers that the kernel knows the device and its partitions by, as `major:minor`.
    pub(super) fn numbers(self) -> Vec<String> {
        let mut numbers: Vec<_> = self.sysfs_text("dev").into_iter().collect();
        for name in self.partition_names() {
            numbers.extend(self.sysfs_text(&format!("{name}/dev")));
        }
        numbers
    }

    /// The names of the partitions that the kernel sees, such as `nbd0p1`.
    fn partition_names(self) -> Vec<String> {
        let prefix = format!("{}p", self.name());
        let mut names = names_in(&self.sysfs(""));
        names.retain(|name| name.strip_prefix(&prefix).and_then(number).is_some());
        names
    }

    /// The names in sysfs of devices that are built on this one: LVM, md, multipath.
    pub(super) fn built_on(self) -> Vec<String> {
        let mut names = names_in(&self.sysfs("holders"));
        for partition in self.partition_names() {
            names.extend(names_in(&self.sysfs(&format!("{partition}/holders"))));
        }
        names
    }

    /// The partitions that the kernel sees, in the order of their numbers.
    #[must_use]
    pub fn partitions(self) -> Vec<DeviceNode> {
        let prefix = format!("{}p", self.name());
        let mut nodes: Vec<_> = self
            .partition_names()
            .iter()
            .filter_map(|name| {
                let number = number(name.strip_prefix(&prefix)?)?;
                let path = Path::new("/dev").join(name);
                Some(DeviceNode { number, path })
            })
            .collect();
        nodes.sort();
        nodes
    }

    /// Waits until the device has its node.
    pub(super) fn wait_for_node(self) -> Result<(), AttachError> {
        wait_for_node(&self.path())
    }

    /// Opens the node for reading.
    pub(super) fn open(self) -> Result<File, AttachError> {
        let path = self.path();
        File::open(&path).map_err(|source| AttachError::Device {
            doing: "opening",
            path,
            source,
        })
    }

    /// Opens the node as its only user: refused while the device or a partition of it is mounted
    /// or claimed. `None` where it is.
    pub(super) fn claim(self) -> Result<Option<File>, AttachError> {
        let path = self.path();
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_EXCL.bits())
            .open(&path);
        match file {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(None),
            Err(source) => Err(AttachError::Device {
                doing: "claiming",
                path,
                source,
            }),
        }
    }

    /// Makes the kernel see the partitions of the disk, and waits for their nodes.
    ///
    /// The kernel looks for partitions when a device is opened first. It does not know the backup
    /// of a damaged GPT and finds nothing where its module was loaded with `max_part=0`: the
    /// others are added to it.
    ///
    /// # Errors
    ///
    /// [`AttachError::Device`] where the device cannot be opened, [`AttachError::NoNode`] where
    /// a node does not appear.
    pub fn find_partitions(self, layout: Option<&PartitionLayout>) -> Result<(), AttachError> {
        wait_for_node(&self.path())?;
        let device = self.open()?;
        let wanted: Vec<_> = layout.map_or_else(Vec::new, |layout| {
            let real = layout.partitions.iter().filter(|part| !part.is_extended);
            real.collect()
        });
        let missing =
            |nodes: &[DeviceNode], wanted: u32| nodes.iter().all(|node| node.number != wanted);
        if wanted
            .iter()
            .any(|part| missing(&self.partitions(), part.number))
        {
            // Refused where the driver was loaded without partitions; they are added below.
            let _ = sys::reread_partitions(&device);
        }
        let found = self.partitions();
        for partition in wanted {
            if missing(&found, partition.number) {
                sys::add_partition(&device, partition.number, partition.start, partition.len)
                    .map_err(|source| AttachError::Partition {
                        number: partition.number,
                        path: self.path(),
                        source,
                    })?;
            }
        }
        for node in self.partitions() {
            wait_for_node(&node.path)?;
        }
        Ok(())
    }

    /// Lets the kernel forget the partitions: their nodes would outlive the device.
    pub(super) fn forget_partitions(self, device: &File) {
        for node in self.partitions() {
            // One that is in use stays, and is found by the search for holders.
            let _ = sys::delete_partition(device, node.number);
        }
    }

    /// How far the kernel reads ahead, in KiB.
    #[must_use]
    pub fn read_ahead(self) -> Option<u32> {
        self.sysfs_text("queue/read_ahead_kb")?.trim().parse().ok()
    }

    /// Sets how far the kernel reads ahead, in KiB. The value stays with the device, also for
    /// its next user.
    pub fn set_read_ahead(self, kib: u32) {
        // Only speed depends on it.
        let _ = std::fs::write(self.sysfs("queue/read_ahead_kb"), kib.to_string());
    }
}

/// A number in decimal digits and nothing else.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Waits until a block device has its node.
fn wait_for_node(path: &Path) -> Result<(), AttachError> {
    let is_there = || std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_block_device());
    if wait_until(PATIENCE, is_there) {
        return Ok(());
    }
    let path = path.to_owned();
    Err(AttachError::NoNode { path })
}

/// Asks again and again, for at most so long, until something is so.
pub(crate) fn wait_until(patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if is_so() {
            return true;
        }
        if start.elapsed() >= patience {
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_known_by_its_node_and_by_those_of_its_partitions() {
        let named = |name: &str| Device::named(Path::new(name)).map(Device::index);
        assert_eq!(named("/dev/nbd0"), Some(0));
        assert_eq!(named("nbd12"), Some(12));
        assert_eq!(named("/dev/nbd3p15"), Some(3));
        let driver = |name: &str| Device::named(Path::new(name)).map(Device::driver);
        assert_eq!(driver("/dev/nbd0"), Some(Driver::Nbd));
        assert_eq!(driver("/dev/loop7p1"), Some(Driver::Loop));
        assert_eq!(named("/dev/loop7p1"), Some(7));
        for other in [
            "/dev/nbd",
            "/dev/loop-control",
            "/dev/loop",
            "/dev/nbd+1",
            "/dev/nbd1p",
            "/dev/nbdp1",
            "/dev/nbd99999999999",
            "/dev/sda",
            "/mnt/nbd0",
            "nbd1/x",
            "",
        ] {
            assert_eq!(named(other), None, "{other}");
        }
    }
}

//! What is remembered of an attached disk, so that it can be listed and taken away when its
//! server is gone: a small file a device.
//!
//! A line a fact, `name value`. In a value every byte that is no plain character is written as
//! `%` and two digits, so a path of any bytes is one line.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::device::Device;
use super::error::AttachError;
use crate::util::percent;

/// Where records are kept: gone with the machine, as the devices are.
pub const STATE_DIR: &str = "/run/ploopconv";

/// What is remembered of an attached disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The backend string that the kernel has for the device.
    pub backend: String,
    /// The process that serves it.
    pub pid: u32,
    /// When that process was started; see [`start_time`](super::start_time).
    pub started: u64,
    /// IMAGE, as it was given.
    pub given: PathBuf,
    /// IMAGE without symbolic links, where it is a path.
    pub image: Option<PathBuf>,
    /// The snapshot that was asked for.
    pub snapshot: Option<String>,
    /// The partition that is served as if it were a disk.
    pub partition: Option<u32>,
    /// The files that the disk is read from, base first.
    pub layers: Vec<PathBuf>,
    /// Whether it takes writes, which go to a layer of its own.
    pub writable: bool,
    /// The file of that layer, where it has a name; removed in the end.
    pub overlay: Option<OverlayFile>,
    /// The directories that were mounted with it.
    pub mounts: Vec<PathBuf>,
    /// How far the kernel read ahead before, in KiB.
    pub read_ahead: Option<u32>,
    /// Where the server writes what went wrong.
    pub log: Option<PathBuf>,
    /// The thread of the server that is inside the kernel, where the device had to be connected
    /// by ioctls.
    pub ioctl: Option<u32>,
}

/// A file that is to be removed, and nothing else that has its name by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayFile {
    /// Its name.
    pub path: PathBuf,
    /// Device and inode number.
    pub identity: (u64, u64),
}

impl OverlayFile {
    /// Removes the file, where it is still the same.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn remove(&self) -> io::Result<()> {
        match std::fs::symlink_metadata(&self.path) {
            Ok(meta) if (meta.dev(), meta.ino()) == self.identity => {
                std::fs::remove_file(&self.path)
            }
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn file(dir: &Path, device: Device) -> PathBuf {
    dir.join(device.name())
}

/// Where the server of a device writes what went wrong when it is in the background.
#[must_use]
pub fn log_file(device: Device) -> PathBuf {
    file(Path::new(STATE_DIR), device).with_extension("log")
}

/// Where a log is put that has become too long.
#[must_use]
pub fn old_log_file(device: Device) -> PathBuf {
    log_file(device).with_extension("log.old")
}

/// Makes the folder of the records.
pub(crate) fn make_folder(dir: &Path) -> Result<(), AttachError> {
    let mut builder = DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o755)
        .create(dir)
        .map_err(|source| failed("creating", dir, source))
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> AttachError {
    AttachError::Device {
        doing,
        path: path.to_owned(),
        source,
    }
}

impl Record {
    /// Whether the process that serves the device lives.
    #[must_use]
    pub fn is_served(&self) -> bool {
        super::start_time(self.pid) == Some(self.started)
    }

    /// Whether IMAGE, as somebody types it later, is what this disk is read from: what was typed,
    /// the same file or folder, or a layer, or the folder around them.
    #[must_use]
    pub fn is_of(&self, image: &Path) -> bool {
        let Ok(real) = std::fs::canonicalize(image) else {
            // A container's id, or a file that is gone by now.
            return self.given == image || self.image.as_deref() == Some(image);
        };
        let folders = || self.layers.iter().filter_map(|layer| layer.parent());
        self.image.as_ref() == Some(&real)
            || self.layers.contains(&real)
            || folders().any(|folder| folder == real || folder.join("DiskDescriptor.xml") == real)
            // A container's private area has its disk in a folder of its own.
            || folders().any(|folder| folder == real.join("root.hdd"))
    }

    /// Remembers this for a device, in place of what was remembered before.
    ///
    /// # Errors
    ///
    /// [`AttachError::Device`] where it cannot be written.
    pub fn save(&self, device: Device) -> Result<(), AttachError> {
        let dir = Path::new(STATE_DIR);
        make_folder(dir)?;
        self.save_in(dir, device)
    }

    fn save_in(&self, dir: &Path, device: Device) -> Result<(), AttachError> {
        let path = file(dir, device);
        // Complete or absent: a list of devices may be read at any moment.
        let new = path.with_extension("new");
        std::fs::write(&new, self.to_text())
            .and_then(|()| std::fs::rename(&new, &path))
            .map_err(|source| failed("writing", &path, source))
    }

    /// What is remembered of a device.
    #[must_use]
    pub fn load(device: Device) -> Option<Self> {
        Self::load_from(Path::new(STATE_DIR), device)
    }

    fn load_from(dir: &Path, device: Device) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(file(dir, device)).ok()?)
    }

    /// The devices of which something is remembered.
    pub(super) fn devices() -> Vec<Device> {
        let entries = std::fs::read_dir(STATE_DIR).into_iter().flatten().flatten();
        let mut devices: Vec<_> = entries
            .filter_map(|entry| Device::named(Path::new(&entry.file_name())))
            .collect();
        devices.sort();
        devices
    }

    /// Forgets a device: its record, its log, and the file of its private layer.
    ///
    /// # Errors
    ///
    /// [`AttachError::Device`] where that file cannot be removed.
    pub fn clean_up(&self, device: Device) -> Result<(), AttachError> {
        let result = self.overlay.as_ref().map_or(Ok(()), |overlay| {
            overlay
                .remove()
                .map_err(|source| failed("removing", &overlay.path, source))
        });
        // The device may be somebody else's by now.
        if Self::load(device).is_none_or(|record| record.backend == self.backend) {
            for log in [log_file(device), old_log_file(device)] {
                let _ = std::fs::remove_file(log);
            }
            let _ = std::fs::remove_file(file(Path::new(STATE_DIR), device));
        }
        result
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &[u8]| {
            text += name;
            text.push(' ');
            percent::escape(value, |_| false, &mut text);
            text.push('\n');
        };
        let mut number = |name: &str, value: u64| line(name, value.to_string().as_bytes());
        number("pid", self.pid.into());
        number("started", self.started);
        number("writable", self.writable.into());
        if let Some(thread) = self.ioctl {
            number("ioctl", thread.into());
        }
        if let Some(partition) = self.partition {
            number("partition", partition.into());
        }
        if let Some(kib) = self.read_ahead {
            number("read-ahead", kib.into());
        }
        line("backend", self.backend.as_bytes());
        if let Some(snapshot) = &self.snapshot {
            line("snapshot", snapshot.as_bytes());
        }
        let mut path = |name: &str, path: &Path| line(name, path.as_os_str().as_bytes());
        path("given", &self.given);
        if let Some(image) = &self.image {
            path("image", image);
        }
        for layer in &self.layers {
            path("layer", layer);
        }
        for dir in &self.mounts {
            path("mount", dir);
        }
        if let Some(log) = &self.log {
            path("log", log);
        }
        if let Some(overlay) = &self.overlay {
            path("overlay", &overlay.path);
            let (device, inode) = overlay.identity;
            line("overlay-device", device.to_string().as_bytes());
            line("overlay-inode", inode.to_string().as_bytes());
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut record = Self::default();
        let (mut overlay, mut identity) = (None, (0, 0));
        for line in text.lines() {
            let (name, value) = line.split_once(' ')?;
            let value = percent::unescape(value)?;
            let path = || PathBuf::from(OsString::from_vec(value.clone()));
            let string = || String::from_utf8(value.clone()).ok();
            let number = || -> Option<u64> { string()?.parse().ok() };
            let short = || u32::try_from(number()?).ok();
            match name {
                "pid" => record.pid = short()?,
                "started" => record.started = number()?,
                "writable" => record.writable = number()? == 1,
                "ioctl" => record.ioctl = Some(short()?),
                "partition" => record.partition = Some(short()?),
                "read-ahead" => record.read_ahead = Some(short()?),
                "backend" => record.backend = string()?,
                "snapshot" => record.snapshot = Some(string()?),
                "given" => record.given = path(),
                "image" => record.image = Some(path()),
                "layer" => record.layers.push(path()),
                "mount" => record.mounts.push(path()),
                "log" => record.log = Some(path()),
                "overlay" => overlay = Some(path()),
                "overlay-device" => identity.0 = number()?,
                "overlay-inode" => identity.1 = number()?,
                // Of a later version.
                _ => {}
            }
        }
        record.overlay = overlay.map(|path| OverlayFile { path, identity });
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::super::device::Driver;
    use super::*;

    #[test]
    fn what_is_remembered_is_what_was_saved_whatever_bytes_a_path_has() {
        let dir = tempfile::tempdir().unwrap();
        let odd = PathBuf::from(OsString::from_vec(b"/a b/%41\n\xff\xc3\xa4".to_vec()));
        let record = Record {
            backend: "ploopconv:7:8".to_owned(),
            pid: 7,
            started: 8,
            given: "101".into(),
            image: Some(odd.clone()),
            snapshot: Some("{x}".to_owned()),
            partition: Some(2),
            layers: vec!["/a/root.hdd".into(), odd.clone()],
            writable: true,
            overlay: Some(OverlayFile {
                path: odd,
                identity: (u64::MAX, 3),
            }),
            mounts: vec!["/mnt".into(), "/mnt 2".into()],
            read_ahead: Some(128),
            log: Some("/run/x.log".into()),
            ioctl: Some(9),
        };
        let device = Device::new(Driver::Nbd, 3);
        record.save_in(dir.path(), device).unwrap();
        assert_eq!(Record::load_from(dir.path(), device), Some(record));
        assert_eq!(
            Record::load_from(dir.path(), Device::new(Driver::Loop, 3)),
            None
        );
    }

    #[test]
    fn text_that_was_spoiled_is_no_record() {
        for text in [
            "pid",
            "pid x\n",
            "given %4\n",
            "given %zz\n",
            "pid 99999999999\n",
        ] {
            assert_eq!(Record::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_the_file_that_was_made_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("overlay");
        std::fs::write(&path, "").unwrap();
        let meta = std::fs::metadata(&path).unwrap();
        let ours = OverlayFile {
            path: path.clone(),
            identity: (meta.dev(), meta.ino()),
        };
        let other = OverlayFile {
            path: path.clone(),
            identity: (meta.dev(), meta.ino() + 1),
        };
        other.remove().unwrap();
        assert!(path.exists());
        ours.remove().unwrap();
        assert!(!path.exists());
        ours.remove().unwrap();
    }
}

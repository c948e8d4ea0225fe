//! What a mount says of itself in the name of its source: who serves it, and what it is.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::attach::Record;
use crate::util::percent;

/// What sources of our mounts begin with.
const OURS: &str = "ploopconv";

/// The most bytes of a source: options of a mount have to fit in a page together.
const LONGEST: usize = 2048;

/// What a mount shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shown {
    /// The files of a file system.
    #[default]
    Files,
    /// The disk and its partitions, each as a file.
    Disk,
}

/// What a mount says of itself.
///
/// Anybody can mount something under any name: it is believed for lists only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountLabel {
    /// The process that serves it.
    pub pid: u32,
    /// When that process was started; see [`start_time`](crate::attach::start_time).
    pub started: u64,
    /// What it shows.
    pub shown: Shown,
    /// IMAGE without symbolic links or, where it is no path, as it was given; empty where it is not
    /// known.
    pub image: PathBuf,
    /// The snapshot that was asked for.
    pub snapshot: Option<String>,
    /// The partition that was asked for.
    pub partition: Option<u32>,
}

/// Of the file behind an attached disk.
impl From<&Record> for MountLabel {
    fn from(record: &Record) -> Self {
        Self {
            pid: record.pid,
            started: record.started,
            shown: Shown::Disk,
            image: record.image.clone().unwrap_or_else(|| record.given.clone()),
            snapshot: record.snapshot.clone(),
            partition: record.partition,
        }
    }
}

impl MountLabel {
    /// The source of a mount for it. A path that is too long for it is left out.
    pub(super) fn to_source(&self) -> String {
        let short = Self {
            image: PathBuf::new(),
            ..self.clone()
        };
        let text = self.in_full();
        match text.len() > LONGEST {
            true => short.in_full(),
            false => text,
        }
    }

    fn in_full(&self) -> String {
        let mut text = format!("{OURS}:{}:{}", self.pid, self.started);
        let mut add = |name: &str, value: &[u8]| {
            text += &format!(":{name}=");
            // Of those who read options of mounts, some stop at a comma, or drop a backslash.
            percent::escape(value, |byte| b":,\\\"'".contains(&byte), &mut text);
        };
        if self.shown == Shown::Disk {
            add("shows", b"disk");
        }
        if let Some(number) = self.partition {
            add("partition", number.to_string().as_bytes());
        }
        if let Some(snapshot) = &self.snapshot {
            add("snapshot", snapshot.as_bytes());
        }
        if !self.image.as_os_str().is_empty() {
            add("image", self.image.as_os_str().as_bytes());
        }
        text
    }

    /// Reads the source of a mount; `None` where it is not one of ours.
    pub(super) fn parse(source: &Path) -> Option<Self> {
        let mut fields = source.to_str()?.split(':');
        if fields.next()? != OURS {
            return None;
        }
        let mut label = Self {
            pid: fields.next()?.parse().ok()?,
            started: fields.next()?.parse().ok()?,
            ..Self::default()
        };
        for field in fields {
            let (name, value) = field.split_once('=')?;
            let value = percent::unescape(value)?;
            let text = || String::from_utf8(value.clone()).ok();
            match name {
                "shows" => label.shown = Shown::Disk,
                "partition" => label.partition = Some(text()?.parse().ok()?),
                "snapshot" => label.snapshot = Some(text()?),
                "image" => label.image = PathBuf::from(OsString::from_vec(value)),
                // Of a later version.
                _ => {}
            }
        }
        Some(label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_mount_says_is_what_was_said_whatever_bytes_a_path_has() {
        let odd = OsString::from_vec(b"/a b,c:d=e\\f%41\n\xff".to_vec());
        let label = MountLabel {
            pid: 7,
            started: 8,
            shown: Shown::Disk,
            image: odd.into(),
            snapshot: Some("a, b".to_owned()),
            partition: Some(2),
        };
        let source = label.to_source();
        assert!(!source.contains([',', '\\', ' ']), "{source}");
        assert_eq!(MountLabel::parse(Path::new(&source)), Some(label.clone()));
        let long = MountLabel {
            image: "x".repeat(LONGEST).into(),
            ..label
        };
        let read = MountLabel::parse(Path::new(&long.to_source())).unwrap();
        assert_eq!(read.image, Path::new(""));
    }

    #[test]
    fn sources_of_others_are_not_ours() {
        for other in [
            "",
            "ploopconv",
            "ploopconv:7",
            "ploopconv:x:8",
            "sshfs:7:8",
            "ploopconv:7:8:image=%4",
            "ploopconv:7:8:x",
        ] {
            assert_eq!(MountLabel::parse(Path::new(other)), None, "{other}");
        }
    }
}

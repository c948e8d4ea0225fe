//! A line for a file, as `ls` prints it and as scripts read it.

use std::io::Write;

use anyhow::Context;
use ploopconv::tree::{FileType, Metadata, Moment};
use ploopconv::util::text::safe_bytes;
use ploopconv::util::time::iso;
use serde::Serialize;

use crate::cli::files::{Hex, JsonPath};
use crate::cli::output::{Stdout, safe_json};

/// How files are shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum Format {
    /// By their names.
    Names,
    /// A line with what `ls -l` shows.
    Long,
    /// An object of an array.
    Json {
        /// What stands before the next object.
        separator: &'static str,
    },
}

/// A file that is shown.
pub(super) struct Row<'a> {
    /// As people see it.
    name: &'a [u8],
    /// From the root on.
    path: &'a [u8],
    inode: u64,
    file_type: Option<FileType>,
    /// `None` where it cannot be read.
    pub(super) metadata: Option<Metadata>,
    pub(super) target: Option<Vec<u8>>,
    /// Whether it has an ACL; looked at for the long form only.
    pub(super) has_acl: bool,
}

impl Format {
    pub(super) fn write(&mut self, row: &Row<'_>, out: &mut impl Write) -> anyhow::Result<()> {
        match self {
            Self::Names => writeln!(out, "{}", safe_bytes(row.name)),
            Self::Long => writeln!(out, "{}", row.long()),
            Self::Json { separator } => {
                let text = serde_json::to_string(&row.json())?;
                let before = std::mem::replace(separator, ",\n");
                write!(out, "{before}    {}", safe_json(&text))
            }
        }
        .context(Stdout)
    }
}

impl<'a> Row<'a> {
    pub(super) fn new(
        name: &'a [u8],
        path: &'a [u8],
        inode: u64,
        file_type: Option<FileType>,
    ) -> Self {
        Self {
            name,
            path,
            inode,
            file_type,
            metadata: None,
            target: None,
            has_acl: false,
        }
    }

    fn long(&self) -> String {
        let name = safe_bytes(self.name);
        let Some(metadata) = &self.metadata else {
            let letter = self.file_type.map_or('?', FileType::letter);
            let (mode, time) = ("?????????", "?");
            return format!(
                "{letter}{mode} {time:>3} {time:>5} {time:>5} {time:>10} {time:>20} {name}"
            );
        };
        let size = match metadata.device {
            Some(device) => format!("{}, {}", device.major, device.minor),
            None => metadata.size.to_string(),
        };
        let Metadata {
            links, uid, gid, ..
        } = metadata;
        let mode = mode(metadata);
        let time = iso(metadata.modified.seconds);
        // As GNU ls has it. It takes the place of a blank where there is one to spare.
        let plus = match (self.has_acl, *links > 99) {
            (false, _) => " ",
            (true, false) => "+",
            (true, true) => "+ ",
        };
        let mut line = format!("{mode}{plus}{links:>3} {uid:>5} {gid:>5} {size:>10} {time} {name}");
        if let Some(target) = &self.target {
            line += &format!(" -> {}", safe_bytes(target));
        }
        line
    }

    fn json(&self) -> JsonRow {
        let metadata = self.metadata.as_ref();
        let file_type = metadata.map_or(self.file_type, |metadata| Some(metadata.file_type));
        let device = metadata.and_then(|metadata| metadata.device);
        let moment = |of: fn(&Metadata) -> Moment| metadata.map(|metadata| exactly(of(metadata)));
        let target = self.target.as_deref();
        JsonRow {
            path: JsonPath::of(self.path),
            kind: file_type.map(FileType::name),
            inode: self.inode,
            mode: metadata.map(|metadata| format!("{:04o}", metadata.permissions)),
            links: metadata.map(|metadata| metadata.links),
            uid: metadata.map(|metadata| metadata.uid),
            gid: metadata.map(|metadata| metadata.gid),
            size: metadata.map(|metadata| metadata.size),
            allocated: metadata.map(|metadata| metadata.sectors.saturating_mul(512)),
            major: device.map(|device| device.major),
            minor: device.map(|device| device.minor),
            accessed: moment(|metadata| metadata.accessed),
            modified: moment(|metadata| metadata.modified),
            changed: moment(|metadata| metadata.changed),
            created: metadata.and_then(|metadata| metadata.created.map(exactly)),
            target: target.map(|target| String::from_utf8_lossy(target).into_owned()),
            target_hex: target.and_then(Hex::of),
        }
    }
}

/// A file in a JSON report.
#[derive(Debug, Serialize)]
struct JsonRow {
    #[serde(flatten)]
    path: JsonPath,
    #[serde(rename = "type")]
    kind: Option<&'static str>,
    inode: u64,
    mode: Option<String>,
    links: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    size: Option<u64>,
    allocated: Option<u64>,
    major: Option<u32>,
    minor: Option<u32>,
    accessed: Option<String>,
    modified: Option<String>,
    changed: Option<String>,
    created: Option<String>,
    target: Option<String>,
    target_hex: Option<Hex>,
}

/// A time with all its digits.
fn exactly(moment: Moment) -> String {
    let seconds = iso(moment.seconds);
    let seconds = seconds.trim_end_matches('Z');
    format!("{seconds}.{:09}Z", moment.nanoseconds)
}

/// Type and permissions, as `ls -l` shows them.
fn mode(metadata: &Metadata) -> String {
    let bits = metadata.permissions;
    let mut text = String::from(metadata.file_type.letter());
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let three = bits >> shift;
        text.push(if three & 4 == 0 { '-' } else { 'r' });
        text.push(if three & 2 == 0 { '-' } else { 'w' });
        text.push(match (three & 1 != 0, bits & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

//! What to type next, where there is something to type.

mod images;
mod retry;

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;

use nix::errno::Errno;
use ploopconv::attach::AttachError;
use ploopconv::partition::FileSystem;
use ploopconv::ploop::{Alternative, FindingKind, OtherReading, SelectError, SnapshotInfo};
use ploopconv::qcow2::LayoutError;
use ploopconv::source::is_bad_sector;
use ploopconv::{Error, text};
use serde::Serialize;

pub(crate) use self::retry::Typed;

/// One thing that a user could do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Hint {
    /// What for, or what to do.
    pub(crate) text: String,
    /// The command that does it, as a shell takes it.
    pub(crate) command: Option<String>,
    /// What is shown of the command: all of it, or the option to add.
    #[serde(skip)]
    shown: Option<String>,
}

impl Hint {
    /// Something to do outside of the program.
    pub(crate) fn say(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            text,
            command: None,
            shown: None,
        }
    }

    /// A command to run.
    pub(crate) fn run(text: impl Into<String>, command: String) -> Self {
        Self {
            text: text.into(),
            shown: Some(command.clone()),
            command: Some(command),
        }
    }

    /// The same command with one more option.
    fn add(text: impl Into<String>, option: &str, typed: &Typed) -> Self {
        Self {
            text: text.into(),
            command: Some(typed.adding(option)),
            shown: Some(format!("add {option}")),
        }
    }

    /// Another command that tells more about a path; nothing for one who has just run it.
    fn look(text: &str, command: &str, path: &Path, typed: &Typed) -> Option<Self> {
        let line = format!("ploopconv {command} {}", quoted(path));
        (!typed.is_command(command)).then(|| Self::run(text, line))
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shown {
            Some(shown) => write!(f, "{}: {shown}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// Advice for an error; empty where the error says it all.
pub(crate) fn hint(error: &Error, typed: &Typed) -> Vec<Hint> {
    match error {
        Error::Refused(refused) => {
            let mut hints = hint(&refused.error, typed);
            // An option of the error's own would not change that the names may be wrong.
            if matches!(refused.error, Error::Outside { .. }) {
                hints.clear();
            }
            hints.extend(alternative(&refused.instead, typed));
            hints
        }
        Error::Damaged { path, first, .. } => {
            let text = "to see everything that is wrong";
            let mut hints: Vec<_> = Hint::look(text, "check", path, typed).into_iter().collect();
            if first.kind.is_salvageable() {
                let text = "to convert what is left, with zeros for the rest";
                hints.push(Hint::add(text, "--salvage", typed));
            }
            let instead = first.instead.iter();
            hints.extend(instead.flat_map(|instead| alternative(instead, typed)));
            hints
        }
        Error::InUse { kind, .. } => in_use(*kind, typed),
        Error::Changed { .. } => {
            vec![Hint::say(
                "stop whatever writes to it, or convert a copy or a snapshot",
            )]
        }
        Error::Unplanned { .. } => vec![Hint::say(
            "stop whatever writes to the image, or convert a copy or a snapshot",
        )],
        Error::Io { doing, source, .. } => io_error(doing, source, typed),
        Error::Select {
            source:
                SelectError::NoSuchSnapshot(_)
                | SelectError::SeveralSnapshots { .. }
                | SelectError::NoTop(_),
            snapshots,
            ..
        } => {
            let hint = |shot: &SnapshotInfo| {
                let guid = shot.guid.to_string();
                let option = format!("--snapshot {}", bare(&guid));
                Hint::run(shot_text(shot), typed.with(typed.image(), &[option]))
            };
            snapshots.iter().map(hint).collect()
        }
        Error::NoSuchPartition { .. }
        | Error::ExtendedPartition { .. }
        | Error::NoTable { .. }
        | Error::PartitionTable { .. } => partition(error),
        Error::NoRoom { .. }
        | Error::TargetExists { .. }
        | Error::Qcow2 { .. }
        | Error::Attach { .. } => target(error, typed),
        other => images::hint(other, typed),
    }
}

/// What a snapshot is called, for a list of them.
fn shot_text(shot: &SnapshotInfo) -> String {
    let mut text = "there is ".to_owned();
    match (&shot.name, shot.top) {
        (Some(name), _) => text += &format!("{name:?}"),
        (None, true) => text += "the current state",
        (None, false) => text += "a snapshot without a name",
    }
    if let Some(taken) = &shot.taken {
        text += &format!(" of {taken}");
    }
    text
}

/// What could be read instead.
pub(crate) fn alternative(instead: &Alternative, typed: &Typed) -> Option<Hint> {
    let image = typed.image();
    match instead {
        Alternative::Snapshot(guid) => Some(Hint::run(
            "the disk as it was at the nearest snapshot below, which is closed and complete",
            typed.with(image, &[format!("--snapshot {}", bare(&guid.to_string()))]),
        )),
        Alternative::Layers {
            folder,
            layers,
            why,
        } => {
            let names = layers.iter().map(|layer| {
                let raw = if layer.raw { "raw:" } else { "" };
                // A comma separates the layers.
                let name = layer.file.to_str().filter(|name| !name.contains(','))?;
                Some(format!("{raw}{name}"))
            });
            let names = names.collect::<Option<Vec<_>>>()?.join(",");
            let layers = format!("--layers {}", shell_word(names.as_ref()));
            let command = typed.with(folder, &[layers]);
            Some(match why {
                OtherReading::RawBase => {
                    Hint::run("if its base is a raw disk and the label is wrong", command)
                }
                OtherReading::ImageBase => Hint::run(
                    "if its base is a ploop image and the label is wrong",
                    command,
                ),
                OtherReading::BesideDescriptor => Hint::run(
                    "if the files in the folder of the descriptor are the disk's own",
                    command,
                ),
            })
        }
        Alternative::OtherDisk(folder) => Some(Hint::say(format!(
            "that file belongs to the disk in {}, and the descriptor may be a copy of its \
             descriptor: name the disk that is meant",
            folder.display()
        ))),
        _ => None,
    }
}

/// What to do about a refusal of the operating system.
fn io_error(doing: &str, error: &io::Error, typed: &Typed) -> Vec<Hint> {
    if doing.starts_with("reading") && is_bad_sector(error) {
        let text = "to read on over what the device does not give";
        return vec![Hint::add(text, "--salvage", typed)];
    }
    let looking = ["opening", "looking for", "resolving", "listing", "reading"];
    let is_looking = looking.iter().any(|word| doing.starts_with(word));
    let errno = error.raw_os_error().map(Errno::from_raw);
    let text = match (errno, error.kind()) {
        (Some(Errno::ESTALE), _) => "the mount is stale: unmount it and mount it again",
        (Some(Errno::EIO), _) if is_looking => {
            "the device or the mount under it fails: dmesg says more; a disk that fails is copied \
             with ddrescue first"
        }
        (Some(Errno::ELOOP), _) => "symbolic links on the way lead in a circle",
        (Some(Errno::ENOENT), _) if doing == "resolving" => {
            "it is a symbolic link, and what it leads to is not there"
        }
        (Some(Errno::ENOTCONN), _) => "the server of this mount is gone: unmount it",
        (_, ErrorKind::PermissionDenied) if is_looking => {
            "this user may not read it: run the same command as root, or as its owner"
        }
        _ => return Vec::new(),
    };
    vec![Hint::say(text)]
}

/// What to do about a partition that cannot be read.
fn partition(error: &Error) -> Vec<Hint> {
    let text = match error {
        Error::NoSuchPartition { available, .. } if available.is_empty() => {
            "its partition table is empty; without --partition the whole disk is read".to_owned()
        }
        Error::NoSuchPartition { available, .. } | Error::ExtendedPartition { available, .. } => {
            let numbers: Vec<_> = available.iter().map(ToString::to_string).collect();
            format!("there are: {}", numbers.join(" "))
        }
        Error::NoTable {
            whole: Some(FileSystem::Luks),
        } => "without --partition the encrypted disk is read as it is; its partitions can be \
              seen after cryptsetup open"
            .to_owned(),
        _ => "without --partition the whole disk is read".to_owned(),
    };
    vec![Hint::say(text)]
}

/// What to do about a target, or a device that the disk is attached to.
fn target(error: &Error, typed: &Typed) -> Vec<Hint> {
    match error {
        Error::NoRoom { .. } => vec![Hint::say(
            "choose a target with more room; zeros that are stored need none with --sparse",
        )],
        Error::TargetExists { .. } => vec![Hint::add("to replace it", "-f", typed)],
        Error::Qcow2 {
            source: LayoutError::TooLarge {
                enough: Some(size), ..
            },
        } => vec![Hint::add(
            "larger clusters can",
            &format!("--cluster-size {size}"),
            typed,
        )],
        Error::Attach {
            source: AttachError::NotAttached { .. },
        } => vec![Hint::run(
            "to see what is attached",
            "ploopconv attached".to_owned(),
        )],
        _ => Vec::new(),
    }
}

/// What to do about a sign that an image is in use.
fn in_use(kind: FindingKind, typed: &Typed) -> Vec<Hint> {
    match kind {
        FindingKind::Attached => vec![Hint::say(
            "stop the container (or unmount the image), or take a snapshot and read that",
        )],
        FindingKind::Locked | FindingKind::OpenForWriting => vec![
            Hint::say("let it end first"),
            Hint::add(
                "to read the image all the same, and to be refused at the end if it changed",
                "--allow-dirty",
                typed,
            ),
        ],
        _ => vec![
            Hint::say("stop the container, or unmount the image, first"),
            Hint::add("if it crashed", "--allow-dirty", typed),
        ],
    }
}

/// A GUID without its braces, which some shells would read as their own.
fn bare(guid: &str) -> &str {
    guid.trim_start_matches('{').trim_end_matches('}')
}

/// A path as a shell and this program take it.
pub(crate) fn quoted(path: &Path) -> String {
    if path.as_os_str().as_encoded_bytes().starts_with(b"-") {
        return quoted(&Path::new(".").join(path));
    }
    shell_word(path.as_os_str())
}

/// A word of a command line as a shell takes it.
pub(crate) fn shell_word(word: &OsStr) -> String {
    // A name with a line end must not look like a line of ours.
    let text = text::safe(&word.to_string_lossy()).into_owned();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_can_be_pasted_into_a_shell() {
        assert_eq!(quoted(Path::new("/vz/private/101")), "/vz/private/101");
        assert_eq!(quoted(Path::new("my disk's")), r"'my disk'\''s'");
        assert_eq!(quoted(Path::new("-o")), "./-o");
        assert_eq!(quoted(Path::new("root.hdd.{a}")), "'root.hdd.{a}'");
    }
}

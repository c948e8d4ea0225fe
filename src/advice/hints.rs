//! What to type next, where there is something to type.

mod compact;
mod files;
mod hint;
mod images;
mod machine;
mod retry;
mod update;

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::path::Path;

use nix::errno::Errno;
use ploopconv::Error;
use ploopconv::attach::AttachError;
use ploopconv::ext4::FilesError;
use ploopconv::format::qcow2::{LayoutError, WriteError};
use ploopconv::format::tar::TarError;
use ploopconv::fuse::FuseError;
use ploopconv::partition::{FileSystem, PartitionError};
use ploopconv::ploop::{
    Alternative, FindingKind, OpenError, OtherReading, Refused, SelectError, SnapshotInfo,
};
use ploopconv::sink::{Limit, TargetError};
use ploopconv::source::{SourceError, is_bad_sector};

pub(crate) use self::hint::Hint;
pub(crate) use self::retry::Typed;

use self::hint::bare;
use super::shell::shell_word;

/// Advice for an error; empty where the error says it all.
pub(crate) fn hint(error: &Error, typed: &Typed) -> Vec<Hint> {
    if let Some(hint) = files::of_directory(error, typed) {
        return vec![hint];
    }
    if let (Some(doing), Some(source)) = (error.doing(), error.io_error()) {
        return io_error(doing, source, typed);
    }
    if let Some(Refused { error, instead }) = error.detail() {
        let mut hints = hint(error, typed);
        // An option of the error's own would not change that the names may be wrong.
        if let Some(OpenError::Outside { .. }) = error.detail() {
            hints.clear();
        }
        hints.extend(alternative(instead, typed));
        return hints;
    }
    if let Some(of_file @ TarError::File { source, .. }) = error.detail() {
        return files::of_file(of_file, typed).unwrap_or_else(|| hint(source, typed));
    }
    if let Some(error) = error.detail() {
        return compact::of_compaction(error, typed);
    }
    if let Some(error) = error.detail() {
        return machine::of_machine(error);
    }
    if let Some(error) = error.detail() {
        return machine::of_boot(error);
    }
    if let Some(error) = error.detail() {
        return machine::of_payload(error);
    }
    if let Some(error) = error.detail() {
        return update::of_update(error, typed);
    }
    if let Some(error) = error.detail() {
        return of_image(error, typed);
    }
    if let Some(error) = error.detail() {
        return of_partition(error, typed);
    }
    if let Some(error) = error.detail() {
        return of_target(error, typed);
    }
    images::of_file(error, typed).unwrap_or_else(|| of_others(error, typed))
}

/// Whether a reader of files could read on over what is wrong.
fn is_lost_or_damaged(error: &Error) -> bool {
    let of_files = error.detail::<FilesError>().is_some();
    match error.kind() {
        ploopconv::ErrorKind::Lost => true,
        ploopconv::ErrorKind::Corrupt => of_files,
        _ => false,
    }
}

/// Advice for what few rooms have to say.
fn of_others(error: &Error, typed: &Typed) -> Vec<Hint> {
    let wanted = error.detail();
    if let Some(hints) = wanted.and_then(|error| files::of_file_systems(error, typed)) {
        return hints;
    }
    let unread = error.detail();
    if let Some(hints) = unread.and_then(|error| files::of_files(error, typed)) {
        return hints;
    }
    let reads_files = matches!(typed.command(), Some("ls" | "cat" | "extract" | "mount"));
    if is_lost_or_damaged(error) && reads_files && !typed.has("salvage") {
        return vec![Hint::add(over_damage(typed), "--salvage", typed)];
    }
    if let Some(LayoutError::TooLarge {
        enough: Some(size), ..
    }) = error.detail()
    {
        let option = format!("--cluster-size {size}");
        return vec![Hint::add("larger clusters can", &option, typed)];
    }
    if let Some(WriteError::Unplanned { .. }) = error.detail() {
        let text = "stop whatever writes to the image, or convert a copy or a snapshot";
        return vec![Hint::say(text)];
    }
    if let Some(SourceError::Changed { .. }) = error.detail() {
        let text = "stop whatever writes to it, or read a copy or a snapshot";
        return vec![Hint::say(text)];
    }
    if let Some(FuseError::NoFuse { .. }) = error.detail() {
        return files::without_fuse(typed);
    }
    if let Some(AttachError::NotAttached { .. }) = error.detail() {
        let command = "ploopconv attached".to_owned();
        return vec![Hint::run("to see what is attached", command)];
    }
    Vec::new()
}

/// What to do about an image that cannot be opened.
fn of_image(error: &OpenError, typed: &Typed) -> Vec<Hint> {
    match error {
        OpenError::Damaged { path, first, .. } => {
            let text = "to see everything that is wrong";
            let mut hints: Vec<_> = Hint::look(text, "check", path, typed).into_iter().collect();
            if first.kind.is_salvageable() {
                hints.push(Hint::add(over_damage(typed), "--salvage", typed));
            }
            let instead = first.instead.iter();
            hints.extend(instead.flat_map(|instead| alternative(instead, typed)));
            hints
        }
        OpenError::InUse { kind, .. } => in_use(*kind, typed),
        OpenError::Select {
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
        // What this user may not read says something to another one.
        OpenError::UnknownRole { source, .. } if is_forbidden(source) => hint(source, typed),
        other => images::hint(other, typed),
    }
}

fn is_forbidden(error: &Error) -> bool {
    let source = error.io_error();
    source.is_some_and(|source| source.kind() == ErrorKind::PermissionDenied)
}

/// What is done with a damaged disk that is read all the same.
fn over_damage(typed: &Typed) -> &'static str {
    match typed.command() {
        Some("map") => "to see what is left, and what is lost",
        Some("serve" | "attach" | "mount") => {
            "to let clients read what is left, and get I/O errors for the rest"
        }
        Some("ls") => "to list what is left",
        Some("cat" | "extract") => "to read what is left, with zeros for the rest",
        Some("compare" | "verify") => "to compare what is left, with zeros for the rest",
        _ => "to convert what is left, with zeros for the rest",
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
fn of_partition(error: &PartitionError, typed: &Typed) -> Vec<Hint> {
    let option = match (typed.has("partitions"), typed.has("partition")) {
        (true, _) => "--partitions",
        (false, true) => "--partition",
        // What else asks for the partitions has no other way to read the disk.
        (false, false) if typed.is_for_machine() => return vec![machine::as_it_is()],
        (false, false) => return Vec::new(),
    };
    let text = match error {
        PartitionError::NoSuchPartition { available, .. } if available.is_empty() => {
            format!("its partition table is empty; without {option} the whole disk is read")
        }
        PartitionError::NoSuchPartition { available, .. }
        | PartitionError::Extended { available, .. } => {
            let numbers: Vec<_> = available.iter().map(ToString::to_string).collect();
            format!("there are: {}", numbers.join(" "))
        }
        PartitionError::NoTable {
            whole: Some(FileSystem::Luks),
        } => format!(
            "without {option} the encrypted disk is read as it is; its partitions can be seen \
             after cryptsetup open"
        ),
        _ => format!("without {option} the whole disk is read"),
    };
    vec![Hint::say(text)]
}

/// What to do about a target that takes more room than there is.
fn no_room(place: &Path, typed: &Typed) -> &'static str {
    let sparse = typed.value("sparse").and_then(OsStr::to_str);
    let is_file = std::fs::metadata(place).is_ok_and(|meta| meta.is_dir());
    match sparse {
        _ if !is_file => "choose a larger device, or a file",
        _ if files::are_packed(typed) && typed.has("compress") => "choose a target with more room",
        _ if files::are_packed(typed) => {
            "choose a target with more room; --compress makes an archive smaller"
        }
        Some("never") => "choose a target with more room; holes need none without --sparse=never",
        None if typed.has("sparse") => "choose a target with more room",
        None | Some("auto") => {
            "choose a target with more room; zeros that are stored need none with --sparse"
        }
        Some(_) => "choose a target with more room",
    }
}

/// Whether a file says what a target holds.
fn is_state(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "ploopconv")
}

/// What to do about a target that cannot be made.
fn of_target(error: &TargetError, typed: &Typed) -> Vec<Hint> {
    match error {
        TargetError::Full { limit, .. }
            if typed.is_command("extract") && *limit != Limit::FileSize =>
        {
            let text = "once there is room, to write all of it again";
            vec![Hint::add(text, "-f", typed)]
        }
        TargetError::NoRoom { path, .. } => vec![Hint::say(no_room(path, typed))],
        TargetError::Exists { .. } => vec![Hint::add("to replace it", "-f", typed)],
        TargetError::InUse { .. } => vec![Hint::say("stop the machine or program that uses it")],
        TargetError::Create { path, .. } if is_state(path) && !typed.has("update") => {
            let text = "to convert without it, so that no update can follow";
            vec![Hint::add(text, "--no-state", typed)]
        }
        _ => Vec::new(),
    }
}

/// What to do about a sign that an image is in use.
fn in_use(kind: FindingKind, typed: &Typed) -> Vec<Hint> {
    match kind {
        FindingKind::Attached => vec![Hint::say(
            "stop the container (or unmount the image), or take a snapshot and read that",
        )],
        FindingKind::Suspended => vec![
            Hint::say("resume the virtual machine, and shut it down"),
            Hint::add(
                "to read the disk as it is, without what the guest had in memory",
                "--allow-dirty",
                typed,
            ),
        ],
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

//! What to do about files that are not read here.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use ploopconv::attach::can_mount;
use ploopconv::convert::ConvertError;
use ploopconv::ext4::FilesError;
use ploopconv::format::by_extension;
use ploopconv::format::tar::TarError;
use ploopconv::{Error, ErrorKind};

use super::hint::Hint;
use super::retry::Typed;
use crate::advice::shell::quoted;

/// Advice for a file system that is not the one that is wanted; `None` for other errors.
pub(super) fn of_file_systems(error: &ConvertError, typed: &Typed) -> Option<Vec<Hint>> {
    match error {
        ConvertError::OtherFileSystem { kind, .. } if can_mount(*kind) && are_packed(typed) => {
            Some(by_mounting(typed))
        }
        ConvertError::OtherFileSystem { kind, partition } if can_mount(*kind) => {
            let mut read = typed.what_is_read();
            if let Some(number) = partition.filter(|_| !typed.has("partition")) {
                read += &format!(" --partition {number}");
            }
            let command = format!("ploopconv attach {read} --mount /mnt --overlay");
            Some(vec![Hint::run("root can see its files with", command)])
        }
        ConvertError::OtherFileSystem { .. } | ConvertError::NoFileSystem => {
            let text = "to see what the disk holds";
            let hint = Hint::look(text, "info", typed.image(), typed);
            Some(hint.into_iter().collect())
        }
        ConvertError::SeveralFileSystems { available } => {
            let hint = |(number, kind): &(u32, ploopconv::partition::FileSystem)| {
                let text = format!("for the {} in partition {number}", kind.name());
                Hint::add(text, &format!("--partition {number}"), typed)
            };
            Some(available.iter().map(hint).collect())
        }
        _ => None,
    }
}

/// Advice for a directory that files are extracted into and that is not there.
pub(super) fn of_directory(error: &Error, typed: &Typed) -> Option<Hint> {
    let directory = typed.value("directory").map(Path::new)?;
    let is_missing = error
        .io_error()
        .is_some_and(|error| error.kind() == io::ErrorKind::NotFound);
    let is_it = typed.is_command("extract") && error.path() == Some(directory) && is_missing;
    is_it.then(|| Hint::run("to make it", format!("mkdir -p {}", quoted(directory))))
}

/// Advice for a file of the image that cannot be read; `None` where another error is the cause, and
/// has advice of its own.
pub(super) fn of_file(error: &TarError, typed: &Typed) -> Option<Vec<Hint>> {
    match error {
        TarError::File { source, .. } => match source.kind() {
            ErrorKind::Corrupt => Some(over_damage(typed)),
            _ => source.detail().and_then(|error| of_files(error, typed)),
        },
        _ => None,
    }
}

/// Advice for a file system that cannot be read; `None` where there is none.
pub(super) fn of_files(error: &FilesError, typed: &Typed) -> Option<Vec<Hint>> {
    match error {
        FilesError::Feature(_) if are_packed(typed) => Some(by_mounting(typed)),
        FilesError::NotExt4 | FilesError::Feature(_) => None,
        _ if are_packed(typed) => Some(over_damage(typed)),
        _ => None,
    }
}

/// What works where there is no FUSE. Attaching without a private layer would replay no journal,
/// and show older files.
pub(super) fn without_fuse(typed: &Typed) -> Vec<Hint> {
    let read = typed.what_is_read();
    let serve = format!("ploopconv serve {read} --socket PATH");
    let attach = format!("ploopconv attach {read}");
    if typed.has("disk") {
        return vec![
            Hint::run("any NBD client reads the disk from", serve),
            Hint::run("root can have it as a device with", attach),
        ];
    }
    let extract = format!("ploopconv extract {read} -C DIR");
    vec![
        Hint::run("to write the files into a directory instead", extract),
        Hint::run(
            "root can see them with",
            format!("{attach} --mount /mnt --overlay"),
        ),
    ]
}

/// How files that can be read are packed without the others; nothing where that was asked for.
fn over_damage(typed: &Typed) -> Vec<Hint> {
    let text = "to pack what can be read, and list the rest";
    let hint = || Hint::add(text, "--salvage", typed);
    (!typed.has("salvage")).then(hint).into_iter().collect()
}

/// Whether the target that was typed is an archive of files.
pub(super) fn are_packed(typed: &Typed) -> bool {
    let by_name = || typed.target_path().as_deref().and_then(by_extension);
    match typed.value("format") {
        Some(format) => format == "tar",
        None => by_name().is_some_and(|known| known.name == "tar"),
    }
}

/// How the files of a file system that is not read here become an archive: the disk is attached,
/// and tar reads it.
fn by_mounting(typed: &Typed) -> Vec<Hint> {
    let target = typed.target_path();
    // A command that is pasted replaces no file.
    if let Some(target) = target.as_ref().filter(|target| target.exists()) {
        let name = target.display();
        let text = format!("{name} exists: name a target that does not exist yet");
        return vec![Hint::say(text)];
    }
    let how = typed.value("compress").and_then(OsStr::to_str);
    let how = match how {
        Some("gzip") => "--gzip -cf",
        _ if typed.has("compress") => "--zstd -cf",
        // By the name.
        _ => "-caf",
    };
    let to = match &target {
        Some(target) => format!("{how} {}", quoted(target)),
        None => format!("{how} -"),
    };
    let what_is_read = typed.what_is_read();
    vec![
        Hint::run(
            "as root, attach the disk",
            format!("ploopconv attach {what_is_read} --mount /mnt --overlay"),
        ),
        Hint::run(
            "let tar read it",
            format!(
                "tar --numeric-owner --xattrs --xattrs-include='*' --acls --sparse \
                 --one-file-system -C /mnt {to} ."
            ),
        ),
        Hint::run("and take it away again", "ploopconv detach /mnt".to_owned()),
    ]
}

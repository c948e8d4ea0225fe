//! What an archive holds, for people and for scripts.

use ploopconv::convert::PlannedArchive;
use ploopconv::format::tar::{TarContents, TarPlan, TarWritten, UnreadableFile, ZeroedFile};
use ploopconv::util::size::short;
use serde::Serialize;

/// The most unreadable files that are named on stderr.
const SHOWN: usize = 20;

/// What an archive holds, for a report.
#[derive(Serialize)]
pub(super) struct FilesReport {
    /// The size of the archive before it is compressed.
    archive_bytes: u64,
    files: u64,
    directories: u64,
    symlinks: u64,
    hard_links: u64,
    devices: u64,
    fifos: u64,
    /// Bytes of holes, which are not in the archive.
    hole_bytes: u64,
    /// Sockets, which were left out.
    sockets_left_out: u64,
    /// Files that were left out because they cannot be read, with `--salvage`: the first thousand.
    unreadable: Vec<Unreadable>,
    unreadable_count: u64,
    /// Files that have zeros for bytes that are lost, with `--salvage`: the first thousand.
    zeroed: Vec<Zeroed>,
    /// What holds for all files of a damaged file system, as that they may be older.
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Unreadable {
    path: String,
    why: String,
}

#[derive(Serialize)]
struct Zeroed {
    path: String,
    lost_bytes: u64,
}

impl FilesReport {
    pub(super) fn of(archive: &PlannedArchive, written: Option<&TarWritten>) -> Self {
        let contents = archive.plan.contents();
        let unreadable = contents.unreadable.iter();
        let zeroed = written.into_iter().flat_map(|written| &written.zeroed);
        Self {
            archive_bytes: archive.plan.size(),
            files: contents.files,
            directories: contents.directories,
            symlinks: contents.symlinks,
            hard_links: contents.hard_links,
            devices: contents.devices,
            fifos: contents.fifos,
            hole_bytes: contents.hole_bytes,
            sockets_left_out: contents.sockets,
            unreadable: unreadable
                .map(|UnreadableFile { path, why }| Unreadable {
                    path: path.clone(),
                    why: why.clone(),
                })
                .collect(),
            unreadable_count: contents.unreadable_files(),
            zeroed: zeroed
                .map(|ZeroedFile { path, bytes }| Zeroed {
                    path: path.clone(),
                    lost_bytes: *bytes,
                })
                .collect(),
            problems: archive.problems.clone(),
        }
    }
}

/// What an archive holds, in words.
pub(super) fn held(contents: &TarContents) -> String {
    let count = |number: u64, one: &str, many: &str| match number {
        0 => None,
        1 => Some(format!("1 {one}")),
        more => Some(format!("{more} {many}")),
    };
    let parts = [
        count(contents.files, "file", "files"),
        count(contents.directories, "directory", "directories"),
        count(contents.symlinks, "symbolic link", "symbolic links"),
        count(contents.hard_links, "hard link", "hard links"),
        count(contents.devices, "device", "devices"),
        count(contents.fifos, "pipe", "pipes"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What was left out of an archive, or would be: a line each.
pub(super) fn left_out(archive: &PlannedArchive) -> Vec<String> {
    let contents = archive.plan.contents();
    let problems = archive.problems.iter();
    let mut lines: Vec<_> = problems
        .map(|problem| format!("warning: {problem}"))
        .collect();
    match contents.sockets {
        0 => {}
        1 => lines.push("1 socket is left out, as tar does".to_owned()),
        many => lines.push(format!("{many} sockets are left out, as tar does")),
    }
    let shown = contents.unreadable.iter().take(SHOWN);
    lines.extend(shown.map(|file| format!("{} is left out: {}", file.path, file.why)));
    let more = contents.unreadable_files().saturating_sub(SHOWN as u64);
    if more > 0 {
        lines.push(format!("{more} more files are left out"));
    }
    lines
}

/// The files of an archive that have zeros for what is lost: a line each.
pub(super) fn zeroed(written: &TarWritten) -> Vec<String> {
    let shown = written.zeroed.iter().take(SHOWN);
    let line = |ZeroedFile { path, bytes }: &ZeroedFile| {
        format!("{path}: {} lost, zeros stand for it", short(*bytes))
    };
    let mut lines: Vec<_> = shown.map(line).collect();
    if written.zeroed.len() > SHOWN || written.more_zeroed > 0 {
        lines.push("more files have zeros for what is lost".to_owned());
    }
    lines
}

/// The size of an archive, for people.
pub(super) fn size(archive: &TarPlan) -> String {
    match archive.contents().hole_bytes {
        0 => short(archive.size()),
        holes => format!(
            "{}, without {} of holes",
            short(archive.size()),
            short(holes)
        ),
    }
}

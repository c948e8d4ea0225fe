//! Programs that have a file open for writing.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::process::{Process, process};
use super::watched::{Identity, Watched, identity};

/// How long somebody has to have a file open: a child that another program is just about to start
/// shares its parent's files for a moment.
const MOMENT: Duration = Duration::from_millis(50);

/// The programs that have one of the files open for writing, with the number of the file. Those
/// of other users only root can see.
pub(super) fn of(proc: &Path, files: &[(&Watched, Identity)]) -> Vec<(usize, Process)> {
    let found = look(proc, files);
    if found.is_empty() {
        return found;
    }
    // A program that ends in between did so before a byte was read.
    std::thread::sleep(MOMENT);
    let still = look(proc, files);
    found
        .into_iter()
        .filter(|one| still.contains(one))
        .collect()
}

fn look(proc: &Path, files: &[(&Watched, Identity)]) -> Vec<(usize, Process)> {
    let real = files
        .iter()
        .filter_map(|(file, _)| file.path.canonicalize().ok());
    let names: Vec<OsString> = real
        .filter_map(|real| Some(real.file_name()?.to_owned()))
        .collect();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(proc).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if id == std::process::id() {
            continue;
        }
        let fds = std::fs::read_dir(entry.path().join("fd"));
        for fd in fds.into_iter().flatten().flatten() {
            let Some(at) = file_of(&fd.path(), &names, files) else {
                continue;
            };
            let info = entry.path().join("fdinfo").join(fd.file_name());
            let holder = (at, process(proc, id));
            if may_write(&info) && !found.contains(&holder) {
                found.push(holder);
            }
        }
    }
    found
}

/// Which of the files a descriptor stands for.
fn file_of(fd: &Path, names: &[OsString], files: &[(&Watched, Identity)]) -> Option<usize> {
    let link = std::fs::read_link(fd).ok()?;
    let name = link.file_name()?;
    // Files of other names are not looked at: asking a file system that hangs for one would hang,
    // too.
    if !names.iter().any(|known| known == name) {
        return None;
    }
    let id = identity(fd)?;
    files.iter().position(|(_, other)| *other == id)
}

/// Whether a descriptor was opened for writing: the flags of open(2), octal (proc_pid_fdinfo(5)).
fn may_write(fdinfo: &Path) -> bool {
    /// Reading, writing or both; 0 is reading only.
    const ACCESS: u32 = 3;
    let text = std::fs::read_to_string(fdinfo).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & ACCESS != 0)
}

//! Who keeps a device from being taken away.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::device::Device;
use super::holder::Holder;
use super::mounts;

/// The moment a process was started, in clock ticks since the machine was; with the number of
/// the process it names it for good. `None` where there is no such process.
#[must_use]
pub fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; the 22nd field is the 20th after it.
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_ascii_whitespace();
    // Zombies hold nothing.
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn processes() -> impl Iterator<Item = u32> {
    let own = std::process::id();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(move |&pid| pid != own)
}

fn name_of(pid: u32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end_matches('\n').to_owned()
}

/// What a process has open, and where it is.
fn paths_of(pid: u32) -> Vec<PathBuf> {
    let links = ["cwd", "root", "exe"].map(|name| PathBuf::from(format!("/proc/{pid}/{name}")));
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"));
    let open = open.into_iter().flatten().flatten();
    links
        .into_iter()
        .chain(open.map(|entry| entry.path()))
        .filter_map(|link| std::fs::read_link(link).ok())
        .collect()
}

fn process_holders(but: Option<u32>, holds: impl Fn(&Path) -> bool) -> Vec<Holder> {
    let others = processes().filter(|&pid| Some(pid) != but);
    let mut holders: Vec<_> = others
        .filter_map(|pid| {
            let path = paths_of(pid).into_iter().find(|path| holds(path))?;
            let name = name_of(pid);
            Some(Holder::Process { pid, name, path })
        })
        .collect();
    holders.sort();
    holders
}

/// The processes that have a device or a partition of it open, but for the one that serves it.
pub(super) fn open_by(device: Device, server: Option<u32>) -> Vec<Holder> {
    process_holders(server, |path| Device::named(path) == Some(device))
}

/// The processes that use something below a mount point.
pub(crate) fn users_of(point: &Path) -> Vec<Holder> {
    process_holders(None, |path| path.starts_with(point))
}

/// The devices built on a device, and the mounts of it that this process sees, but for those
/// that are `known`.
pub(super) fn claims_on(device: Device, known: &[PathBuf]) -> Vec<Holder> {
    let mut holders: Vec<_> = device.built_on().into_iter().map(Holder::Device).collect();
    let own = mounts::mounts_on(device).into_iter();
    let others = own.filter(|mount| !known.contains(&mount.point));
    holders.extend(others.map(|mount| Holder::Mount {
        point: mount.point,
        seen_by: None,
    }));
    holders
}

/// The mounts of a device that only others see.
pub(super) fn hidden_mounts(device: Device) -> Vec<Holder> {
    let namespace = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/mnt")).ok();
    let mut seen: HashSet<_> = namespace("self").into_iter().collect();
    let numbers = device.numbers();
    let mut holders = Vec::new();
    for pid in processes() {
        let Some(other) = namespace(&pid.to_string()) else {
            continue;
        };
        if !seen.insert(other) {
            continue;
        }
        let mounts = mounts::mounts_of(&pid.to_string()).into_iter();
        let on_it = mounts.filter(|mount| mount.is_on(device, &numbers));
        holders.extend(on_it.map(|mount| Holder::Mount {
            point: mount.point,
            seen_by: Some(pid),
        }));
    }
    holders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_named_by_its_number_and_its_start() {
        let own = std::process::id();
        let start = start_time(own).unwrap();
        assert!(start > 0);
        assert_eq!(start_time(own), Some(start));
        assert_eq!(start_time(u32::MAX), None);
    }

    #[test]
    fn users_of_a_directory_are_found_by_what_they_have_open() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .current_dir(dir.path())
            .spawn()
            .unwrap();
        let users = users_of(dir.path());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(
            matches!(&users[..], [Holder::Process { pid, .. }] if *pid == child.id()),
            "{users:?}"
        );
    }
}

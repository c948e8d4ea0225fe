//! Files that only OpenVZ knows.

use super::super::draft::Draft;
use super::super::receiver::Kind;
use super::super::view::Found;
use super::context::Context;
use super::services::without;
use crate::error::Result;
use crate::tree::{FileType, LastLink};

/// Units and jobs of OpenVZ in the guest, by name. Others that begin with `vz` are not its own:
/// `vzlogger`, for one, reads electricity meters.
const UNITS: &[(&str, &str)] = &[
    (
        "vzfifo.service",
        "told the OpenVZ host that the container had started",
    ),
    (
        "vzreboot.service",
        "told the OpenVZ host to start the container again",
    ),
    (
        "vzquota.service",
        "switched the quota of the OpenVZ host's disk on",
    ),
];

/// Where systemd looks for units and for links to those that it starts.
const UNIT_FOLDERS: &[&str] = &[
    "etc/systemd/system",
    "etc/systemd/system/*.wants",
    "etc/systemd/system/*.requires",
    "lib/systemd/system",
    "lib/systemd/system/*.wants",
    "usr/lib/systemd/system",
    "usr/lib/systemd/system/*.wants",
];

/// Files and folders that go.
const GONE: &[(&str, &str)] = &[
    ("etc/init.d/vzquota", QUOTA),
    ("etc/init.d/vzreboot", REBOOT),
    ("etc/rc.d/init.d/vzquota", QUOTA),
    ("etc/rc.d/init.d/vzreboot", REBOOT),
    // Arch kept its scripts beside the folders of the run levels.
    ("etc/rc.d/vzquota", QUOTA),
    ("etc/rc?.d/???vzquota", QUOTA),
    ("etc/rc?.d/???vzreboot", REBOOT),
    ("etc/rc.d/rc?.d/???vzquota", QUOTA),
    ("etc/rc.d/rc?.d/???vzreboot", REBOOT),
    // SUSE keeps them below init.d.
    ("etc/init.d/rc?.d/???vzquota", QUOTA),
    ("etc/init.d/rc?.d/???vzreboot", REBOOT),
    ("etc/init.d/boot.d/???vzquota", QUOTA),
    ("etc/runlevels/*/vzquota", QUOTA),
    // Slackware.
    ("etc/rc.d/rc.quota", QUOTA),
    ("etc/runlevels/*/vzreboot", REBOOT),
    ("etc/event.d/vz_init_done", STARTED),
    ("etc/event.d/call_on_default_rc", STARTED),
    ("etc/init/vz_init_done.conf", STARTED),
    ("etc/init/call_on_default_rc.conf", STARTED),
    (".vzfifo", STARTED),
    ("aquota.user", QUOTA_FILE),
    ("aquota.group", QUOTA_FILE),
    (
        ".balloon-c3a5ae3d-ce7f-43c4-a1ea-c61e2b4504e8",
        "Virtuozzo's balloon: a file that only takes room",
    ),
    ("etc/udev/devices", NODES),
    // A node of the Virtuozzo kernel.
    ("etc/vz/dev", NODES),
    (
        "etc/udev/rules.d/70-persistent-net.rules",
        "names network cards by the hardware addresses of the old host",
    ),
];

/// Device nodes that udev's package brings, and among them those of OpenVZ's host.
const PACKAGED_NODES: &[&str] = &["lib/udev/devices", "usr/lib/udev/devices"];
const NODES_OF_HOST: &[&str] = &["ploop*", "simfs", "vzfs"];

/// Marks that scripts leave at the root: files without contents.
const MARKS: &[(&str, &str)] = &[
    (
        "reboot",
        "a mark for the OpenVZ host to start the container again",
    ),
    (
        "fastboot",
        "a mark to leave a check of the disk out, at the next start only",
    ),
];

const QUOTA: &str = "switched the quota of the OpenVZ host's disk on";
const REBOOT: &str = "told the OpenVZ host to start the container again";
const STARTED: &str = "told the OpenVZ host that the container had started";
const QUOTA_FILE: &str = "the quota that users had on the OpenVZ host's disk";
const NODES: &str = "device nodes for a container of OpenVZ: the new host makes its own";

pub(super) fn apply(draft: &mut Draft<'_>, context: &Context<'_>) -> Result<()> {
    for (unit, reason) in UNITS {
        for folder in UNIT_FOLDERS {
            gone(draft, &format!("{folder}/{unit}"), reason)?;
        }
    }
    for (pattern, reason) in GONE {
        gone(draft, pattern, reason)?;
    }
    daemons(draft)?;
    nodes_at_boot(draft)?;
    // Slackware's last script starts the other one.
    draft.edit("etc/rc.d/rc.local", QUOTA, |text| {
        without(text, "/etc/rc.d/rc.quota", &[])
    })?;
    for (path, reason) in MARKS {
        let found = draft.view.find(path, LastLink::Keep)?;
        let is_mark =
            |file: Found| file.metadata.file_type == FileType::File && file.metadata.size == 0;
        if found.is_some_and(is_mark) {
            draft.remove(path, reason)?;
        }
    }
    if context.receiver.kind == Kind::Kvm {
        // A machine has the kernel's own /dev over it, and keeps its file system. Its udev makes
        // what else a package wants there: loops, tunnels, /dev/shm.
        for folder in PACKAGED_NODES {
            for name in NODES_OF_HOST {
                gone(draft, &format!("{folder}/{name}"), NODES)?;
            }
        }
        return Ok(());
    }
    for folder in PACKAGED_NODES {
        gone(draft, folder, NODES)?;
    }
    draft.empty(
        "dev",
        "device nodes of the old host: the new one makes its own, and an unprivileged container \
         may make none",
    )?;
    lost_and_found(draft)
}

/// Files of systemd-tmpfiles that Virtuozzo's host writes, one for each node that it gives.
fn nodes_at_boot(draft: &mut Draft<'_>) -> Result<()> {
    for path in draft.view.matching("etc/tmpfiles.d/device-*.conf")? {
        let text = draft.view.text(&path)?.unwrap_or_default();
        let mut lines = text.lines().map(|line| line.split_once(' '));
        if text.is_empty() {
            continue;
        }
        let is_node = |(kind, rest): (&str, &str)| {
            ["b", "c", "d"].contains(&kind) && rest.trim_start().starts_with("/dev/")
        };
        if lines.all(|line| line.is_some_and(is_node)) {
            draft.remove(&path, NODES)?;
        }
    }
    Ok(())
}

/// Arch's list of what its scripts started, before systemd: the word of a script that is gone.
fn daemons(draft: &mut Draft<'_>) -> Result<()> {
    let path = "etc/rc.conf";
    draft.edit(path, QUOTA, |text| {
        let mut is_inside = false;
        let lines = text.split('\n').map(|line| {
            is_inside |= line.trim_start().starts_with("DAEMONS=(");
            if !is_inside {
                return line.to_owned();
            }
            let (code, comment) = match line.find('#') {
                Some(at) => line.split_at_checked(at).unwrap_or((line, "")),
                None => (line, ""),
            };
            is_inside = !code.contains(')');
            format!("{}{comment}", without_daemon(code, "vzquota"))
        });
        lines.collect::<Vec<_>>().join("\n")
    })?;
    let text = draft.text(path)?.unwrap_or_default();
    let stays = |line: &str| {
        let code = line.trim_start();
        code.starts_with("DAEMONS") && code.contains("vzquota")
    };
    if text.lines().any(stays) {
        draft.keep(
            path,
            "take vzquota out of DAEMONS by hand: its script is gone",
        )?;
    }
    Ok(())
}

/// The words of a list without one, which may have quotes or a sign in front of it.
fn without_daemon(code: &str, name: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some(at) = rest.find(name) {
        let (before, found) = rest.split_at_checked(at).unwrap_or((rest, ""));
        let after = found.strip_prefix(name).unwrap_or_default();
        let start = before.trim_end_matches(['"', '\'', '!', '@']);
        let end = after.trim_start_matches(['"', '\'']);
        let is_word = start.is_empty() || start.ends_with([' ', '\t', '(']);
        let ends = end.is_empty() || end.starts_with([' ', '\t', ')']);
        if is_word && ends {
            kept.push_str(start);
            rest = match kept.ends_with(['(', ' ']) || kept.is_empty() {
                true => end.strip_prefix(' ').unwrap_or(end),
                false => end,
            };
        } else {
            kept.push_str(before);
            kept.push_str(name);
            rest = after;
        }
    }
    kept + rest
}

fn gone(draft: &mut Draft<'_>, pattern: &str, reason: &str) -> Result<()> {
    for path in draft.view.matching(pattern)? {
        draft.remove(&path, reason)?;
    }
    Ok(())
}

/// It belongs to the old file system; what a repair has put into it may be somebody's file.
fn lost_and_found(draft: &mut Draft<'_>) -> Result<()> {
    let path = "lost+found";
    if draft.view.find(path, LastLink::Keep)?.is_none() {
        return Ok(());
    }
    if draft.view.names(path)?.is_empty() {
        draft.remove(path, "belongs to the old disk's file system, and is empty")
    } else {
        draft.keep(
            path,
            "holds files that a repair of the file system found: they stay",
        )
    }
}

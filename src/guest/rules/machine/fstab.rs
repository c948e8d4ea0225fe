//! `/etc/fstab` of a machine: the root file system by its UUID.

use super::super::super::draft::Draft;
use super::super::super::system::Init;
use super::super::super::view::matches;
use super::super::context::Context;
use crate::error::Result;

const OURS: &str = "the machine's root is the file system with this UUID";
const OTHERS: &str = "disks and file systems of the OpenVZ host, which no machine has";
/// systemd waits for a disk of fstab for a minute and a half, and then stops with a root shell.
const OTHER_DISK: &str = "another disk: the machine starts without it too (nofail), and mounts it \
                          where it has it";
const WAITS_FOR_DISK: &str = "names another disk: attach it to the machine, or make a comment of \
                              its line, as this init may stop where a disk is missing";
const SHARED_MEMORY: &str = "this init does not mount /dev/shm by itself, and the container's \
                             options need not suit a machine";

pub(super) fn apply(draft: &mut Draft<'_>, context: &Context<'_>) -> Result<()> {
    let path = "etc/fstab";
    let Some(root) = &context.receiver.root else {
        return Ok(());
    };
    let source = format!("UUID={}", root.uuid);
    let passes = checks(draft, &root.kind)?;
    let line = format!("{source} / {} defaults 0 {passes}", root.kind);
    // BusyBox's init has no script that makes the folder in the kernel's /dev; OpenRC makes it and
    // mounts it.
    let mounts_itself = matches!(context.system.init, Init::Systemd | Init::Busybox);
    if !draft.has(path)? {
        if !draft.view.is_directory("etc")? {
            return Ok(());
        }
        draft.create(path, 0o644, "", OURS)?;
    }
    if draft.text(path)?.is_none() {
        return draft.passed_over(path, OURS);
    }
    draft.edit(path, OTHERS, |text| {
        let lines = text
            .split('\n')
            .map(|line| match is_of_the_host(line, &source) {
                true => format!("#container# {line}"),
                false => line.to_owned(),
            });
        lines.collect::<Vec<_>>().join("\n")
    })?;
    draft.edit(path, OURS, |text| {
        let is_root = |line: &str| {
            let mut words = line.split_whitespace();
            words.next() == Some(&source) && words.next() == Some("/")
        };
        // Without a UUID only the kernel's command line names the root.
        match root.uuid.is_empty() || text.lines().any(is_root) {
            true => text.to_owned(),
            false => with_line(text, &line),
        }
    })?;
    other_disks(draft, context, path, &source)?;
    if mounts_itself {
        return Ok(());
    }
    draft.edit(path, SHARED_MEMORY, |text| {
        let has = text.lines().any(|line| {
            !line.trim_start().starts_with('#')
                && line.split_whitespace().nth(1) == Some("/dev/shm")
        });
        match has {
            true => text.to_owned(),
            false => with_line(text, "tmpfs /dev/shm tmpfs defaults 0 0"),
        }
    })
}

/// The machine starts where it does not have the other disks that its fstab names.
fn other_disks(draft: &mut Draft<'_>, context: &Context<'_>, path: &str, ours: &str) -> Result<()> {
    if context.system.init == Init::Systemd {
        return draft.edit(path, OTHER_DISK, |text| {
            let lines = text.split('\n').map(|line| match needs_disk(line, ours) {
                true => with_option(line, "nofail"),
                false => line.to_owned(),
            });
            lines.collect::<Vec<_>>().join("\n")
        });
    }
    let text = draft.text(path)?.unwrap_or_default();
    // Without its swap a system starts.
    let waits = |line: &str| {
        let is_swap = line.split_whitespace().nth(2) == Some("swap");
        needs_disk(line, ours) && !is_swap
    };
    match text.lines().any(waits) {
        true => draft.keep(path, WAITS_FOR_DISK),
        false => Ok(()),
    }
}

/// Whether a line has a disk that is not `ours` mounted, or swapped to, at each start.
fn needs_disk(line: &str, ours: &str) -> bool {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [source, _, _, rest @ ..] = fields.as_slice() else {
        return false;
    };
    let is_disk = ["/dev/*", "UUID=*", "LABEL=*", "PARTUUID=*", "PARTLABEL=*"]
        .iter()
        .any(|pattern| matches(pattern, source));
    let mut options = rest.first().unwrap_or(&"").split(',');
    let stays = ["noauto", "nofail", "bind", "rbind"];
    is_disk
        && *source != ours
        && !options.any(|option| stays.contains(&option))
        && !fields.iter().any(|field| field.starts_with('#'))
}

/// The line with an option more in its fourth field.
fn with_option(line: &str, option: &str) -> String {
    let line = line.trim_end();
    if line.split_whitespace().nth(3).is_none() {
        return format!("{line} defaults,{option}");
    }
    let mut after = line;
    for _ in 0..4 {
        let field = after.trim_start();
        after = field.trim_start_matches(|letter: char| !letter.is_whitespace());
    }
    let before = line.strip_suffix(after).unwrap_or(line);
    format!("{before},{option}{after}")
}

/// Whether a line is for a disk of the host, or names the root as a container had it.
fn is_of_the_host(line: &str, ours: &str) -> bool {
    let mut words = line.split_whitespace();
    let Some(source) = words.next().filter(|word| !word.starts_with('#')) else {
        return false;
    };
    let target = words.next().unwrap_or_default();
    if source == ours {
        return false;
    }
    let of_host = ["/dev/ploop", "/dev/simfs", "/dev/vzfs"];
    of_host.iter().any(|start| source.starts_with(start))
        || ["simfs", "vzfs"].contains(&source)
        || target == "/"
        || target == "/dev/shm" && source != "tmpfs"
}

/// When the root is checked at boot: never where the guest has no program for it.
fn checks(draft: &Draft<'_>, kind: &str) -> Result<u8> {
    let programs = [
        format!("sbin/fsck.{kind}"),
        format!("usr/sbin/fsck.{kind}"),
        format!("bin/fsck.{kind}"),
        format!("usr/bin/fsck.{kind}"),
    ];
    let programs: Vec<&str> = programs.iter().map(String::as_str).collect();
    Ok(u8::from(draft.view.first(&programs)?.is_some()))
}

fn with_line(text: &str, line: &str) -> String {
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{text}{end}{line}\n")
}

//! `/etc/fstab`: a container mounts little by itself.

use super::super::draft::Draft;
use super::super::view::matches;
use super::console::with_lines;
use super::context::Context;
use super::shared_memory;
use crate::error::Result;

/// A field of a line.
#[derive(Debug, Clone, Copy)]
enum Field {
    Source,
    Target,
    Type,
}

/// Lines that become comments, and why; the first that fits counts.
const OFF: &[(Field, &[&str], &str)] = &[
    (Field::Target, &["/"], "the new host mounts the root"),
    (
        Field::Target,
        &["/proc", "/proc/*", "/sys", "/sys/*", "/dev", "/dev/*"],
        "the new host mounts the kernel's file systems and /dev",
    ),
    (
        Field::Type,
        &[
            "proc",
            "sysfs",
            "devpts",
            "devtmpfs",
            "usbfs",
            "usbdevfs",
            "binfmt_misc",
            "debugfs",
            "securityfs",
            "cgroup",
            "cgroup2",
        ],
        "the new host mounts the kernel's file systems and /dev",
    ),
    (Field::Type, &["swap"], "swap belongs to the new host"),
    (
        Field::Type,
        &["simfs", "vzfs"],
        "file systems of OpenVZ exist on its hosts only",
    ),
    (
        Field::Source,
        &[
            "/dev/ploop*",
            "/dev/simfs",
            "/dev/vzfs",
            "simfs",
            "vzfs",
            "/dev/*",
            "UUID=*",
            "LABEL=*",
            "PARTUUID=*",
            "PARTLABEL=*",
        ],
        "a container sees no disks, and its init could wait for one",
    ),
];

/// Lines that stay, and what they need.
const NEEDS: &[(Field, &[&str], &str)] = &[(
    Field::Type,
    &["nfs", "nfs4", "cifs", "fuse", "fuse.*", "autofs"],
    "file systems of other hosts stay: mounting them needs a privileged container or a feature of \
     the new host",
)];

pub(super) fn apply(draft: &mut Draft<'_>, context: &Context<'_>) -> Result<()> {
    let path = "etc/fstab";
    let mounts_memory = shared_memory::is_mounted_by_the_guest(draft, context)?;
    if mounts_memory && !draft.has(path)? && draft.view.is_directory("etc")? {
        draft.create(path, 0o644, "", shared_memory::REASON)?;
    }
    let Some(text) = draft.text(path)? else {
        return draft.passed_over(path, "the new host mounts the root");
    };
    let stays = |line: &str| mounts_memory && is_shared_memory(line);
    let off = text.lines().filter(|line| !stays(line));
    let off = reasons(off, OFF);
    if !off.is_empty() {
        draft.edit(path, &off.join("; "), |text| {
            lines(text, |line| match reason(line, OFF) {
                Some(_) if !stays(line) => format!("#container# {line}"),
                _ => line.to_owned(),
            })
        })?;
    }
    if mounts_memory {
        draft.edit(path, shared_memory::REASON, |text| {
            let added = (!text.lines().any(is_shared_memory)).then_some(shared_memory::LINE);
            with_lines(text, added.map(str::to_owned))
        })?;
    }
    let text = draft.text(path)?.unwrap_or_default();
    for reason in reasons(text.lines(), NEEDS) {
        draft.keep(path, reason)?;
    }
    Ok(())
}

type Table = [(Field, &'static [&'static str], &'static str)];

/// Whether a line mounts memory where programs share it.
fn is_shared_memory(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let source = words.next().unwrap_or_default();
    let target = words.next().unwrap_or_default();
    !source.starts_with('#')
        && target.trim_end_matches('/') == shared_memory::FOLDER
        && words.next() == Some("tmpfs")
}

fn reasons<'t>(lines: impl Iterator<Item = &'t str>, table: &Table) -> Vec<&'static str> {
    let mut found: Vec<&str> = Vec::new();
    for reason in lines.filter_map(|line| reason(line, table)) {
        if !found.contains(&reason) {
            found.push(reason);
        }
    }
    found
}

/// The reason that the table has for a line; `None` for comments too.
fn reason(line: &str, table: &Table) -> Option<&'static str> {
    let mut words = line.split_whitespace();
    let source = words.next().filter(|word| !word.starts_with('#'))?;
    let (target, kind) = (words.next()?, words.next().unwrap_or_default());
    let fits = |(field, patterns, _): &&(Field, &[&str], &str)| {
        let value = match field {
            Field::Source => source,
            // A trailing slash means nothing.
            Field::Target if target.len() > 1 => target.trim_end_matches('/'),
            Field::Target => target,
            Field::Type => kind,
        };
        patterns.iter().any(|pattern| matches(pattern, value))
    };
    // A bind mount names a folder, whatever its type says.
    let is_bind = words.next().is_some_and(|options| {
        let mut options = options.split(',');
        options.any(|option| option == "bind" || option == "rbind")
    });
    table
        .iter()
        .filter(|_| !is_bind)
        .find(fits)
        .map(|row| row.2)
}

/// The text with each line changed; a last line without an end stays so.
fn lines(text: &str, changed: impl Fn(&str) -> String) -> String {
    let lines: Vec<String> = text.split('\n').map(changed).collect();
    lines.join("\n")
}

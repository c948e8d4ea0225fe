//! Services that a container of OpenVZ had switched off and another one needs, and the reverse.

use super::super::draft::Draft;
use super::super::view::matches;
use super::assignment::Assignment;
use super::context::Context;
use crate::error::Result;

/// Masks (links to /dev/null) that go.
const UNMASKED: &[(&str, &str)] = &[
    ("console-getty.service", LOGIN),
    ("container-getty@*.service", LOGIN),
    ("getty.target", LOGIN),
    (
        "systemd-logind.service",
        "was masked for OpenVZ's kernel: logins have sessions on the new host",
    ),
    ("networking.service", NETWORK),
    ("ifup@*.service", NETWORK),
    ("ifupdown*.service", NETWORK),
    ("network.service", NETWORK),
    ("NetworkManager*.service", NETWORK),
    ("systemd-networkd*", NETWORK),
    ("systemd-resolved.service", NETWORK),
    ("systemd-udevd*", UDEV_IN_NAMESPACES),
    ("systemd-udev-trigger.service", UDEV_IN_NAMESPACES),
    ("systemd-poweroff.service", POWER),
    ("systemd-reboot.service", POWER),
    ("systemd-halt.service", POWER),
    ("poweroff.target", POWER),
    ("reboot.target", POWER),
    ("halt.target", POWER),
];

/// Jobs of Upstart that a person alone started.
const JOBS: &[(&str, &str)] = &[
    ("networking", NETWORK),
    ("network-interface*", NETWORK),
    ("tty1", LOGIN),
    ("console", LOGIN),
];

const LOGIN: &str = "was masked for OpenVZ: the new host's console has a login";
const NETWORK: &str = "was masked because OpenVZ's host set up venet0: the guest sets up eth0";
/// Incus gives containers a /sys of their own to write to, and networkd and NetworkManager wait
/// there for udev to know the card. The unit itself looks whether /sys may be written to.
const UDEV_IN_NAMESPACES: &str = "was masked for OpenVZ: it starts only where the new host lets it \
     write to /sys, and there networkd and NetworkManager wait for it";
const POWER: &str = "was masked for OpenVZ: the new host lets the guest shut itself down";

/// Where a mask hides a unit.
const UNITS: &str = "etc/systemd/system";

/// Lines of files that change: the path, the key, values in any case, what they become, why.
const LINES: &Lines = &[
    (
        "etc/selinux/config",
        "SELINUX",
        &["enforcing", "permissive"],
        "disabled",
        "the policy of SELinux is the host's: no file of the container has a label",
    ),
    ("etc/rc.conf", "rc_sys", OPENVZ, LXC, OPENRC),
    ("etc/rc.conf.d/*.conf", "rc_sys", OPENVZ, LXC, OPENRC),
    ("etc/conf.d/rc", "rc_sys", OPENVZ, LXC, OPENRC),
    ("etc/conf.d/rc", "RC_SYS", OPENVZ, LXC, OPENRC),
];

/// What OpenRC calls the containers of OpenVZ.
pub(super) const OPENVZ: &[&str] = &["openvz"];
const LXC: &str = "\"lxc\"";
const OPENRC: &str =
    "OpenRC leaves out what a container does not need, for LXC as it did for OpenVZ";

/// Commands of scripts that are left out: the path, the program, words of which one has to be there
/// (none: whatever is there), why.
const COMMANDS: &[(&str, &str, &[&str], &str)] = &[
    ("etc/rc.d/rc.sysinit", "/sbin/start_udev", &[], UDEV),
    ("etc/rc.sysinit", "/sbin/start_udev", &[], UDEV),
    // In templates of Ubuntu 10.04 it takes the place of mountall.
    (
        "etc/init/openvz.conf",
        "mount",
        &["proc", "sysfs", "devpts"],
        "the new host mounts the kernel's file systems, and an unprivileged container may not",
    ),
];

pub(super) const UDEV: &str =
    "a container has no devices for udev to find, and udev would hide those of the host";

pub(super) fn apply(draft: &mut Draft<'_>, _: &Context<'_>) -> Result<()> {
    unmask(draft, UNMASKED)?;
    start_jobs(draft, JOBS)?;
    change_lines(draft, LINES)?;
    for (path, program, words, reason) in COMMANDS {
        draft.edit(path, reason, |text| without(text, program, words))?;
    }
    mount_table(draft)
}

pub(super) type Lines = [(
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static str,
    &'static str,
)];

/// Gives keys of files another value, and says where one of the values still stands.
pub(super) fn change_lines(draft: &mut Draft<'_>, table: &Lines) -> Result<()> {
    for (pattern, key, values, becomes, reason) in table {
        let is_old = |value: &str| values.iter().any(|old| value.eq_ignore_ascii_case(old));
        for path in draft.view.matching(pattern)? {
            draft.edit(&path, reason, |text| {
                let lines = text.split('\n').map(|line| {
                    match Assignment::parse(line, key).filter(|found| is_old(found.value)) {
                        Some(found) => found.with(becomes),
                        None => line.to_owned(),
                    }
                });
                lines.collect::<Vec<_>>().join("\n")
            })?;
            let text = draft.text(&path)?.unwrap_or_default();
            if text.lines().any(|line| still_says(line, key, values)) {
                let by_hand = format!("make {key} {becomes} by hand here: {reason}");
                draft.keep(&path, &by_hand)?;
            }
        }
    }
    Ok(())
}

/// Whether a line that is no plain one of `key` gives it one of the values.
fn still_says(line: &str, key: &str, values: &[&str]) -> bool {
    if line.trim_start().starts_with('#') || Assignment::parse(line, key).is_some() {
        return false;
    }
    let code = line.split(" #").next().unwrap_or_default();
    let mut parts = code.split([' ', '\t', ';', '&', '|', '(', '{']);
    parts.any(|part| {
        let value = part
            .strip_prefix(key)
            .and_then(|rest| rest.strip_prefix('='));
        let value = value.unwrap_or_default().to_ascii_lowercase();
        values.iter().any(|old| value.contains(old))
    })
}

/// Takes the masks of a table away, and says which others stay.
pub(super) fn unmask(draft: &mut Draft<'_>, table: &[(&str, &str)]) -> Result<()> {
    let mut still: Vec<String> = Vec::new();
    for name in draft.view.names(UNITS)? {
        let path = format!("{UNITS}/{name}");
        if draft.view.link(&path)?.as_deref() != Some("/dev/null") {
            continue;
        }
        match table.iter().find(|(unit, _)| matches(unit, &name)) {
            Some((_, reason)) if is_wanted(draft, &name)? => draft.remove(&path, reason)?,
            _ => still.push(name),
        }
    }
    if !still.is_empty() {
        let still = still.join(", ");
        let reason = format!("units that are masked and stay so: {still}");
        draft.keep(UNITS, &reason)?;
    }
    Ok(())
}

/// Whether a unit is to start. No script of OpenVZ masks systemd-resolved: a person did, with
/// another name server, and two cannot listen at one address.
fn is_wanted(draft: &Draft<'_>, unit: &str) -> Result<bool> {
    const FILE: &str = "etc/resolv.conf";
    if unit != "systemd-resolved.service" {
        return Ok(true);
    }
    let asks_it = |target: String| target.contains("systemd/resolve/");
    Ok(!draft.view.has(FILE)? || draft.view.link(FILE)?.is_some_and(asks_it))
}

/// Upstart's jobs start by themselves again, for which a file says that only a person starts them.
pub(super) fn start_jobs(draft: &mut Draft<'_>, jobs: &[(&str, &str)]) -> Result<()> {
    for (job, reason) in jobs {
        for path in draft.view.matching(&format!("etc/init/{job}.override"))? {
            let text = draft.view.text(&path)?.unwrap_or_default();
            if text.trim() == "manual" {
                draft.remove(&path, reason)?;
            }
        }
    }
    Ok(())
}

/// The text without such commands, each of which becomes one that does nothing: an `if` around it
/// stays whole.
pub(super) fn without(text: &str, program: &str, one_of: &[&str]) -> String {
    let lines = text.split('\n').map(|line| {
        let code = line.trim_start();
        let mut words = code.split_whitespace();
        let is_it = words.next() == Some(program)
            && (one_of.is_empty() || words.any(|word| one_of.contains(&word)));
        if is_it {
            let indent = line.len() - code.len();
            format!("{}: #{code}", line.get(..indent).unwrap_or_default())
        } else {
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A table of mounts that an init wrote down once, and that names OpenVZ's disk for ever.
pub(super) fn mount_table(draft: &mut Draft<'_>) -> Result<()> {
    let path = "etc/mtab";
    if draft.view.link(path)?.is_some() {
        return Ok(());
    }
    let text = draft.view.text(path)?.unwrap_or_default();
    if !["ploop", "simfs", "vzfs"]
        .iter()
        .any(|word| text.contains(word))
    {
        return Ok(());
    }
    draft.replace_by_link(
        "/proc/self/mounts",
        path,
        "named the disk of the OpenVZ host: the kernel knows what is mounted",
    )
}

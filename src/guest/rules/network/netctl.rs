//! Arch's older ways to a network, and units that set up a card by themselves.

use std::collections::BTreeSet;

use super::super::super::draft::Draft;
use super::manager::{VENET, retained};
use super::shell::{Command, commands};
use super::wanted::Wanted;
use crate::error::Result;

/// Profiles of netctl by name, and units that start them; those of netcfg before it.
const OF_VENET: &[&str] = &[
    "etc/netctl/venet0*",
    "etc/systemd/system/netctl@venet0*",
    "etc/systemd/system/*.wants/netctl@venet0*",
    "etc/systemd/system/*.wants/venet0*.service",
    "etc/network.d/venet0*",
];

/// Files of netcfg and of Arch's scripts before systemd, which list what starts.
const LISTS: &[&str] = &["etc/rc.conf", "etc/conf.d/netcfg"];
const NAMES: &[&str] = &["NETWORKS", "INTERFACES", "ROUTES"];

/// Units that set up `eth0` and nothing else.
const UNITS: &[&str] = &[
    "etc/systemd/system/*.wants/netctl-ifplugd@eth0.service",
    "etc/systemd/system/*.wants/dhcpcd@eth0.service",
    "etc/systemd/system/*.wants/dhclient@eth0.service",
];

/// Services that ask for an address on every card.
const EVERY_CARD: &[&str] = &[
    "etc/systemd/system/*.wants/dhcpcd.service",
    "etc/systemd/system/*.wants/connman.service",
    "etc/runlevels/*/dhcpcd",
    "etc/runlevels/*/connman",
];

pub(super) fn clean(draft: &mut Draft<'_>) -> Result<()> {
    for pattern in OF_VENET {
        for path in draft.view.matching(pattern)? {
            draft.remove(&path, VENET)?;
        }
    }
    for path in LISTS {
        let text = draft.text(path)?.unwrap_or_default();
        let code = retained(&text, |line| !line.trim_start().starts_with('#'));
        if !code.contains("venet0") {
            continue;
        }
        let after = commands(&text).and_then(|all| without_venet(&all));
        match after {
            Some(after) => draft.edit(path, VENET, |_| after)?,
            None => draft.keep(
                path,
                "names venet0 in a way that is not understood: take it out \
                by hand",
            )?,
        }
    }
    Ok(())
}

/// The text without what belongs to `venet0`; `None` where this is not sure.
fn without_venet(all: &[Command<'_>]) -> Option<String> {
    let names_venet = |word: &str| {
        let word = word.trim_start_matches('!');
        word == "venet0" || word.starts_with("venet0:") || word.starts_with("venet0_")
    };
    let has_venet = |command: &Command<'_>| {
        let mut words = command
            .words
            .iter()
            .flat_map(|word| word.text.split_whitespace());
        words.any(names_venet)
    };
    // Cards, and routes that lead through them.
    let is_list = |command: &Command<'_>| NAMES.contains(&command.name);
    let is_of_venet = |command: &&Command<'_>| {
        names_venet(command.name) || command.name.starts_with("rt_") && has_venet(command)
    };
    let gone: BTreeSet<&str> = all
        .iter()
        .filter(is_of_venet)
        .map(|command| command.name)
        .collect();
    let goes = |word: &str| names_venet(word) || gone.contains(word.trim_start_matches('!'));
    let mut after = String::new();
    for command in all {
        let is_gone = is_of_venet(&command);
        if (is_gone || is_list(command) && has_venet(command)) && !command.is_alone {
            return None;
        }
        if is_gone {
            continue;
        }
        let mut at = 0;
        for word in command.words.iter().filter(|_| is_list(command)) {
            if word.text.split_whitespace().count() > 1 && word.text.split_whitespace().any(goes) {
                return None;
            }
            if goes(&word.text) {
                let before = command.text.get(at..word.place.start)?;
                after.push_str(before.trim_end_matches([' ', '\t']));
                at = word.place.end;
            }
        }
        after.push_str(command.text.get(at..)?);
    }
    Some(after)
}

/// What sets `eth0` up by a unit.
pub(super) fn card(draft: &Draft<'_>) -> Result<Option<String>> {
    for pattern in UNITS {
        if let Some(path) = draft.view.matching(pattern)?.into_iter().next() {
            return Ok(Some(path));
        }
    }
    for path in draft.view.matching("etc/netctl/*")? {
        let text = draft.text(&path)?.unwrap_or_default();
        let is_for_eth0 = commands(&text).unwrap_or_default().iter().any(|command| {
            command.name == "Interface" && command.words.iter().any(|word| word.text == "eth0")
        });
        if is_for_eth0 && is_started(draft, path.trim_start_matches("etc/netctl/"))? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Whether a unit starts a profile.
fn is_started(draft: &Draft<'_>, profile: &str) -> Result<bool> {
    // As systemd-escape(1) writes it.
    let escaped: String = profile
        .chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() || "._:".contains(c) => c.to_string(),
            c => format!("\\x{:02x}", u32::from(c)),
        })
        .collect();
    for name in [profile, &escaped] {
        let unit = format!("netctl@{name}.service");
        for folder in ["etc/systemd/system/*.wants", "etc/systemd/system"] {
            // A file of that name in the folder itself is how netctl enables one.
            if !draft.view.matching(&format!("{folder}/{unit}"))?.is_empty() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether a service asks for an address on every card, so that `eth0` needs no other settings; it
/// is named where it asks for one beside the addresses that `eth0` keeps.
pub(super) fn serves_every_card(draft: &mut Draft<'_>, wanted: &Wanted) -> Result<bool> {
    // Debian's dhcpcd stands back where its interfaces file has a card.
    if draft.view.first(&["sbin/ifup", "usr/sbin/ifup"])?.is_some() {
        return Ok(false);
    }
    for pattern in EVERY_CARD {
        if let Some(path) = draft.view.matching(pattern)?.into_iter().next() {
            let reason = match wanted.is_dhcp() {
                true => "asks for an address on every card: eth0 gets no other settings",
                false => "asks for an address on every card, on eth0 too: switch it off by hand",
            };
            draft.keep(&path, reason)?;
            return Ok(wanted.is_dhcp());
        }
    }
    Ok(false)
}

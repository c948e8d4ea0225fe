//! `/etc/conf.d/net`: Gentoo.

use super::super::super::draft::Draft;
use super::super::super::system::{Init, System};
use super::super::elsewhere::names_venet;
use super::manager::{DHCP_CLIENTS, Manager, VENET, has_networkd};
use super::shell::{Command, commands};
use super::wanted::Wanted;
use crate::error::Result;

pub(super) const NETIFRC: Manager = Manager {
    is_used,
    dhcp: DHCP_CLIENTS,
    clean,
    card,
    set,
};

const FILE: &str = "etc/conf.d/net";

/// Its unit for each card, where systemd is the first process.
const UNITS: &[&str] = &[
    "usr/lib/systemd/system/net@.service",
    "lib/systemd/system/net@.service",
];
const STARTED: &str = "etc/systemd/system/*.wants/net@*";

/// Funtoo's files: a script and settings for each card. netifrc's scripts; its units.
const CARDS: &[&str] = &[
    "etc/init.d/net.venet0*",
    "etc/runlevels/*/net.venet0*",
    "etc/systemd/system/*.wants/net@venet0*",
    "etc/conf.d/netif.venet0*",
    "etc/init.d/netif.venet0*",
    "etc/runlevels/*/netif.venet0*",
];

/// vzctl writes its file whatever starts it, and systemd does so by units alone.
fn is_used(draft: &Draft<'_>, system: &System) -> Result<bool> {
    if !draft.has("etc/init.d/net.lo")? && draft.view.first(UNITS)?.is_none() {
        return Ok(false);
    }
    if system.init != Init::Systemd {
        return Ok(true);
    }
    let has_units = draft.view.first(UNITS)?.is_some();
    Ok(has_units && (!has_networkd(draft)? || !draft.view.matching(STARTED)?.is_empty()))
}

fn clean(draft: &mut Draft<'_>) -> Result<()> {
    if let Some(text) = draft.text(FILE)? {
        match commands(&text) {
            Some(all) => {
                let of_venet = |command: &&Command<'_>| command.name.contains("_venet0");
                let stays = all.iter().filter(|one| !(of_venet(one) && one.is_alone));
                let kept: String = stays.map(|command| command.text).collect();
                draft.edit(FILE, VENET, |_| kept)?;
                if all.iter().filter(of_venet).any(|one| !one.is_alone) {
                    draft.keep(FILE, BESIDE)?;
                }
            }
            None if names_venet(&text) => draft.keep(FILE, NOT_READ)?,
            None => {}
        }
    }
    for pattern in CARDS {
        for path in draft.view.matching(pattern)? {
            draft.remove(&path, VENET)?;
        }
    }
    Ok(())
}

const BESIDE: &str = "gives venet0 settings beside something else: take venet0 out by hand";
const NOT_READ: &str = "is a script that is not understood, as where a quote never ends: take \
     venet0 out by hand";
const NO_PLACE: &str = "is a script that is not understood, as where a quote never ends: nothing \
     is written behind it, so give eth0 settings by hand";

fn card(draft: &Draft<'_>) -> Result<Option<String>> {
    let text = draft.text(FILE)?.unwrap_or_default();
    let mut lines = text.lines().map(str::trim_start);
    let is_set = lines.any(|line| line.starts_with("config_eth0"));
    Ok(is_set.then(|| FILE.to_owned()))
}

fn set(draft: &mut Draft<'_>, wanted: &Wanted, system: &System) -> Result<()> {
    let ours = lines(wanted);
    let before = draft.text(FILE)?;
    if before.is_none() {
        draft.create(FILE, 0o644, &ours, &wanted.reason)?;
    } else if before.is_some_and(|text| commands(&text).is_none()) {
        return draft.keep(FILE, NO_PLACE);
    } else {
        draft.edit(FILE, &wanted.reason, |text| {
            let text = text.trim_end();
            format!("{text}{}{ours}", if text.is_empty() { "" } else { "\n" })
        })?;
    }
    if !draft.has("etc/init.d/net.lo")? || system.init == Init::Systemd {
        let unit = draft.view.first(UNITS)?.unwrap_or_default();
        let started = "etc/systemd/system/multi-user.target.wants/net@eth0.service";
        return draft.link(&format!("/{unit}"), started, &wanted.reason);
    }
    draft.link("net.lo", "etc/init.d/net.eth0", &wanted.reason)?;
    let started = "etc/runlevels/default/net.eth0";
    draft.link("/etc/init.d/net.eth0", started, &wanted.reason)
}

fn lines(wanted: &Wanted) -> String {
    if wanted.is_dhcp() {
        return "config_eth0=\"dhcp\"\n".to_owned();
    }
    let v4 = wanted.v4.iter().map(|(ip, bits)| format!("{ip}/{bits}"));
    let v6 = wanted.v6.iter().map(|(ip, bits)| format!("{ip}/{bits}"));
    let addresses: Vec<String> = v4.chain(v6).collect();
    let mut routes: Vec<String> = Vec::new();
    routes.extend(
        wanted
            .far_gateway4()
            .map(|far| format!("{far}/32 dev eth0")),
    );
    routes.extend(
        wanted
            .far_gateway6()
            .map(|far| format!("{far}/128 dev eth0")),
    );
    routes.extend(
        wanted
            .gateway4
            .map(|gateway| format!("default via {gateway}")),
    );
    routes.extend(
        wanted
            .gateway6
            .map(|gateway| format!("default via {gateway}")),
    );
    let mut text = format!("config_eth0=\"{}\"\n", addresses.join("\n"));
    if !routes.is_empty() {
        text.push_str(&format!("routes_eth0=\"{}\"\n", routes.join("\n")));
    }
    text
}

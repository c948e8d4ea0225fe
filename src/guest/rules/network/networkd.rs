//! systemd-networkd: a file for each network, and patterns that say whose it is.

use super::super::super::draft::Draft;
use super::super::super::system::System;
use super::files::clean;
use super::glob::one_matches;
use super::manager::{Manager, has_networkd};
use super::wanted::Wanted;
use crate::error::Result;

/// Arch, and whatever else has systemd and no manager of its own.
pub(super) const NETWORKD: Manager = Manager {
    is_used: |draft, _| has_networkd(draft),
    dhcp: &[],
    clean: |draft| clean(draft, "etc/systemd/network/*", is_of_venet),
    card,
    set,
};

const FILES: &str = "etc/systemd/network/*.network";
const STARTED: &str = "etc/systemd/system/*.wants/systemd-networkd.service";

/// Whether a file is for `venet0`: every name that it goes by, or gives, is.
fn is_of_venet(text: &str) -> bool {
    let mut section = "";
    let mut names = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        let is_name = ["Name", "OriginalName"].contains(&key.trim());
        if is_name && ["[Match]", "[NetDev]"].contains(&section) {
            names.extend(value.split_whitespace());
        }
    }
    !names.is_empty() && names.iter().all(|name| name.starts_with("venet0"))
}

/// How a file is meant for eth0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meant {
    /// By its name.
    Named,
    /// By a pattern or a type, or as every card is.
    Matched,
}

/// Whether networkd would take a file for `eth0`; of two such files the one whose name comes first
/// counts. A condition that this reader does not know, as a driver's name, may not hold.
fn meant(text: &str) -> Option<Meant> {
    let mut is_match = false;
    let mut meant = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            is_match = line == "[Match]";
        }
        let Some((key, value)) = line.split_once('=').filter(|_| is_match) else {
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        if line.starts_with(['#', ';']) || value.is_empty() {
            continue;
        }
        match key {
            "Name" if value.split_whitespace().any(|name| name == "eth0") => {
                return Some(Meant::Named);
            }
            "Name" if one_matches(value, "eth0") => meant = meant.or(Some(Meant::Matched)),
            "Type" if one_matches(value, "ether") => meant = meant.or(Some(Meant::Matched)),
            _ => return None,
        }
    }
    meant
}

fn card(draft: &Draft<'_>) -> Result<Option<String>> {
    let is_started = !draft.view.matching(STARTED)?.is_empty();
    for path in draft.view.matching(FILES)? {
        let text = draft.text(&path)?.unwrap_or_default();
        match meant(&text) {
            Some(Meant::Named) => return Ok(Some(path)),
            Some(Meant::Matched) if is_started => return Ok(Some(path)),
            _ => {}
        }
    }
    Ok(None)
}

/// The name of the file for `eth0`: networkd takes the first of those that match, and a
/// file that had no effect so far is not to win.
fn place(draft: &mut Draft<'_>) -> Result<&'static str> {
    let mut first: Option<String> = None;
    for path in draft.view.matching(FILES)? {
        let text = draft.text(&path)?.unwrap_or_default();
        if first.is_none() && meant(&text).is_some() {
            first = Some(path);
        }
    }
    let places = [
        "etc/systemd/network/60-eth0.network",
        "etc/systemd/network/10-eth0.network",
        "etc/systemd/network/00-eth0.network",
    ];
    let Some(first) = first else {
        return Ok(places[0]);
    };
    if let Some(place) = places.into_iter().find(|place| *place < first.as_str()) {
        return Ok(place);
    }
    draft.keep(
        &first,
        "is for eth0 too, and its name comes first: see which is to count",
    )?;
    Ok(places[0])
}

fn set(draft: &mut Draft<'_>, wanted: &Wanted, _: &System) -> Result<()> {
    let mut text = "[Match]\nName=eth0\n\n[Network]\n".to_owned();
    if wanted.is_dhcp() {
        text.push_str("DHCP=yes\n");
    }
    for (ip, bits) in &wanted.v4 {
        text.push_str(&format!("Address={ip}/{bits}\n"));
    }
    for (ip, bits) in &wanted.v6 {
        text.push_str(&format!("Address={ip}/{bits}\n"));
    }
    for server in &wanted.servers {
        text.push_str(&format!("DNS={server}\n"));
    }
    let far = [
        wanted.far_gateway4().map(|far| far.to_string()),
        wanted.far_gateway6().map(|far| far.to_string()),
    ];
    let all = [
        wanted.gateway4.map(|gateway| gateway.to_string()),
        wanted.gateway6.map(|gateway| gateway.to_string()),
    ];
    for (gateway, far) in all.into_iter().zip(far) {
        let Some(gateway) = gateway else {
            continue;
        };
        // An older networkd does not know GatewayOnLink: a route to the gateway itself does too.
        let route = far.map_or_else(String::new, |far| {
            format!("\n[Route]\nDestination={far}\nScope=link\n")
        });
        text.push_str(&format!("{route}\n[Route]\nGateway={gateway}\n"));
    }
    let path = place(draft)?;
    draft.create(path, 0o644, &text, &wanted.reason)?;
    let folder = draft
        .view
        .first(&["usr/lib/systemd/system", "lib/systemd/system"])?;
    let started = draft.view.matching(STARTED)?;
    let Some(folder) = folder.filter(|_| started.is_empty()) else {
        return Ok(());
    };
    draft.link(
        &format!("/{folder}/systemd-networkd.service"),
        "etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
        "systemd-networkd sets eth0 up, and was not started",
    )
}

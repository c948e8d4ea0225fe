//! `/etc/sysconfig/network`: SUSE and openSUSE.

use super::super::super::draft::Draft;
use super::super::super::system::System;
use super::manager::{Manager, VENET, has_network_manager, retained};
use super::wanted::Wanted;
use crate::error::Result;

pub(super) const WICKED: Manager = Manager {
    is_used,
    dhcp: CLIENTS,
    clean,
    card,
    set,
};

/// wicked asks by itself; the scripts before it start another program.
const CLIENTS: &[&str] = &[
    "usr/sbin/wicked",
    "sbin/dhcpcd",
    "usr/sbin/dhcpcd",
    "sbin/dhclient",
    "usr/sbin/dhclient",
];

/// A directory on SUSE, a file on Red Hat.
const FOLDER: &str = "etc/sysconfig/network";
const CARD: &str = "etc/sysconfig/network/ifcfg-eth0";

/// What wicked runs when an address comes or goes, and a script of the host for the route.
const WICKED_SCRIPT: &str = "etc/wicked/extensions/netconfig";
const VENET_ROUTE: &str = "etc/wicked/extensions/venet_route";

fn is_used(draft: &Draft<'_>, _: &System) -> Result<bool> {
    // NetworkManager has a folder of this name too, and reads no card in it.
    let scripts = ["usr/sbin/wicked", "usr/sbin/ifup", "sbin/ifup"];
    Ok(draft.view.is_directory(FOLDER)?
        && (draft.view.first(&scripts)?.is_some() || !has_network_manager(draft)?))
}

fn clean(draft: &mut Draft<'_>) -> Result<()> {
    for name in ["ifcfg-venet0*", "ifroute-venet0*", "ifrule-venet0*"] {
        for path in draft.view.matching(&format!("{FOLDER}/{name}"))? {
            draft.remove(&path, VENET)?;
        }
    }
    // Virtuozzo 7 writes the script, and has wicked's own call it.
    draft.remove(VENET_ROUTE, VENET)?;
    draft.edit(WICKED_SCRIPT, VENET, |text| {
        retained(text, |line| !line.contains(VENET_ROUTE))
    })?;
    draft.edit(&format!("{FOLDER}/routes"), VENET, |text| {
        retained(text, |line| !line.contains("venet0"))
    })
}

fn card(draft: &Draft<'_>) -> Result<Option<String>> {
    Ok(draft.has(CARD)?.then(|| CARD.to_owned()))
}

/// Starts wicked, where nothing starts it or what was there before it.
fn start(draft: &mut Draft<'_>) -> Result<()> {
    const STARTED: &[&str] = &[
        "etc/systemd/system/network.service",
        "etc/systemd/system/*.wants/wicked.service",
        "etc/systemd/system/*.wants/network.service",
    ];
    for pattern in STARTED {
        for path in draft.view.matching(pattern)? {
            // A mask may have gone.
            if draft.has(&path)? {
                return Ok(());
            }
        }
    }
    let Some(unit) = draft
        .view
        .first(&["usr/lib/systemd/system/wicked.service"])?
    else {
        return Ok(());
    };
    let reason = "wicked sets eth0 up, and was not started";
    let links = ["network.service", "multi-user.target.wants/wicked.service"];
    for link in links {
        draft.link(
            &format!("/{unit}"),
            &format!("etc/systemd/system/{link}"),
            reason,
        )?;
    }
    Ok(())
}

fn set(draft: &mut Draft<'_>, wanted: &Wanted, _: &System) -> Result<()> {
    let reason = &wanted.reason;
    start(draft)?;
    if wanted.is_dhcp() {
        let text = "STARTMODE='auto'\nBOOTPROTO='dhcp'\n";
        return draft.create(CARD, 0o644, text, reason);
    }
    let mut text = "STARTMODE='auto'\nBOOTPROTO='static'\n".to_owned();
    let v4 = wanted.v4.iter().map(|(ip, bits)| format!("{ip}/{bits}"));
    let v6 = wanted.v6.iter().map(|(ip, bits)| format!("{ip}/{bits}"));
    for (number, address) in v4.chain(v6).enumerate() {
        let suffix = match number {
            0 => String::new(),
            _ => format!("_{number}"),
        };
        text.push_str(&format!("IPADDR{suffix}='{address}'\n"));
    }
    draft.create(CARD, 0o644, &text, reason)?;
    // Destination, gateway, netmask, interface.
    let mut routes = String::new();
    if let Some(far) = wanted.far_gateway4() {
        routes.push_str(&format!("{far}/32 - - eth0\n"));
    }
    if let Some(far) = wanted.far_gateway6() {
        routes.push_str(&format!("{far}/128 - - eth0\n"));
    }
    if let Some(gateway) = wanted.gateway4 {
        routes.push_str(&format!("default {gateway} - eth0\n"));
    }
    if let Some(gateway) = wanted.gateway6 {
        routes.push_str(&format!("default {gateway} - eth0\n"));
    }
    if routes.is_empty() {
        return Ok(());
    }
    let path = format!("{FOLDER}/ifroute-eth0");
    draft.create(&path, 0o644, &routes, reason)
}

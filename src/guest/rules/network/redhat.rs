//! `/etc/sysconfig/network-scripts`: CentOS 5 to 9 and their kin, Fedora.

use super::super::super::config::netmask;
use super::super::super::draft::Draft;
use super::super::super::system::System;
use super::manager::{Manager, VENET, has_network_manager, retained, start_network_manager};
use super::routed::is_routed;
use super::wanted::Wanted;
use crate::error::Result;

pub(super) const SCRIPTS: Manager = Manager {
    is_used,
    dhcp: SCRIPTS_DHCP,
    clean,
    card,
    set,
};

const FOLDER: &str = "etc/sysconfig/network-scripts";
const PLUGINS: &[&str] = &[
    "usr/lib*/NetworkManager/*/libnm-settings-plugin-ifcfg-rh.so",
    "usr/lib*/NetworkManager/libnm-settings-plugin-ifcfg-rh.so",
];

/// NetworkManager asks for an address itself.
const SCRIPTS_DHCP: &[&str] = &[
    "sbin/dhclient",
    "usr/sbin/dhclient",
    "sbin/dhcpcd",
    "sbin/pump",
    "usr/sbin/NetworkManager",
];

/// What starts the network, or shows that something does.
const STARTED: &[&str] = &[
    "etc/rc.d/rc?.d/S??network",
    "etc/rc?.d/S??network",
    "etc/systemd/system/*.wants/network.service",
    "etc/systemd/system/*.wants/NetworkManager.service",
];

fn is_used(draft: &Draft<'_>, _: &System) -> Result<bool> {
    if !draft.view.is_directory(FOLDER)? {
        return Ok(false);
    }
    // The folder alone says nothing: vzctl makes it too. Fedora from 36 and Red Hat from 10 on keep
    // an empty one: NetworkManager reads it with a plug-in only that a package of its own has.
    if draft.has(&format!("{FOLDER}/ifup-eth"))? {
        return Ok(true);
    }
    if has_network_manager(draft)? {
        for plugin in PLUGINS {
            if !draft.view.matching(plugin)?.is_empty() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn clean(draft: &mut Draft<'_>) -> Result<()> {
    for name in [
        "ifcfg-venet0*",
        "route-venet0*",
        "route6-venet0*",
        "rule-venet0*",
    ] {
        for path in draft.view.matching(&format!("{FOLDER}/{name}"))? {
            draft.remove(&path, VENET)?;
        }
    }
    routed_cards(draft)?;
    draft.edit("etc/sysconfig/network", VENET, |text| {
        retained(text, |line| {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            match key.trim() {
                "GATEWAYDEV" | "IPV6_DEFAULTDEV" => !value.contains("venet0"),
                // What OpenVZ's host gives every container.
                "GATEWAY" => !["191.255.255.1", "169.255.30.1", "192.0.2.1"]
                    .contains(&value.trim().trim_matches(['"', '\''])),
                _ => true,
            }
        })
    })
}

/// Takes out what Virtuozzo 7 wrote for cards that it routes: their addresses and their routes.
fn routed_cards(draft: &mut Draft<'_>) -> Result<()> {
    let start = format!("{FOLDER}/ifcfg-");
    for path in draft.view.matching(&format!("{start}*"))? {
        if !is_routed(&draft.view.text(&path)?.unwrap_or_default()) {
            continue;
        }
        draft.remove(&path, VENET)?;
        let card = path.strip_prefix(&start).unwrap_or_default();
        for routes in ["route", "route6"] {
            draft.remove(&format!("{FOLDER}/{routes}-{card}"), VENET)?;
        }
    }
    Ok(())
}

fn card(draft: &Draft<'_>) -> Result<Option<String>> {
    let path = format!("{FOLDER}/ifcfg-eth0");
    Ok(draft.has(&path)?.then_some(path))
}

fn set(draft: &mut Draft<'_>, wanted: &Wanted, _: &System) -> Result<()> {
    let reason = &wanted.reason;
    let card = format!("{FOLDER}/ifcfg-eth0");
    let first = "DEVICE=eth0\nTYPE=Ethernet\nONBOOT=yes\n";
    if wanted.is_dhcp() {
        draft.create(&card, 0o644, &format!("{first}BOOTPROTO=dhcp\n"), reason)?;
        return start_network_manager(draft, STARTED);
    }
    let mut text = format!("{first}BOOTPROTO=none\n");
    for (number, (address, bits)) in wanted.v4.iter().enumerate() {
        let mask = netmask(*bits);
        let lines = format!("IPADDR={address}\nNETMASK={mask}\n");
        if number == 0 {
            text.push_str(&lines);
            continue;
        }
        // A file each, which CentOS 5 knows too.
        let alias = format!("DEVICE=eth0:{number}\nONBOOT=yes\nBOOTPROTO=none\n{lines}");
        draft.create(&format!("{card}:{number}"), 0o644, &alias, reason)?;
    }
    match (wanted.gateway4, wanted.far_gateway4()) {
        (_, Some(far)) => {
            let routes = format!("{far} dev eth0\ndefault via {far} dev eth0\n");
            draft.create(&format!("{FOLDER}/route-eth0"), 0o644, &routes, reason)?;
        }
        (Some(near), None) => text.push_str(&format!("GATEWAY={near}\n")),
        (None, None) => {}
    }
    if let Some(((address, bits), more)) = wanted.v6.split_first() {
        text.push_str(&format!("IPV6INIT=yes\nIPV6ADDR={address}/{bits}\n"));
        let more: Vec<String> = more
            .iter()
            .map(|(ip, bits)| format!("{ip}/{bits}"))
            .collect();
        if !more.is_empty() {
            text.push_str(&format!("IPV6ADDR_SECONDARIES=\"{}\"\n", more.join(" ")));
        }
        match (wanted.gateway6, wanted.far_gateway6()) {
            (_, Some(far)) => {
                let routes = format!("{far} dev eth0\ndefault via {far} dev eth0\n");
                draft.create(&format!("{FOLDER}/route6-eth0"), 0o644, &routes, reason)?;
            }
            (Some(near), None) => {
                text.push_str(&format!("IPV6_DEFAULTGW={near}\nIPV6_DEFAULTDEV=eth0\n"))
            }
            (None, None) => {}
        }
    }
    for (number, server) in (1..).zip(&wanted.servers) {
        text.push_str(&format!("DNS{number}={server}\n"));
    }
    draft.create(&card, 0o644, &text, reason)?;
    start_network_manager(draft, STARTED)
}

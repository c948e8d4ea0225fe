//! Managers with a file for each card: netplan, NetworkManager.

use std::net::IpAddr;

use super::super::super::draft::Draft;
use super::super::elsewhere::names_venet;
use super::glob::one_matches;
use super::manager::{Manager, VENET, has_network_manager, start_network_manager};
use super::routed::is_routed;
use super::wanted::Wanted;
use super::yaml::keys;
use crate::error::Result;

/// Ubuntu from 17.10.
pub(super) const NETPLAN: Manager = Manager {
    is_used: |draft, _| {
        let paths = ["usr/sbin/netplan", "sbin/netplan", "usr/share/netplan"];
        Ok(draft.view.first(&paths)?.is_some() && draft.view.is_directory("etc/netplan")?)
    },
    dhcp: &[],
    clean: |draft| clean(draft, "etc/netplan/*", netplan_has_only_venet),
    card: |draft| card(draft, "etc/netplan/*.yaml", netplan_matches),
    set: |draft, wanted, _| {
        let path = "etc/netplan/60-eth0.yaml";
        draft.create(path, 0o600, &netplan(wanted), &wanted.reason)
    },
};

/// Red Hat's from 9 on without the older scripts, and desktops.
pub(super) const NETWORK_MANAGER: Manager = Manager {
    is_used: |draft, _| has_network_manager(draft),
    dhcp: &[],
    clean: |draft| {
        // Virtuozzo's host had these cards taken from other parts of NetworkManager.
        for path in draft.view.matching("etc/NetworkManager/conf.d/vz-*.conf")? {
            draft.remove(&path, VENET)?;
        }
        let files = "etc/NetworkManager/system-connections/*";
        clean(draft, files, keyfile_is_of_venet)
    },
    card: |draft| {
        let files = "etc/NetworkManager/system-connections/*";
        card(draft, files, is_for_every_card)
    },
    set: |draft, wanted, _| {
        let path = "etc/NetworkManager/system-connections/eth0.nmconnection";
        draft.create(path, 0o600, &keyfile(wanted), &wanted.reason)?;
        let started = "etc/systemd/system/*.wants/NetworkManager.service";
        start_network_manager(draft, &[started])
    },
};

/// Takes files out that have settings of `venet0` and nothing else.
pub(super) fn clean(draft: &mut Draft<'_>, pattern: &str, is_only: fn(&str) -> bool) -> Result<()> {
    for path in draft.view.matching(pattern)? {
        let text = draft.view.text(&path)?.unwrap_or_default();
        if !names_venet(&text) && !has_routed_uuid(&text) {
            continue;
        }
        if is_only(&text) {
            draft.remove(&path, VENET)?;
        } else {
            draft.keep(
                &path,
                "names venet0 beside other things: take venet0 out by hand",
            )?;
        }
    }
    Ok(())
}

/// Whether netplan's file has no key but those of `venet0`.
fn netplan_has_only_venet(text: &str) -> bool {
    let is_of_venet = |path: Vec<&str>| match path.as_slice() {
        ["network"] | ["network", "version" | "renderer" | "ethernets", ..] if path.len() < 3 => {
            true
        }
        ["network", "ethernets", card, ..] => card.starts_with("venet0"),
        _ => false,
    };
    keys(text).is_some_and(|keys| keys.into_iter().all(is_of_venet))
}

/// Whether a keyfile is for `venet0`.
fn keyfile_is_of_venet(text: &str) -> bool {
    let value = |key: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once('='));
        lines.find_map(|(name, value)| (name.trim() == key).then_some(value.trim()))
    };
    if has_routed_uuid(text) {
        return true;
    }
    let card = value("interface-name").or_else(|| value("id"));
    card.is_some_and(|card| card.starts_with("venet0"))
}

/// Whether a keyfile has the UUID of a card that Virtuozzo's host routed.
fn has_routed_uuid(text: &str) -> bool {
    let mut lines = text.lines().filter_map(|line| line.split_once('='));
    lines.any(|(key, value)| key.trim() == "uuid" && is_routed(value))
}

/// The file that names `eth0`, or is meant for it in another way.
fn card(draft: &Draft<'_>, pattern: &str, is_meant: fn(&str) -> bool) -> Result<Option<String>> {
    for path in draft.view.matching(pattern)? {
        let text = draft.text(&path)?.unwrap_or_default();
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'));
        let mut words = code.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric()));
        if words.any(|word| word == "eth0") || is_meant(&text) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Whether netplan's `match` has a pattern for names that `eth0` fits.
fn netplan_matches(text: &str) -> bool {
    let values = text.lines().filter_map(|line| line.split_once("name:"));
    let mut values = values.filter(|(before, _)| {
        before.trim_matches([' ', '{', '-']).is_empty() || before.contains("match:")
    });
    values.any(|(_, value)| {
        let value = value.split(['}', ',', '#']).next().unwrap_or_default();
        let value = value.trim().trim_matches(['"', '\'']);
        value.contains('*') && one_matches(value, "eth0")
    })
}

/// Whether NetworkManager may use a profile for any Ethernet card: it may take it before one that
/// names `eth0`.
fn is_for_every_card(text: &str) -> bool {
    let mut is_ethernet = false;
    for line in text.lines() {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        match (key.trim(), value.trim()) {
            ("type", "ethernet" | "802-3-ethernet") => is_ethernet = true,
            ("interface-name", name) if !name.is_empty() => return false,
            ("mac-address", mac) if !mac.is_empty() => return false,
            ("autoconnect", "false" | "no" | "0") => return false,
            // It belongs to a bridge or the like.
            ("master" | "controller", _) => return false,
            _ => {}
        }
    }
    is_ethernet
}

fn netplan(wanted: &Wanted) -> String {
    let mut text = "network:\n  version: 2\n  ethernets:\n    eth0:\n".to_owned();
    if wanted.is_dhcp() {
        text.push_str("      dhcp4: true\n");
        return text;
    }
    let v4 = wanted.v4.iter().map(|(ip, bits)| format!("{ip}/{bits}"));
    let v6 = wanted.v6.iter().map(|(ip, bits)| format!("{ip}/{bits}"));
    text.push_str("      addresses:\n");
    for address in v4.chain(v6) {
        text.push_str(&format!("        - \"{address}\"\n"));
    }
    if !wanted.servers.is_empty() {
        let servers = wanted.servers("\", \"");
        text.push_str(&format!(
            "      nameservers:\n        addresses: [\"{servers}\"]\n"
        ));
    }
    let mut routes = String::new();
    if let Some(gateway) = wanted.gateway4 {
        let far = wanted.far_gateway4().is_some();
        routes.push_str(&netplan_route(
            "0.0.0.0/0",
            &gateway.to_string(),
            on_link(far),
        ));
    }
    if let Some(gateway) = wanted.gateway6 {
        let far = wanted.far_gateway6().is_some();
        routes.push_str(&netplan_route("::/0", &gateway.to_string(), on_link(far)));
    }
    if !routes.is_empty() {
        text.push_str("      routes:\n");
        text.push_str(&routes);
    }
    text
}

fn on_link(far: bool) -> &'static str {
    if far { "          on-link: true\n" } else { "" }
}

fn netplan_route(to: &str, via: &str, more: &str) -> String {
    format!("        - to: \"{to}\"\n          via: \"{via}\"\n{more}")
}

fn keyfile(wanted: &Wanted) -> String {
    let mut text =
        "[connection]\nid=eth0\ntype=ethernet\ninterface-name=eth0\nautoconnect=true\n".to_owned();
    if wanted.is_dhcp() {
        text.push_str("\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n");
        return text;
    }
    let v4: Vec<String> = wanted
        .v4
        .iter()
        .map(|(ip, bits)| format!("{ip}/{bits}"))
        .collect();
    let v6: Vec<String> = wanted
        .v6
        .iter()
        .map(|(ip, bits)| format!("{ip}/{bits}"))
        .collect();
    let far4 = wanted.far_gateway4().map(|far| format!("{far}/32"));
    let far6 = wanted.far_gateway6().map(|far| format!("{far}/128"));
    let gateway4 = wanted.gateway4.map(|gateway| gateway.to_string());
    let gateway6 = wanted.gateway6.map(|gateway| gateway.to_string());
    // Each part takes servers of its own family.
    let (servers4, servers6): (Vec<IpAddr>, Vec<IpAddr>) =
        wanted.servers.iter().partition(|server| server.is_ipv4());
    text.push_str(&keyfile_part("ipv4", &v4, gateway4, far4, &servers4));
    text.push_str(&keyfile_part("ipv6", &v6, gateway6, far6, &servers6));
    text
}

fn keyfile_part(
    name: &str,
    addresses: &[String],
    gateway: Option<String>,
    far: Option<String>,
    servers: &[IpAddr],
) -> String {
    let method = match (addresses.is_empty(), name) {
        (false, _) => "manual",
        (true, "ipv4") => "disabled",
        (true, _) => "auto",
    };
    let mut text = format!("\n[{name}]\nmethod={method}\n");
    for (number, address) in addresses.iter().enumerate() {
        text.push_str(&format!("address{}={address}\n", number + 1));
    }
    if let Some(far) = far {
        text.push_str(&format!("route1={far}\n"));
    }
    if let Some(gateway) = gateway {
        text.push_str(&format!("gateway={gateway}\n"));
    }
    if !servers.is_empty() && method != "disabled" {
        let servers: Vec<String> = servers.iter().map(IpAddr::to_string).collect();
        text.push_str(&format!("dns={}\n", servers.join(";")));
    }
    text
}

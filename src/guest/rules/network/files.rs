//! Managers with a file for each card: netplan, NetworkManager, systemd-networkd, netctl.

use super::super::super::draft::Draft;
use super::manager::{Manager, VENET, has_network_manager, start_network_manager};
use super::wanted::Wanted;
use crate::error::Result;

/// Ubuntu from 17.10.
pub(super) const NETPLAN: Manager = Manager {
    is_used: |draft| {
        let paths = ["usr/sbin/netplan", "sbin/netplan", "usr/share/netplan"];
        Ok(draft.view.first(&paths)?.is_some() && draft.view.is_directory("etc/netplan")?)
    },
    dhcp: &[],
    clean: |draft| clean(draft, "etc/netplan/*"),
    card: |draft| card(draft, "etc/netplan/*"),
    set: |draft, wanted| {
        let path = "etc/netplan/60-eth0.yaml";
        draft.create(path, 0o600, &netplan(wanted), &wanted.reason)
    },
};

/// Red Hat's from 9 on without the older scripts, and desktops.
pub(super) const NETWORK_MANAGER: Manager = Manager {
    is_used: has_network_manager,
    dhcp: &[],
    clean: |draft| clean(draft, "etc/NetworkManager/system-connections/*"),
    card: |draft| card(draft, "etc/NetworkManager/system-connections/*"),
    set: |draft, wanted| {
        let path = "etc/NetworkManager/system-connections/eth0.nmconnection";
        draft.create(path, 0o600, &keyfile(wanted), &wanted.reason)?;
        let started = "etc/systemd/system/*.wants/NetworkManager.service";
        start_network_manager(draft, &[started])
    },
};

/// Arch, and whatever else has systemd and no manager of its own.
pub(super) const NETWORKD: Manager = Manager {
    is_used: |draft| {
        let paths = [
            "usr/lib/systemd/systemd-networkd",
            "lib/systemd/systemd-networkd",
        ];
        Ok(draft.view.first(&paths)?.is_some())
    },
    dhcp: &[],
    clean: |draft| clean(draft, "etc/systemd/network/*"),
    card: |draft| card(draft, "etc/systemd/network/*"),
    set: networkd,
};

/// Arch before networkd: profiles by name, and units that start them.
pub(super) fn clean_netctl(draft: &mut Draft<'_>) -> Result<()> {
    for pattern in [
        "etc/netctl/venet0*",
        "etc/systemd/system/netctl@venet0*",
        "etc/systemd/system/*.wants/netctl@venet0*",
        "etc/systemd/system/*.wants/venet0*.service",
        "etc/network.d/venet0*",
    ] {
        for path in draft.view.matching(pattern)? {
            draft.remove(&path, VENET)?;
        }
    }
    Ok(())
}

/// Takes files out that name `venet0` and no other card.
fn clean(draft: &mut Draft<'_>, pattern: &str) -> Result<()> {
    for path in draft.view.matching(pattern)? {
        let text = draft.view.text(&path)?.unwrap_or_default();
        if !text.contains("venet0") {
            continue;
        }
        if ["eth", "ens", "enp", "wlan", "br"]
            .iter()
            .any(|card| names_card(&text, card))
        {
            draft.keep(
                &path,
                "names venet0 beside other cards: take venet0 out by hand",
            )?;
        } else {
            draft.remove(&path, VENET)?;
        }
    }
    Ok(())
}

/// Whether a word is `kind` with a digit after it.
fn names_card(text: &str, kind: &str) -> bool {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .filter_map(|word| word.strip_prefix(kind))
        .any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn card(draft: &Draft<'_>, pattern: &str) -> Result<Option<String>> {
    for path in draft.view.matching(pattern)? {
        let text = draft.text(&path)?.unwrap_or_default();
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'));
        let mut words = code.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric()));
        if words.any(|word| word == "eth0") {
            return Ok(Some(path));
        }
    }
    Ok(None)
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
    text.push_str(&keyfile_part("ipv4", &v4, gateway4, far4));
    text.push_str(&keyfile_part("ipv6", &v6, gateway6, far6));
    text
}

fn keyfile_part(
    name: &str,
    addresses: &[String],
    gateway: Option<String>,
    far: Option<String>,
) -> String {
    if addresses.is_empty() {
        let method = if name == "ipv4" { "disabled" } else { "auto" };
        return format!("\n[{name}]\nmethod={method}\n");
    }
    let mut text = format!("\n[{name}]\nmethod=manual\n");
    for (number, address) in addresses.iter().enumerate() {
        text.push_str(&format!("address{}={address}\n", number + 1));
    }
    if let Some(far) = far {
        text.push_str(&format!("route1={far}\n"));
    }
    if let Some(gateway) = gateway {
        text.push_str(&format!("gateway={gateway}\n"));
    }
    text
}

fn networkd(draft: &mut Draft<'_>, wanted: &Wanted) -> Result<()> {
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
    let path = "etc/systemd/network/60-eth0.network";
    draft.create(path, 0o644, &text, &wanted.reason)?;
    let folder = draft
        .view
        .first(&["usr/lib/systemd/system", "lib/systemd/system"])?;
    let started = draft
        .view
        .matching("etc/systemd/system/*.wants/systemd-networkd.service")?;
    let Some(folder) = folder.filter(|_| started.is_empty()) else {
        return Ok(());
    };
    draft.link(
        &format!("/{folder}/systemd-networkd.service"),
        "etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
        "systemd-networkd sets eth0 up, and was not started",
    )
}

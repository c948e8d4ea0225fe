//! The addresses that OpenVZ's host wrote for `venet0`, or for a card that it routed.

use std::net::IpAddr;

use super::super::super::config::Address;
use super::super::super::draft::Draft;
use super::routed::{is_of_host, is_routed};
use super::shell::commands;
use crate::error::Result;

/// How a file says what a card has.
#[derive(Debug, Clone, Copy)]
enum Spelling {
    /// Line by line; in some, a name is followed by a list.
    Lines,
    /// Line by line, the gateway behind the address.
    Keyfile,
    /// In the shell's language, where a value may have several lines.
    Shell,
}

/// Files in which OpenVZ's host wrote the addresses of `venet0`.
const WRITTEN: &[(&str, Spelling)] = &[
    ("etc/network/interfaces", Spelling::Lines),
    ("etc/network/interfaces.d/*venet0*", Spelling::Lines),
    ("etc/sysconfig/network-scripts/ifcfg-*", Spelling::Lines),
    ("etc/sysconfig/network/ifcfg-venet0*", Spelling::Lines),
    ("etc/systemd/network/*venet0*", Spelling::Lines),
    ("etc/netplan/*venet0*", Spelling::Lines),
    ("etc/NetworkManager/system-connections/*", Spelling::Keyfile),
    ("etc/conf.d/net", Spelling::Shell),
    ("etc/conf.d/netif.venet0*", Spelling::Shell),
    ("etc/netctl/venet0*", Spelling::Shell),
    ("etc/network.d/venet0*", Spelling::Shell),
    ("etc/rc.conf", Spelling::Shell),
];

/// Addresses that OpenVZ's host gives every container's `venet0`: no container has them.
const EVERY: &[&str] = &[
    "191.255.255.1",
    "192.0.2.1",
    "169.255.30.1",
    "169.254.0.1",
    "fe80::1",
    "fe80::ffff:1:1",
    "::2",
];

/// The addresses that the guest's own files have for `venet0`.
pub(super) fn in_the_guest(draft: &Draft<'_>) -> Result<Vec<Address>> {
    let mut found: Vec<Address> = Vec::new();
    for (pattern, spelling) in WRITTEN {
        for path in draft.view.matching(pattern)? {
            let text = draft.view.text(&path)?.unwrap_or_default();
            let is_its_own = path.contains("venet0");
            // A file for one card names venet0 for other reasons.
            let has_several = !pattern.contains('*') && text.contains("venet0");
            if !is_its_own && !has_several && !is_routed(&text) {
                continue;
            }
            let addresses = match spelling {
                Spelling::Lines => of_lines(&text),
                Spelling::Keyfile => of_lines(&without_gateways(&text)),
                Spelling::Shell => of_shell(&text, is_its_own).unwrap_or_else(|| of_lines(&text)),
            };
            for address in addresses {
                if !found.iter().any(|known| known.address == address.address) {
                    found.push(address);
                }
            }
        }
    }
    Ok(found)
}

/// Words that stand in front of the address of a card itself.
const NAMES: &[&str] = &[
    "address",
    "addresses:",
    "addr",
    "ipaddr",
    "ipaddrs",
    "ipv6addr",
    "ipv6addr_secondaries",
    "config_venet0",
];

fn is_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
    NAMES.contains(&base) || NAMES.contains(&name.as_str())
}

/// The addresses of the lines that say which ones a card has.
fn of_lines(text: &str) -> Vec<Address> {
    let is_sign = |c: char| c.is_whitespace() || "=\"'()[],".contains(c);
    let mut found = Vec::new();
    // Stanzas of other cards; lists of a name, one word a line; other lists of name servers.
    let (mut is_venet, mut in_list, mut servers) = (true, false, None);
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let mut words = line.split(is_sign).filter(|word| !word.is_empty());
        let Some(name) = words.next() else {
            continue;
        };
        if servers.is_some_and(|of| indent <= of && name != "-") {
            servers = None;
        }
        match name {
            "iface" => is_venet = words.next().is_some_and(|card| is_of_host(card, text)),
            "nameservers:" => servers = Some(indent),
            "-" => {}
            _ => in_list = is_name(name) && name.ends_with(':'),
        }
        if is_venet && ["up", "pre-up", "post-up"].contains(&name) {
            found.extend(added(&words.collect::<Vec<_>>(), text));
            continue;
        }
        let counts = is_name(name) || name == "-" && in_list;
        if counts && is_venet && servers.is_none() {
            found.extend(words.filter_map(own_address));
        }
    }
    found
}

/// The text of a keyfile with the addresses alone in its lines.
fn without_gateways(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.split(',').next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The address that a command gives a card of the host, as `ip addr add` and `ifconfig … add` do.
fn added(words: &[&str], text: &str) -> Option<Address> {
    let has = |one_of: &[&str]| words.iter().any(|word| one_of.contains(word));
    let is_venet = words.iter().any(|word| is_of_host(word, text));
    let gives = has(&["addr", "address", "ifconfig"]) && !has(&["route"]) && is_venet;
    let mut words = words.iter().skip_while(|word| **word != "add").skip(1);
    words
        .next()
        .filter(|_| gives)
        .and_then(|word| own_address(word))
}

/// The same of a file in the shell's language, of `venet0` alone or of several cards; `None` where
/// it is not understood.
fn of_shell(text: &str, is_its_own: bool) -> Option<Vec<Address>> {
    let mut found = Vec::new();
    for command in commands(text)? {
        let names_venet = ["config_venet0", "ifconfig_venet0", "venet0"];
        let counts = match is_its_own {
            true => is_name(command.name),
            false => names_venet
                .iter()
                .any(|name| command.name.starts_with(name)),
        };
        let words = command.words.iter().filter(|_| counts);
        let words = words.flat_map(|word| word.text.split_whitespace());
        found.extend(words.filter_map(own_address));
    }
    Some(found)
}

/// An address that is a container's own.
fn own_address(word: &str) -> Option<Address> {
    let address = Address::parse(word)?;
    let is_own = match address.address {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_unspecified() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unspecified(),
    };
    let is_every = EVERY.contains(&address.address.to_string().as_str());
    // venet0 routes single addresses, whatever mask is written.
    (is_own && !is_every).then_some(Address {
        prefix: None,
        ..address
    })
}

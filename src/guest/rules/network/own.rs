//! Settings of `eth0` that stay: what in them keeps a card with another hardware address away.

use super::super::super::draft::Draft;
use super::super::super::receiver::Kind;
use super::super::context::Context;
use super::ifupdown::starts_eth0;
use super::manager::retained;
use crate::error::Result;

const STAYS: &str = "eth0 has settings of its own, and they stay";
const OF_OLD_CARD: &str = "named the card by the hardware address that it had on the old host: \
     with it, another card would get no settings";

/// Where gateways are, by the start of the path of a card's settings.
const GATEWAYS: &[(&str, &[&str])] = &[
    (
        "etc/network/",
        &["etc/network/interfaces", "etc/network/interfaces.d/*"],
    ),
    (
        "etc/sysconfig/network-scripts/",
        &[
            "etc/sysconfig/network",
            "etc/sysconfig/network-scripts/ifcfg-*",
            "etc/sysconfig/network-scripts/route*",
        ],
    ),
];

/// Red Hat's scripts refuse a card whose hardware address is another.
const SCRIPTS: &str = "etc/sysconfig/network-scripts/ifcfg-eth*";

/// Says that settings stay, and takes hardware addresses out that the new card does not have.
pub(super) fn stays(draft: &mut Draft<'_>, context: &Context<'_>, path: &str) -> Result<()> {
    let is_new = |value: &str| is_new(context, value);
    for script in draft.view.matching(SCRIPTS)? {
        draft.edit(&script, OF_OLD_CARD, |text| {
            retained(text, |line| {
                let (key, value) = line.split_once('=').unwrap_or((line, ""));
                key.trim() != "HWADDR" || !is_new(value)
            })
        })?;
    }
    let is_keyfile = path.starts_with("etc/NetworkManager/");
    if is_keyfile || path.starts_with("etc/systemd/network/") {
        draft.edit(path, OF_OLD_CARD, |text| without_address(text, is_new))?;
    }
    draft.keep(path, STAYS)?;
    let text = draft.text(path)?.unwrap_or_default();
    if path.starts_with("etc/netplan/") && text.lines().any(|line| names_old(line, is_new)) {
        draft.keep(
            path,
            "names a card by its hardware address: see that it is the new one",
        )?;
    }
    let is_off = text.lines().any(|line| {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        let value = value.trim().trim_matches(['"', '\'']).to_ascii_lowercase();
        ["ONBOOT", "autoconnect"].contains(&key.trim()) && ["no", "false"].contains(&&*value)
    });
    let is_off = is_off || path.starts_with("etc/network/interfaces") && !is_started(draft)?;
    if is_off {
        draft.keep(
            path,
            "says that nothing starts eth0 by itself: see whether it is to",
        )?;
    }
    Ok(())
}

/// Says that settings of `eth0` which stay have no gateway, where the way out went over `venet0`:
/// for managers that have all their gateways in few files.
pub(super) fn has_way_out(draft: &mut Draft<'_>, path: &str) -> Result<()> {
    let Some((_, files)) = GATEWAYS.iter().find(|(start, _)| path.starts_with(start)) else {
        return Ok(());
    };
    for pattern in *files {
        for path in draft.view.matching(pattern)? {
            let text = draft.text(&path)?.unwrap_or_default().to_ascii_lowercase();
            if ["gateway", "default", "dhcp"]
                .iter()
                .any(|word| text.contains(word))
            {
                return Ok(());
            }
        }
    }
    draft.keep(
        path,
        "no gateway was found, as the way out went over venet0: see that eth0 has one",
    )
}

/// Whether the new card has another hardware address. A machine's may have that of the
/// configuration: the commands that make one name it.
fn is_new(context: &Context<'_>, value: &str) -> bool {
    let plain = |text: &str| {
        let digits = text.chars().filter(char::is_ascii_hexdigit);
        digits.collect::<String>().to_ascii_lowercase()
    };
    let cards = context.config.interfaces();
    let mut known = cards.iter().filter_map(|card| card.mac.as_deref());
    context.receiver.kind != Kind::Kvm || !known.any(|mac| plain(mac) == plain(value))
}

/// The text without the hardware address by which it knows its card; one that the card gets stays.
fn without_address(text: &str, is_new: impl Fn(&str) -> bool) -> String {
    let mut section = String::new();
    let lines = text.split('\n').filter(|line| {
        let line = line.trim();
        if line.starts_with('[') {
            line.clone_into(&mut section);
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        let names_card = match section.as_str() {
            "[Match]" => ["MACAddress", "PermanentMACAddress"].contains(&key.trim()),
            "[ethernet]" | "[802-3-ethernet]" => key.trim() == "mac-address",
            _ => false,
        };
        !(names_card && is_new(value))
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn names_old(line: &str, is_new: impl Fn(&str) -> bool) -> bool {
    let line = line.split('#').next().unwrap_or_default();
    let value = line.split_once("macaddress:").map(|(_, value)| value);
    value.is_some_and(is_new)
}

/// Whether a file of ifupdown starts `eth0`, be it another one than has its settings.
fn is_started(draft: &Draft<'_>) -> Result<bool> {
    for pattern in ["etc/network/interfaces", "etc/network/interfaces.d/*"] {
        for path in draft.view.matching(pattern)? {
            if starts_eth0(&draft.text(&path)?.unwrap_or_default()) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

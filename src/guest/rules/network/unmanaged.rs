//! A card that NetworkManager leaves alone.

use super::super::super::draft::Draft;
use super::super::super::receiver::{Kind, Network};
use super::super::context::Context;
use super::manager::has_network_manager;
use crate::error::Result;

const RULE: &str = "etc/udev/rules.d/90-eth0-managed.rules";
const TEXT: &str = "SUBSYSTEM==\"net\", ACTION==\"add|change|move\", \
     ENV{ID_NET_DRIVER}==\"veth\", ENV{INTERFACE}==\"eth[0-9]*\", ENV{NM_UNMANAGED}=\"0\"\n";
const REASON: &str = "NetworkManager's own rules leave a container's kind of card alone: eth0 is \
     one, and gets its settings from it";

/// NetworkManager's rules for udev, with which versions before 1.38 leave every virtual card alone.
const ITS_RULES: &[&str] = &[
    "usr/lib/udev/rules.d/85-nm-unmanaged.rules",
    "lib/udev/rules.d/85-nm-unmanaged.rules",
];

/// Sees to it that NetworkManager sets up `eth0` where udev starts in a container.
pub(super) fn is_managed(draft: &mut Draft<'_>, context: &Context<'_>) -> Result<()> {
    let is_container = matches!(context.receiver.kind, Kind::Lxc | Kind::Incus);
    let is_asked = context.receiver.network != Network::None;
    if !is_container || !is_asked || !has_network_manager(draft)? {
        return Ok(());
    }
    let Some(path) = draft.view.first(ITS_RULES)? else {
        return Ok(());
    };
    // What the rules themselves say of eth0 is enough.
    let rules = draft.text(path)?.unwrap_or_default();
    let of_veth = |line: &&str| !line.trim_start().starts_with('#') && line.contains("\"veth");
    let mut lines = rules.lines().filter(of_veth);
    match lines.any(|line| !line.contains("eth[0-9]")) {
        true => draft.create(RULE, 0o644, TEXT, REASON),
        false => Ok(()),
    }
}

//! Programs that set up networks, and words for reasons.

use super::super::super::draft::Draft;
use super::super::super::system::System;
use super::wanted::Wanted;
use crate::error::Result;

/// Why what names `venet0` goes, or a card that is routed like it.
pub(super) const VENET: &str = "belonged to venet0, which OpenVZ's hosts have";

/// A program that sets up networks, by the files that it reads.
pub(super) struct Manager {
    /// Whether the guest uses it.
    pub(super) is_used: fn(&Draft<'_>, &System) -> Result<bool>,
    /// Programs that ask for an address by DHCP, one of which the guest must have; none where the
    /// manager does that itself.
    pub(super) dhcp: &'static [&'static str],
    /// Takes out what belongs to `venet0`.
    pub(super) clean: fn(&mut Draft<'_>) -> Result<()>,
    /// The file that has settings of `eth0`, where there is one.
    pub(super) card: fn(&Draft<'_>) -> Result<Option<String>>,
    /// Gives `eth0` settings.
    pub(super) set: fn(&mut Draft<'_>, &Wanted, &System) -> Result<()>,
}

impl Manager {
    /// Whether the guest can ask for an address.
    pub(super) fn has_dhcp(&self, draft: &Draft<'_>) -> Result<bool> {
        Ok(self.dhcp.is_empty() || draft.view.first(self.dhcp)?.is_some())
    }
}

/// Whether the guest has NetworkManager.
pub(super) fn has_network_manager(draft: &Draft<'_>) -> Result<bool> {
    let programs = ["usr/sbin/NetworkManager", "sbin/NetworkManager"];
    Ok(draft.view.first(&programs)?.is_some())
}

/// Whether the guest has systemd-networkd.
pub(super) fn has_networkd(draft: &Draft<'_>) -> Result<bool> {
    let programs = [
        "usr/lib/systemd/systemd-networkd",
        "lib/systemd/systemd-networkd",
    ];
    Ok(draft.view.first(&programs)?.is_some())
}

/// Starts NetworkManager, where nothing of `started` does it or something else.
pub(super) fn start_network_manager(draft: &mut Draft<'_>, started: &[&str]) -> Result<()> {
    for pattern in started {
        if !draft.view.matching(pattern)?.is_empty() {
            return Ok(());
        }
    }
    let units = [
        "usr/lib/systemd/system/NetworkManager.service",
        "lib/systemd/system/NetworkManager.service",
    ];
    let Some(unit) = draft.view.first(&units)? else {
        return Ok(());
    };
    draft.link(
        &format!("/{unit}"),
        "etc/systemd/system/multi-user.target.wants/NetworkManager.service",
        "NetworkManager sets eth0 up, and was not started",
    )
}

/// Programs that ask for an address, as ifupdown and Red Hat's scripts find them.
pub(super) const DHCP_CLIENTS: &[&str] = &[
    "sbin/dhclient",
    "usr/sbin/dhclient",
    "sbin/dhclient3",
    "sbin/dhcpcd",
    "usr/sbin/dhcpcd",
    "sbin/dhcpcd5",
    "sbin/udhcpc",
    "usr/bin/udhcpc",
    "usr/sbin/udhcpc",
    "sbin/pump",
];

/// The lines of a text that stay.
pub(super) fn retained(text: &str, stays: impl Fn(&str) -> bool) -> String {
    let lines = text.split('\n').filter(|line| stays(line));
    lines.collect::<Vec<_>>().join("\n")
}

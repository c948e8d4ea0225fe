//! Files beside the network's settings that name OpenVZ's card: after a move that went well, rules
//! of a firewall match nothing, and a VPN leads nowhere. The list of changes names these files; a
//! person edits them.

use super::super::draft::Draft;
use super::context::Context;
use crate::error::Result;

const NAMED: &str = "names venet0, the card of OpenVZ's hosts: no rule or command for it does \
     anything here, until the name of the new card is put in its place by hand";

/// What names a card, by who reads it.
const FILES: &[&str] = &[
    // iptables: Red Hat and SUSE, Debian, older Debian and Gentoo, Arch.
    "etc/sysconfig/iptables",
    "etc/sysconfig/ip6tables",
    "etc/iptables/*",
    "etc/iptables.*",
    "etc/firewall.conf",
    "var/lib/iptables/*",
    "var/lib/ip6tables/*",
    // nftables.
    "etc/nftables.conf",
    "etc/nftables/*",
    "etc/nftables.d/*",
    "etc/sysconfig/nftables.conf",
    // What makes rules for them.
    "etc/firewalld/zones/*.xml",
    "etc/firewalld/direct.xml",
    "etc/ufw/*.rules",
    "lib/ufw/*.rules",
    "etc/shorewall/*",
    "etc/shorewall6/*",
    "etc/sysconfig/SuSEfirewall2",
    "etc/csf/csf.conf",
    "etc/csf/csfpre.sh",
    "etc/csf/csfpost.sh",
    "etc/apf/conf.apf",
    "etc/apf-firewall/conf.apf",
    "etc/ferm/*",
    "etc/firehol/firehol.conf",
    "etc/arno-iptables-firewall/*",
    // VPNs: rules for their traffic begin with them.
    "etc/openvpn/*",
    "etc/openvpn/*/*",
    "etc/wireguard/*.conf",
    "etc/ppp/ip-up.local",
    "etc/ppp/ip-up.d/*",
    "etc/strongswan.d/*.conf",
    // Servers that answer on one card.
    "etc/dhcp/dhcpd.conf",
    "etc/default/isc-dhcp-server",
    "etc/dnsmasq.conf",
    "etc/dnsmasq.d/*",
    "etc/keepalived/keepalived.conf",
    "etc/squid/squid.conf",
    // Settings of the kernel, and what starts with the container or at a time.
    "etc/sysctl.conf",
    "etc/sysctl.d/*.conf",
    "etc/rc.local",
    "etc/rc.d/rc.local",
    "etc/init.d/boot.local",
    "etc/local.d/*.start",
    "etc/network/if-*.d/*",
    "etc/NetworkManager/dispatcher.d/*",
    "etc/networkd-dispatcher/*.d/*",
    "etc/crontab",
    "etc/cron.d/*",
    "var/spool/cron/*",
    "var/spool/cron/*/*",
    // Networks of systems whose settings are left as they are: ALT Linux, Slackware, SUSE 7.
    "etc/net/ifaces/venet0/*",
    "etc/rc.d/rc.inet1*",
    "etc/rc.config",
    "etc/route.conf",
    // Programs that count a card's bytes.
    "etc/vnstat.conf",
    "etc/collectd/collectd.conf",
    "etc/collectd.conf",
];

pub(super) fn apply(draft: &mut Draft<'_>, _: &Context<'_>) -> Result<()> {
    for pattern in FILES {
        for path in draft.view.matching(pattern)? {
            // Its text after the changes: what went is not told.
            let text = draft.text(&path).ok().flatten().unwrap_or_default();
            if names_venet(&text) {
                draft.keep(&path, NAMED)?;
            }
        }
    }
    Ok(())
}

/// Whether a line of a file that is no comment names `venet0` or an alias of it.
pub(super) fn names_venet(text: &str) -> bool {
    let mut lines = text.lines();
    lines.any(|line| !line.trim_start().starts_with(['#', ';']) && line.contains("venet0"))
}

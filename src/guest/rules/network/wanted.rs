//! What `eth0` gets, whichever program sets it up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::super::config::{v4, v6};
use super::super::super::draft::Draft;
use super::super::super::receiver::{Network, first_v4, first_v6};
use super::super::context::Context;
use super::super::identity::name_servers_elsewhere;
use super::written::in_the_guest;
use crate::error::Result;

/// Why `eth0` gets settings.
const CARD: &str = "the new host's network card is eth0";

/// What `eth0` gets.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Addresses with the lengths of their prefixes; none of both kinds is DHCP.
    pub(super) v4: Vec<(Ipv4Addr, u8)>,
    pub(super) v6: Vec<(Ipv6Addr, u8)>,
    pub(super) gateway4: Option<Ipv4Addr>,
    pub(super) gateway6: Option<Ipv6Addr>,
    /// Name servers: what writes `/etc/resolv.conf` takes them from the settings of a card.
    pub(super) servers: Vec<IpAddr>,
    /// Why the settings are these.
    pub(super) reason: String,
}

impl Wanted {
    pub(super) fn is_dhcp(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// The name servers with something between them.
    pub(super) fn servers(&self, between: &str) -> String {
        let servers: Vec<String> = self.servers.iter().map(IpAddr::to_string).collect();
        servers.join(between)
    }

    /// The gateway where no address's network holds it, so that it needs a route of its own.
    pub(super) fn far_gateway4(&self) -> Option<Ipv4Addr> {
        self.gateway4
            .filter(|gateway| !self.v4.iter().any(|(ip, bits)| same4(*ip, *gateway, *bits)))
    }

    /// The same for IPv6, where a link-local gateway is always near.
    pub(super) fn far_gateway6(&self) -> Option<Ipv6Addr> {
        self.gateway6.filter(|gateway| {
            let is_local = gateway.segments()[0] & 0xffc0 == 0xfe80;
            !is_local && !self.v6.iter().any(|(ip, bits)| same6(*ip, *gateway, *bits))
        })
    }
}

fn same4(a: Ipv4Addr, b: Ipv4Addr, bits: u8) -> bool {
    let differ = u32::from(a) ^ u32::from(b);
    differ.leading_zeros() >= u32::from(bits)
}

fn same6(a: Ipv6Addr, b: Ipv6Addr, bits: u8) -> bool {
    let differ = u128::from(a) ^ u128::from(b);
    differ.leading_zeros() >= u32::from(bits)
}

/// The name servers of the container: the host gave them to resolvconf at each start, or wrote them
/// into a file that NetworkManager writes anew.
fn servers(draft: &Draft<'_>, context: &Context<'_>) -> Result<Vec<IpAddr>> {
    let known = context.config.name_servers();
    if !known.is_empty() {
        return Ok(known);
    }
    let text = draft.text("etc/resolv.conf")?.unwrap_or_default();
    Ok(name_servers_elsewhere(&text))
}

/// What the receiver and the configuration ask for; `None` where `eth0` gets nothing.
pub(super) fn wanted(draft: &Draft<'_>, context: &Context<'_>) -> Result<Option<Wanted>> {
    let Network::Keep { gateways } = &context.receiver.network else {
        let is_dhcp = context.receiver.network == Network::Dhcp;
        return Ok(is_dhcp.then(|| Wanted {
            reason: format!("{CARD}, and gets its address by DHCP"),
            ..Wanted::default()
        }));
    };
    let mut addresses = context.config.addresses();
    if addresses.is_empty() {
        addresses = in_the_guest(draft)?;
    }
    if addresses.is_empty() {
        return Ok(Some(Wanted {
            reason: format!(
                "{CARD}; no address of the container is known, so it asks for one by DHCP"
            ),
            ..Wanted::default()
        }));
    }
    let mut known = gateways.clone();
    known.extend(context.config.gateways());
    let mut wanted = Wanted {
        v4: addresses.iter().filter_map(v4).collect(),
        v6: addresses.iter().filter_map(v6).collect(),
        ..Wanted::default()
    };
    wanted.gateway4 = first_v4(&known).filter(|_| !wanted.v4.is_empty());
    wanted.gateway6 = first_v6(&known).filter(|_| !wanted.v6.is_empty());
    wanted.servers = servers(draft, context)?;
    wanted.reason = format!("{CARD}, with the addresses of the container");
    if wanted.gateway4.is_none() && wanted.gateway6.is_none() {
        wanted
            .reason
            .push_str("; no gateway is known, so it reaches no other network");
    }
    Ok(Some(wanted))
}

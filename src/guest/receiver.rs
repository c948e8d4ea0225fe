//! Where a container goes, and how it reaches the network there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::machine::RootFileSystem;

/// The kind of host that a container's files are changed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Proxmox CT, systemd-nspawn, Docker, and LXC itself.
    Lxc,
    /// Incus and LXD.
    Incus,
    /// A machine of QEMU, libvirt or Proxmox, with a kernel of its own.
    Kvm,
}

/// What `eth0` gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Network {
    /// The addresses that the new network gives out.
    #[default]
    Dhcp,
    /// The addresses of the container's configuration, and a way out through these gateways, the
    /// first of each family; without one, through those that the configuration names.
    Keep {
        /// Routers of the new network.
        gateways: Vec<IpAddr>,
    },
    /// Nothing: only what belongs to `venet0` goes.
    None,
}

/// Where a container goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// The kind of host.
    pub kind: Kind,
    /// What `eth0` gets.
    pub network: Network,
    /// The root file system of a machine; `None` for a container.
    pub root: Option<RootFileSystem>,
}

impl From<Kind> for Receiver {
    /// With the network's own choice of addresses.
    fn from(kind: Kind) -> Self {
        Self {
            kind,
            network: Network::Dhcp,
            root: None,
        }
    }
}

/// The first IPv4 address of several.
pub(crate) fn first_v4(addresses: &[IpAddr]) -> Option<Ipv4Addr> {
    addresses.iter().find_map(|address| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    })
}

/// The first IPv6 address of several.
pub(crate) fn first_v6(addresses: &[IpAddr]) -> Option<Ipv6Addr> {
    addresses.iter().find_map(|address| match address {
        IpAddr::V6(address) => Some(*address),
        IpAddr::V4(_) => None,
    })
}

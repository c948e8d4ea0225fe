//! Values of a container's configuration: limits with units, addresses, network cards.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address with what the configuration says of its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// The length of the network's prefix; `None` where the configuration has none, which for
    /// `venet0` means that the host routes this one address.
    pub prefix: Option<u8>,
}

impl Address {
    /// The length of the prefix, or that of a single address.
    #[must_use]
    pub fn prefix_or_single(&self) -> u8 {
        self.prefix.unwrap_or(match self.address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        })
    }

    /// As in `192.0.2.1/24`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, mask) = match text.split_once('/') {
            Some((address, mask)) => (address, Some(mask)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let prefix = match mask {
            None => None,
            Some(mask) => Some(prefix(address, mask)?),
        };
        Some(Self { address, prefix })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_or_single())
    }
}

/// A number of bits, or a netmask such as `255.255.255.0`.
fn prefix(address: IpAddr, mask: &str) -> Option<u8> {
    let most = if address.is_ipv4() { 32 } else { 128 };
    if mask.bytes().all(|byte| byte.is_ascii_digit()) {
        return mask.parse().ok().filter(|bits| *bits <= most);
    }
    let (ones, is_mask) = match (address, mask.parse().ok()?) {
        (IpAddr::V4(_), IpAddr::V4(mask)) => {
            let bits = u32::from(mask);
            (
                bits.leading_ones(),
                bits.leading_ones() == bits.count_ones(),
            )
        }
        (IpAddr::V6(_), IpAddr::V6(mask)) => {
            let bits = u128::from(mask);
            (
                bits.leading_ones(),
                bits.leading_ones() == bits.count_ones(),
            )
        }
        _ => return None,
    };
    u8::try_from(ones).ok().filter(|_| is_mask)
}

/// The netmask of a prefix.
pub(crate) fn netmask(bits: u8) -> Ipv4Addr {
    let ones = u32::MAX.checked_shl(32 - u32::from(bits.min(32)));
    Ipv4Addr::from(ones.unwrap_or(0))
}

/// A bridged network card (`NETIF`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name in the container, as in `eth0`.
    pub name: String,
    /// Its hardware address in the container, as in `00:18:51:E1:5C:A4`.
    pub mac: Option<String>,
    /// The bridge or the virtual network of the old host.
    pub bridge: Option<String>,
    /// Its addresses.
    pub addresses: Vec<Address>,
    /// Where its packets for other networks go.
    pub gateways: Vec<IpAddr>,
}

impl Interface {
    /// The cards of a value of `NETIF`: `;` between cards, `,` between what is said of each.
    pub(super) fn parse_all(text: &str) -> Vec<Self> {
        let cards = text.split(';').map(Self::parse);
        cards.filter(|card| !card.name.is_empty()).collect()
    }

    fn parse(text: &str) -> Self {
        let mut card = Self::default();
        for part in text.split(',') {
            let (key, value) = part.trim().split_once('=').unwrap_or((part, ""));
            match key.trim() {
                "ifname" if is_interface(value) => value.clone_into(&mut card.name),
                "mac" if is_mac(value) => card.mac = Some(value.to_ascii_uppercase()),
                "bridge" | "network" if !value.is_empty() => {
                    card.bridge = Some(value.to_owned());
                }
                // Several have spaces between them.
                "ip" | "ip6" => card
                    .addresses
                    .extend(value.split_whitespace().filter_map(Address::parse)),
                "gw" | "gw6" => card.gateways.extend(value.parse::<IpAddr>().ok()),
                _ => {}
            }
        }
        card
    }
}

/// A name that the kernel takes for a network card, made of letters, digits and few signs.
fn is_interface(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    (1..16).contains(&name.len()) && name.chars().all(fits) && !name.starts_with(['-', '.'])
}

fn is_mac(text: &str) -> bool {
    let mut parts = text.split(':');
    let is_byte = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    text.len() == 17 && parts.all(is_byte)
}

/// How much of something a container may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// As much as there is.
    Unlimited,
    /// This many bytes, or pieces where the key counts.
    Exactly(u64),
}

impl Quantity {
    /// The number; `None` where there is no limit.
    #[must_use]
    pub fn exactly(self) -> Option<u64> {
        match self {
            Self::Unlimited => None,
            Self::Exactly(number) => Some(number),
        }
    }
}

/// The two numbers of `barrier:limit`, or the one twice; a number without a unit counts `unit`
/// bytes.
pub(super) fn pair(text: &str, unit: u64) -> Option<(Quantity, Quantity)> {
    match text.split_once(':') {
        Some((barrier, limit)) => Some((quantity(barrier, unit)?, quantity(limit, unit)?)),
        None => quantity(text, unit).map(|both| (both, both)),
    }
}

/// A number with or without a unit, in bytes. `unlimited` is spelled in many ways.
pub(super) fn quantity(text: &str, unit: u64) -> Option<Quantity> {
    const PAGE: u64 = 4096;
    let text = text.trim();
    if text.eq_ignore_ascii_case("unlimited") || text == "-1" {
        return Some(Quantity::Unlimited);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = text.split_at(digits);
    let number: u64 = match number.parse() {
        Ok(number) => number,
        // More digits than a number has.
        Err(_) if digits > 0 => u64::MAX,
        Err(_) => return None,
    };
    let scale = match suffix.to_ascii_uppercase().as_str() {
        "" => unit,
        "B" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        "T" | "TB" | "TIB" => 1 << 40,
        "P" => PAGE,
        _ => return None,
    };
    // LONG_MAX of 32 and of 64 bits is what the kernel calls unlimited, in the unit of the key.
    let without_end = [u64::from(u32::MAX >> 1), u64::MAX >> 1];
    if suffix.is_empty() && without_end.contains(&number) {
        return Some(Quantity::Unlimited);
    }
    // What no address space holds is no limit either.
    let bytes = number.checked_mul(scale).filter(|bytes| *bytes < 1 << 62);
    Some(bytes.map_or(Quantity::Unlimited, Quantity::Exactly))
}

/// `yes` and `no` in the spellings of OpenVZ's reader.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" | "1" | "auto" => Some(true),
        "no" | "off" | "false" | "0" | "none" => Some(false),
        _ => None,
    }
}

/// The IPv6 address as an interface file wants it, with its prefix.
pub(crate) fn v6(address: &Address) -> Option<(Ipv6Addr, u8)> {
    match address.address {
        IpAddr::V6(ip) => Some((ip, address.prefix_or_single())),
        IpAddr::V4(_) => None,
    }
}

/// The IPv4 address and its prefix.
pub(crate) fn v4(address: &Address) -> Option<(Ipv4Addr, u8)> {
    match address.address {
        IpAddr::V4(ip) => Some((ip, address.prefix_or_single())),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_units_and_ways_to_say_none() {
        let exactly = |n| Some(Quantity::Exactly(n));
        assert_eq!(quantity("262144", 4096), exactly(1 << 30));
        assert_eq!(quantity("512M", 4096), exactly(512 << 20));
        assert_eq!(quantity("1g", 4096), exactly(1 << 30));
        assert_eq!(quantity("10P", 1), exactly(40960));
        for none in ["unlimited", "9223372036854775807", "2147483647", "-1"] {
            assert_eq!(quantity(none, 4096), Some(Quantity::Unlimited), "{none}");
        }
        assert_eq!(
            quantity("99999999999999999999999", 1),
            Some(Quantity::Unlimited)
        );
        for wrong in ["", "M", "1.5G", "0x10", "1 G"] {
            assert_eq!(quantity(wrong, 1), None, "{wrong}");
        }
        let zero = Quantity::Exactly(0);
        assert_eq!(pair("0:1K", 4096), Some((zero, Quantity::Exactly(1024))));
    }

    #[test]
    fn addresses_have_masks_of_both_spellings_or_none() {
        let shown = |text| Address::parse(text).map(|address| address.to_string());
        assert_eq!(shown("192.0.2.1").as_deref(), Some("192.0.2.1/32"));
        assert_eq!(
            shown("192.0.2.1/255.255.255.0").as_deref(),
            Some("192.0.2.1/24")
        );
        assert_eq!(shown("192.0.2.1/0.0.0.0").as_deref(), Some("192.0.2.1/0"));
        assert_eq!(shown("2001:db8::1/64").as_deref(), Some("2001:db8::1/64"));
        for wrong in [
            "192.0.2.1/33",
            "192.0.2.1/255.0.255.0",
            "1.2.3",
            "::1/129",
            "a/8",
        ] {
            assert_eq!(shown(wrong), None, "{wrong}");
        }
        assert_eq!(netmask(0).to_string(), "0.0.0.0");
        assert_eq!(netmask(20).to_string(), "255.255.240.0");
        assert_eq!(netmask(32).to_string(), "255.255.255.255");
    }

    #[test]
    fn cards_of_both_generations_are_read() {
        let cards = Interface::parse_all(
            "ifname=eth0,bridge=vmbr0,mac=00:18:51:e1:5c:a4,host_ifname=veth101.0,\
             host_mac=00:18:51:B8:D4:D7;ifname=eth1,network=Bridged,ip=10.0.0.5/255.255.255.0,\
             ip=2001:db8::5/64,gw=10.0.0.1;bridge=x",
        );
        assert_eq!(cards.len(), 2);
        assert_eq!(cards[0].mac.as_deref(), Some("00:18:51:E1:5C:A4"));
        assert_eq!(cards[0].bridge.as_deref(), Some("vmbr0"));
        assert_eq!(cards[1].addresses.len(), 2);
        assert_eq!(cards[1].gateways, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
    }
}

//! Functions of network addresses.

use std::net::{IpAddr, Ipv6Addr};

use super::{Contains, Declared, Eval};

pub(super) const FUNCTIONS: &[Declared] = &[
    Declared {
        usage: "cidr_contains(network, address)",
        doc: "Whether a network (`10.0.0.0/8`, `fe80::/10`, a single address) has an address; null where one of them is none. A written network that is none is an error.",
        eval: Eval::Contained(network),
    },
    Declared {
        usage: "is_private_ip(address)",
        doc: "Whether an address is not of the internet: private, shared, link-local, loopback or none at all.",
        eval: Eval::Truth(|address| Some(is_private(parse(address)?))),
    },
];

/// The name of the function that tells whether a network has an address.
pub(crate) const CIDR_CONTAINS: &str = "cidr_contains";

/// IPv4 addresses in the form of IPv6 are IPv4 addresses.
fn parse(address: &str) -> Option<IpAddr> {
    Some(address.trim().parse::<IpAddr>().ok()?.to_canonical())
}

fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (v4.to_bits().into(), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

/// The addresses of a network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network {
    prefix: u128,
    /// Bits of an address, and how many of them stand behind the prefix.
    width: u32,
    shift: u32,
}

impl Network {
    fn of(text: &str) -> Option<Network> {
        let (base, len) = match text.split_once('/') {
            Some((base, len)) => (base.trim().parse().ok()?, Some(len.trim().parse::<u32>().ok()?)),
            None => (text.trim().parse().ok()?, None),
        };
        let (base, width) = bits(base);
        let shift = width.checked_sub(len.unwrap_or(width))?;
        Some(Network {
            prefix: base.checked_shr(shift).unwrap_or(0),
            width,
            shift,
        })
    }

    fn has(self, address: &str) -> Option<bool> {
        let (address, width) = bits(parse(address)?);
        Some(width == self.width && address.checked_shr(self.shift).unwrap_or(0) == self.prefix)
    }
}

/// With what an address of a network of IPv4 begins where it is written in the ordinary way; `None` where nothing is known.
pub(crate) fn beginning(network: &str) -> Option<String> {
    let network = Network::of(network).filter(|n| n.width == 32)?;
    let octets = (network.prefix << network.shift) as u32;
    let texts = octets.to_be_bytes().map(|octet| octet.to_string());
    match (network.width - network.shift) / 8 {
        0 => None,
        4 => Some(texts.join(".")),
        known => Some(format!("{}.", texts.get(..known as usize)?.join("."))),
    }
}

/// What tells whether an address is in a network; `None` where the text is no network.
fn network(text: &str) -> Option<Contains> {
    let network = Network::of(text)?;
    Some(Box::new(move |address| network.has(address)))
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            // RFC 6598: addresses that providers share among their customers.
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || shared
        }
        IpAddr::V6(v6) => {
            v6.is_loopback() || v6 == Ipv6Addr::UNSPECIFIED || v6.is_unique_local() || v6.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr_contains(network: &str, address: &str) -> Option<bool> {
        Network::of(network)?.has(address)
    }

    #[test]
    fn networks_have_their_addresses() {
        assert_eq!(cidr_contains("10.0.0.0/8", "10.1.2.3"), Some(true));
        assert_eq!(cidr_contains("10.0.0.0/8", "11.1.2.3"), Some(false));
        assert_eq!(
            cidr_contains("10.1.2.3/8", "10.9.9.9"),
            Some(true),
            "bits behind the prefix do not count"
        );
        assert_eq!(cidr_contains("0.0.0.0/0", "8.8.8.8"), Some(true));
        assert_eq!(cidr_contains("::/0", "8.8.8.8"), Some(false));
        assert_eq!(cidr_contains("10.0.0.0/8", "::ffff:10.1.1.1"), Some(true));
        assert_eq!(cidr_contains("fe80::/10", "fe80::1"), Some(true));
        assert_eq!(cidr_contains("::1", "::1"), Some(true));
        assert_eq!(
            (cidr_contains("10.0.0.0/33", "10.0.0.1"), cidr_contains("x", "10.0.0.1")),
            (None, None)
        );
    }

    #[test]
    fn addresses_begin_as_their_network() {
        assert_eq!(CIDR_CONTAINS, super::super::name_of(FUNCTIONS[0].usage));
        for (network, text) in [
            ("10.0.0.0/8", Some("10.")),
            ("172.16.0.0/12", Some("172.")),
            ("192.168.7.9/16", Some("192.168.")),
            ("10.1.2.128/25", Some("10.1.2.")),
            ("10.1.2.3", Some("10.1.2.3")),
            ("10.0.0.0/7", None),
            ("0.0.0.0/0", None),
            ("fe80::/10", None),
            ("nothing", None),
        ] {
            assert_eq!(beginning(network).as_deref(), text, "{network}");
        }
    }

    #[test]
    fn what_is_not_of_the_internet() {
        for private in [
            "10.0.0.7",
            "192.168.1.1",
            "172.31.0.1",
            "127.0.0.1",
            "100.64.0.1",
            "169.254.1.1",
            "fd00::1",
            "::1",
            "0.0.0.0",
        ] {
            assert_eq!(parse(private).map(is_private), Some(true), "{private}");
        }
        for public in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:4860::1"] {
            assert_eq!(parse(public).map(is_private), Some(false), "{public}");
        }
        assert_eq!(parse("not an address"), None);
    }
}

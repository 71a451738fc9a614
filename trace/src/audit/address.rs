//! Socket addresses as `saddr=` holds them: the bytes of a `struct sockaddr`, in the recorded machine's byte order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::field::unhex;

/// Families of addresses (`linux/socket.h`).
const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const AF_NETLINK: u16 = 16;

/// A decoded `saddr=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// IPv4 or IPv6.
    Inet(SocketAddr),
    /// A unix socket's path; an abstract name begins with `@`; empty when unnamed.
    Unix(Vec<u8>),
    /// Netlink: the port id.
    Netlink {
        /// Usually the process id; 0 is the kernel.
        pid: u32,
    },
    /// Another family, or an address that is cut off.
    Other {
        /// `AF_…`
        family: u16,
    },
}

impl Address {
    /// Reads the hexadecimal digits of a `saddr=` field.
    pub fn parse(hex: &[u8]) -> Option<Address> {
        let bytes = unhex(hex)?;
        let family = bytes.first_chunk::<2>().copied()?;
        // Families are below 256: the byte that is not zero tells the machine's byte order.
        let little = family[1] == 0;
        let family = if little {
            u16::from_le_bytes(family)
        } else {
            u16::from_be_bytes(family)
        };
        let address = match family {
            AF_INET => inet(&bytes),
            AF_INET6 => inet6(&bytes),
            AF_UNIX => bytes.get(2..).map(|path| Address::Unix(unix_name(path))),
            AF_NETLINK => bytes_at::<4>(&bytes, 4).map(|pid| Address::Netlink {
                pid: if little {
                    u32::from_le_bytes(pid)
                } else {
                    u32::from_be_bytes(pid)
                },
            }),
            _ => None,
        };
        Some(address.unwrap_or(Address::Other { family }))
    }
}

fn inet(bytes: &[u8]) -> Option<Address> {
    let port = u16::from_be_bytes(bytes_at(bytes, 2)?);
    let ip = Ipv4Addr::from(bytes_at::<4>(bytes, 4)?);
    Some(Address::Inet(SocketAddr::new(IpAddr::V4(ip), port)))
}

fn inet6(bytes: &[u8]) -> Option<Address> {
    let port = u16::from_be_bytes(bytes_at(bytes, 2)?);
    let ip = Ipv6Addr::from(bytes_at::<16>(bytes, 8)?);
    Some(Address::Inet(SocketAddr::new(IpAddr::V6(ip), port)))
}

/// A path ends at its first NUL: what follows is what happened to lie in the caller's buffer.
fn unix_name(path: &[u8]) -> Vec<u8> {
    let (abstract_name, text) = match path.strip_prefix(&[0]) {
        Some(name) => (true, name),
        None => (false, path),
    };
    let end = text.iter().position(|b| *b == 0).unwrap_or(text.len());
    let text = text.get(..end).unwrap_or_default();
    if abstract_name && !text.is_empty() {
        [b"@", text].concat()
    } else {
        text.to_vec()
    }
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_and_byte_orders() {
        let inet = |text: &str| Some(Address::Inet(text.parse().expect("address")));
        let unix = |text: &str| Some(Address::Unix(text.as_bytes().to_vec()));
        let cases: [(&[u8], Option<Address>); 9] = [
            (b"020008AE7F0000010000000000000000", inet("127.0.0.1:2222")),
            (b"000208AE7F0000010000000000000000", inet("127.0.0.1:2222")),
            (
                b"0A00115C000000000000000000000000000000000000000100000000",
                inet("[::1]:4444"),
            ),
            (b"01002F6465762F6C6F670000FFFF", unix("/dev/log")),
            (b"0100006162", unix("@ab")),
            (b"100022760000000000000000", Some(Address::Netlink { pid: 0 })),
            (b"020008AE7F", Some(Address::Other { family: 2 })),
            (b"1100", Some(Address::Other { family: 17 })),
            (b"02", None),
        ];
        for (hex, expected) in cases {
            assert_eq!(Address::parse(hex), expected, "{}", String::from_utf8_lossy(hex));
        }
    }
}

//! Socket addresses as callers and kernel write them (`struct sockaddr_*`), as values and as text.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A socket address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address<'a> {
    /// `AF_UNSPEC`: takes a connection back.
    None,
    Inet(SocketAddr),
    /// A path as it was written; empty for an unnamed socket.
    Unix(&'a [u8]),
    /// A name outside the file system, without the NUL before it.
    Abstract(&'a [u8]),
    /// Port id and groups.
    Netlink(u32, u32),
    /// Protocol (host order) and interface index.
    Packet(u16, i32),
    /// Context id and port (`linux/vm_sockets.h`).
    Vsock(u32, u32),
    /// A family that is not looked into.
    Other(u16),
}

impl<'a> Address<'a> {
    /// Reads an address; `None` when it is too short for its family.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Address<'a>> {
        let family = u16::from_ne_bytes(array(bytes, 0)?);
        Some(match i32::from(family) {
            libc::AF_UNSPEC => Address::None,
            libc::AF_UNIX => unix(bytes.get(2..).unwrap_or_default()),
            libc::AF_INET => Address::ipv4(bytes)?,
            libc::AF_INET6 => {
                let ip = Ipv6Addr::from(array::<16>(bytes, 8)?);
                Address::Inet(SocketAddr::new(IpAddr::V6(ip).to_canonical(), port(bytes)?))
            }
            libc::AF_NETLINK => Address::Netlink(
                u32::from_ne_bytes(array(bytes, 4)?),
                u32::from_ne_bytes(array(bytes, 8)?),
            ),
            libc::AF_PACKET => Address::Packet(
                u16::from_be_bytes(array(bytes, 2)?),
                i32::from_ne_bytes(array(bytes, 4)?),
            ),
            libc::AF_VSOCK => Address::Vsock(
                u32::from_ne_bytes(array(bytes, 8)?),
                u32::from_ne_bytes(array(bytes, 4)?),
            ),
            _ => Address::Other(family),
        })
    }

    /// Reads an address as one of IPv4, whatever family it says it is of.
    pub(super) fn ipv4(bytes: &[u8]) -> Option<Address<'a>> {
        let ip = Ipv4Addr::from(array::<4>(bytes, 4)?);
        Some(Address::Inet(SocketAddr::new(IpAddr::V4(ip), port(bytes)?)))
    }

    /// The same in place of another text.
    pub(super) fn write_over(&self, out: &mut Vec<u8>) {
        out.clear();
        self.write(out);
    }

    /// Appends the address as text: `127.0.0.1:80`, `[::1]:80`, `/run/x.sock`, `@name`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        // Writing into memory does not fail.
        let _ = match self {
            Address::None => Ok(()),
            Address::Inet(address) => write!(out, "{address}"),
            Address::Unix(path) => out.write_all(path),
            Address::Abstract(name) => {
                out.push(b'@');
                out.write_all(name)
            }
            Address::Netlink(port, groups) => write!(out, "netlink:{port}:{groups:#x}"),
            Address::Packet(protocol, interface) => write!(out, "packet:{protocol:#06x}:{interface}"),
            Address::Vsock(cid, port) => {
                let number = |of: &u32| {
                    Some(*of)
                        .filter(|of| *of != ANY)
                        .map_or("*".to_owned(), |of| of.to_string())
                };
                write!(out, "vsock:{}:{}", number(cid), number(port))
            }
            Address::Other(family) => write!(out, "family:{family}"),
        };
    }
}

/// `VMADDR_CID_ANY` and `VMADDR_PORT_ANY`, which `ss` shows the same way.
const ANY: u32 = u32::MAX;

/// What follows the family in a `struct sockaddr_un`.
fn unix(path: &[u8]) -> Address<'_> {
    match path.split_first() {
        Some((0, name)) if !name.is_empty() => Address::Abstract(name),
        _ => Address::Unix(path.split(|b| *b == 0).next().unwrap_or_default()),
    }
}

fn port(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(array(bytes, 2)?))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Option<String> {
        let mut out = Vec::new();
        Address::parse(bytes)?.write(&mut out);
        Some(String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn addresses_read_as_people_write_them() {
        let mapped = [
            &[10, 0, 0, 80, 0, 0, 0, 0][..],
            &[0; 10],
            &[255, 255, 1, 2, 3, 4],
            &[0; 4],
        ]
        .concat();
        let v6 = [&[10, 0, 1, 187, 0, 0, 0, 0][..], &[0; 15], &[1], &[0; 4]].concat();
        let cases: &[(&[u8], Option<&str>)] = &[
            (
                &[2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
                Some("127.0.0.1:80"),
            ),
            (&v6, Some("[::1]:443")),
            (&mapped, Some("1.2.3.4:80")),
            (b"\x01\0/run/x.sock\0junk", Some("/run/x.sock")),
            (b"\x01\0\0name", Some("@name")),
            (b"\x01\0", Some("")),
            (b"\x01\0\0", Some("")),
            (&[16, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0], Some("netlink:7:0x1")),
            (&[17, 0, 8, 0, 2, 0, 0, 0], Some("packet:0x0800:2")),
            (&[0, 0], Some("")),
            (
                &[40, 0, 0, 0, 15, 39, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0],
                Some("vsock:3:9999"),
            ),
            (
                &[40, 0, 0, 0, 15, 39, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0],
                Some("vsock:*:9999"),
            ),
            (&[40, 0, 0, 0], None),
            (&[38, 0, 0, 0], Some("family:38")),
            (&[2, 0, 0, 80, 127], None),
            (&[2], None),
            (&[], None),
        ];
        for (bytes, want) in cases {
            assert_eq!(text(bytes).as_deref(), *want, "{bytes:?}");
        }
    }
}

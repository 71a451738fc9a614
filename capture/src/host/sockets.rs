//! Sockets of network namespaces by inode number, from `/proc/PID/net/…`: what a descriptor `socket:[123]` is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ctrace_trace::fd::{FdKind, Role, Socket};

use super::procfs::{MAX_FILE, decimal, lines, read, words};

/// Most sockets that are kept.
const MAX_SOCKETS: usize = 1_000_000;
/// `TCP_LISTEN` (`net/tcp_states.h`).
const LISTEN: &[u8] = b"0A";

/// A socket as the tables show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketState {
    /// Its family.
    pub kind: FdKind,
    /// Path or `@name` of a unix socket; empty otherwise.
    pub name: Vec<u8>,
    /// Both ends, of an internet socket.
    pub ends: Option<Socket>,
    /// Whether it waits for connections.
    pub listens: bool,
}

/// Sockets by inode number. Those numbers are unique on a host, whatever the network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    by_inode: BTreeMap<u64, SocketState>,
    namespaces: BTreeSet<u32>,
}

impl Sockets {
    /// Reads the tables of a process's network namespace, unless they were read before.
    pub fn read(&mut self, pid: u32, namespace: u32) {
        if !self.namespaces.insert(namespace) {
            return;
        }
        let table = |name: &str| read(format!("/proc/{pid}/net/{name}"), MAX_FILE).unwrap_or_default();
        let mut added = Vec::new();
        for (name, protocol) in [("tcp", 6), ("udp", 17), ("raw", 255), ("icmp", 1), ("udplite", 136)] {
            added.extend(inet_table(&table(name), protocol));
            added.extend(inet_table(
                &table(&format!("{name}6")),
                if protocol == 1 { 58 } else { protocol },
            ));
        }
        guess_roles(&mut added);
        added.extend(lines(&table("unix")).filter_map(unix_line));
        added.extend(lines(&table("netlink")).filter_map(|l| plain_line(l, FdKind::Netlink, 9)));
        added.extend(lines(&table("packet")).filter_map(|l| plain_line(l, FdKind::Packet, 8)));
        added.truncate(MAX_SOCKETS.saturating_sub(self.by_inode.len()));
        self.by_inode.extend(added);
    }

    /// A socket.
    pub fn get(&self, inode: u64) -> Option<&SocketState> {
        self.by_inode.get(&inode)
    }

    /// All internet sockets that wait for connections or datagrams, sorted by protocol and address, each once.
    pub fn listening(&self) -> Vec<Socket> {
        let waits = |s: &&SocketState| s.listens || s.ends.is_some_and(|e| e.protocol == 17 && !e.is_connected());
        let ends = self.by_inode.values().filter(waits).filter_map(|s| s.ends);
        let mut all: Vec<Socket> = ends.collect();
        all.sort_by_key(|s| (s.protocol, s.local));
        all.dedup();
        all
    }
}

/// The lines of `tcp`, `udp`, … (`net/ipv4/tcp_ipv4.c`, get_tcp4_sock).
fn inet_table(text: &[u8], protocol: u8) -> Vec<(u64, SocketState)> {
    lines(text).filter_map(|line| inet_line(line, protocol)).collect()
}

/// `0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1517 …`
fn inet_line(line: &[u8], protocol: u8) -> Option<(u64, SocketState)> {
    let mut words = words(line).skip(1);
    let (local, remote) = (end(words.next()?)?, end(words.next()?)?);
    let listens = words.next()? == LISTEN && protocol == 6;
    let inode = decimal(words.nth(5)?)?;
    let kind = if local.is_ipv4() { FdKind::Ipv4 } else { FdKind::Ipv6 };
    let ends = Socket {
        protocol,
        role: if listens { Role::Server } else { Role::Unknown },
        local,
        remote: same_family(remote, local),
    };
    let state = SocketState {
        kind,
        name: Vec::new(),
        ends: Some(ends),
        listens,
    };
    // A closed connection without an owner has inode 0.
    (inode != 0).then_some((inode, state))
}

/// `0100007F:0016`: words of the address in the machine's byte order, the port as a number. An IPv4 address in IPv6's
/// clothes is one.
fn end(text: &[u8]) -> Option<SocketAddr> {
    let (address, port) = std::str::from_utf8(text).ok()?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        u32::from_str_radix(address.get(at..at + 8)?, 16)
            .ok()
            .map(u32::to_ne_bytes)
    };
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let bytes = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// An unconnected socket's other end is all zeros, in whatever family: that of its own end is meant.
fn same_family(remote: SocketAddr, local: SocketAddr) -> SocketAddr {
    match (local, remote.ip().is_unspecified()) {
        (SocketAddr::V4(_), true) => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), remote.port()),
        (SocketAddr::V6(_), true) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), remote.port()),
        _ => remote,
    }
}

/// The tables do not tell who connected: a connection from a port on which somebody listens was accepted, any other
/// was made from here.
fn guess_roles(sockets: &mut [(u64, SocketState)]) {
    let tcp = |s: &SocketState| s.ends.filter(|e| e.protocol == 6);
    let listening = sockets.iter().filter(|(_, s)| s.listens).filter_map(|(_, s)| tcp(s));
    let ports: BTreeSet<u16> = listening.map(|e| e.local.port()).collect();
    for (_, socket) in sockets.iter_mut() {
        if let Some(ends) = &mut socket.ends
            && ends.protocol == 6
            && ends.is_connected()
        {
            let accepted = ports.contains(&ends.local.port());
            ends.role = if accepted { Role::Server } else { Role::Client };
        }
    }
}

/// `0000: 00000002 00000000 00010000 0001 01 86027 /run/x.sock`; the name may hold blanks, or be missing.
fn unix_line(line: &[u8]) -> Option<(u64, SocketState)> {
    let mut rest = line;
    let mut next = || {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        let (word, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(word)
    };
    let (_number, _references, _protocol, flags) = (next()?, next()?, next()?, next()?);
    let (_type, _state) = (next()?, next()?);
    let inode = decimal(next()?)?;
    let state = SocketState {
        kind: FdKind::Unix,
        name: rest.strip_prefix(b" ").unwrap_or_default().to_vec(),
        ends: None,
        // __SO_ACCEPTCON
        listens: flags == b"00010000",
    };
    Some((inode, state))
}

/// A table of which only the inode number in a column is used.
fn plain_line(line: &[u8], kind: FdKind, column: usize) -> Option<(u64, SocketState)> {
    let inode = decimal(words(line).nth(column)?)?;
    let state = SocketState {
        kind,
        name: Vec::new(),
        ends: None,
        listens: false,
    };
    Some((inode, state))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::host::procfs::link;

    fn inode(fd: &impl AsRawFd) -> u64 {
        let target = link(format!("/proc/self/fd/{}", fd.as_raw_fd())).expect("open");
        let digits = target.strip_prefix(b"socket:[").and_then(|t| t.strip_suffix(b"]"));
        decimal(digits.expect("a socket")).expect("a number")
    }

    #[test]
    fn our_own_sockets_are_found_with_both_ends() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a socket");
        let unix = UnixListener::bind(&path).expect("bind");
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = listener.local_addr().expect("bound").port();
        let client = TcpStream::connect(("127.0.0.1", port)).expect("connect");
        let (server, _) = listener.accept().expect("accept");
        let six = UdpSocket::bind("[::1]:0");

        let mut sockets = Sockets::default();
        sockets.read(std::process::id(), 1);
        let ends = |fd: &dyn Fn() -> u64| sockets.get(fd()).and_then(|s| s.ends).expect("listed");
        let (c, s) = (ends(&|| inode(&client)), ends(&|| inode(&server)));
        assert_eq!(
            (c.local, c.remote),
            (client.local_addr().expect("a"), client.peer_addr().expect("b"))
        );
        assert_eq!((s.local, s.remote), (c.remote, c.local));
        assert_eq!((c.role, s.role), (Role::Client, Role::Server));
        assert_eq!(ends(&|| inode(&listener)).role, Role::Server);
        assert!(
            sockets
                .listening()
                .iter()
                .any(|l| l.local.port() == port && l.protocol == 6)
        );
        let state = sockets.get(inode(&unix)).expect("listed");
        assert_eq!((state.kind, state.listens), (FdKind::Unix, true));
        assert_eq!(state.name, path.as_os_str().as_encoded_bytes());
        if let Ok(six) = six {
            let found = ends(&|| inode(&six));
            assert_eq!((found.local, found.protocol), (six.local_addr().expect("bound"), 17));
        }
    }

    #[test]
    fn addresses_are_words_in_the_machines_order() {
        if cfg!(target_endian = "little") {
            let text = |t: &str| end(t.as_bytes()).map(|a| a.to_string());
            assert_eq!(text("0100007F:0016").as_deref(), Some("127.0.0.1:22"));
            assert_eq!(
                text("00000000000000000000000001000000:01BB").as_deref(),
                Some("[::1]:443")
            );
            assert_eq!(
                text("0000000000000000FFFF00000100007F:0050").as_deref(),
                Some("127.0.0.1:80")
            );
            assert_eq!(
                (text("0100007F"), text("xx:1"), text("é000000:0016")),
                (None, None, None)
            );
        }
    }
}

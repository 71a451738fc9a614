//! What calls do to sockets. A socket that changes is a new entry, so that an event shows it as it was then.
//!
//! Whom a socket talks to is told by the kernel's word wherever there is one: a caller may name a unix socket by a link, or
//! an address that a connected socket does not look at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ctrace_trace::fd::{FdEntry, FdKind, Role, Socket};
use ctrace_wire::section;

use super::action::Action;
use super::address::Address;
use super::call::Call;
use super::files::named;
use super::paths;
use super::state::State;
use super::walk::{Base, Name};

const SOCK_TYPE_MASK: u32 = 0xf;
const IPPROTO_MPTCP: u32 = 262;
const EBADF: i64 = -9;
const ENOTSOCK: i64 = -88;
const EISCONN: i64 = -106;
/// The state of a connected socket, of any family (include/net/tcp_states.h).
const TCP_ESTABLISHED: u16 = 1;

/// References to an entry that is in no table any more: that of who asks, and that of what remembers recent entries.
const ONE_OWNER: usize = 2;

/// The absolute name of a unix address and the name as it was written, empty where that is the same.
type UnixName = (Vec<u8>, Vec<u8>);

/// How much of the kernel's view of a socket counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Both ends.
    Both,
    /// Both, but an end that is not set leaves what is known: a datagram socket without a connection has none, though
    /// the caller named one.
    Set,
}

impl State {
    pub(super) fn socket(&mut self, call: &Call<'_>) {
        let mut entry = new_socket(call.arg32(0), call.arg32(1), call.arg32(2));
        // By its inode it is known from all others when it is connected: see `connect`.
        take_kernel_inode(&mut entry, call);
        let cloexec = call.arg32(1) & libc::SOCK_CLOEXEC as u32 != 0;
        if let Some(fd) = call.new_fd() {
            let entry = self.entry(entry);
            self.put_fd(call.pid, call.ts, fd, entry, cloexec);
        }
    }

    pub(super) fn socketpair(&mut self, call: &Call<'_>) {
        let entry = self.entry(new_socket(call.arg32(0), call.arg32(1), call.arg32(2)));
        self.pair(call, &entry, call.arg32(1) & libc::SOCK_CLOEXEC as u32 != 0);
    }

    pub(super) fn bind(&mut self, call: &Call<'_>, address: Option<&Address<'_>>) {
        if !call.succeeded() {
            return;
        }
        let name = self.unix_name(call, address, false);
        self.update(call, call.fd(0), Trust::Set, |entry| match address {
            Some(Address::Inet(local)) => set_local(entry, *local),
            Some(address) => entry.take_name(name, kind_of(address)),
            None => {}
        });
    }

    /// Also where the connection was refused: whom it was meant for is what matters.
    pub(super) fn connect(&mut self, call: &Call<'_>, address: Option<&Address<'_>>) {
        let name = self.connected_name(call, address);
        let trust = if call.connected() { Trust::Both } else { Trust::Set };
        let before = self.known(call, call.fd(0));
        self.update(call, call.fd(0), trust, |entry| match address {
            Some(Address::Inet(remote)) => {
                set_remote(entry, *remote);
                set_role(entry, Role::Client);
            }
            Some(Address::None) => set_remote(entry, unspecified(false)),
            Some(address) => entry.take_name(name, kind_of(address)),
            // The kernel may tell the name all the same.
            None => entry.take_name(name, FdKind::Unix),
        });
        if let Some(before) = before {
            self.tell_duplicates(call, &before);
        }
    }

    pub(super) fn listen(&mut self, call: &Call<'_>) {
        if call.succeeded() {
            self.update(call, call.fd(0), Trust::Set, |entry| set_role(entry, Role::Server));
        }
    }

    pub(super) fn accept(&mut self, call: &Call<'_>, address: Option<&Address<'_>>, cloexec: bool) {
        let Some(fd) = call.new_fd() else {
            return;
        };
        let listening = self.known(call, call.fd(0));
        let mut entry = listening.map_or_else(|| named(FdKind::Unknown, b""), |e| (*e).clone());
        match address {
            Some(Address::Inet(remote)) => set_remote(&mut entry, *remote),
            // Their ends are not told by the kernel.
            Some(remote @ Address::Vsock(..)) => remote.write_over(&mut entry.name),
            _ => {}
        }
        apply_kernel(&mut entry, call, Trust::Both);
        set_role(&mut entry, Role::Server);
        let entry = self.entry(entry);
        self.put_fd(call.pid, call.ts, fd, entry, cloexec);
    }

    /// Data for, or from, an address that the call named: of a socket without a connection.
    pub(super) fn exchange(&mut self, call: &Call<'_>, address: Option<&Address<'_>>, role: Role) {
        match address.filter(|_| role != Role::Client || becomes_peer(call)) {
            Some(Address::Inet(remote)) => self.update(call, call.fd(0), Trust::Set, |entry| {
                set_remote(entry, *remote);
                if entry.socket.is_some_and(|s| s.role == Role::Unknown) {
                    set_role(entry, role);
                }
            }),
            Some(to @ (Address::Unix(_) | Address::Abstract(_) | Address::Vsock(..))) if role == Role::Client => {
                let name = self.unix_name(call, address, true);
                self.update(call, call.fd(0), Trust::Set, |entry| entry.take_name(name, kind_of(to)));
            }
            _ if call.section(section::SOCKET).is_some() => self.update(call, call.fd(0), Trust::Set, |_| {}),
            _ => {}
        }
    }

    /// What the event of a call that sends shows in place of its socket: one with another end than the peer that the socket
    /// is connected to, and stays with.
    pub(super) fn sent_past_peer(&mut self, call: &Call<'_>, address: Option<&Address<'_>>) -> Option<Arc<FdEntry>> {
        let kernel = call.section(section::SOCKET).and_then(|s| s.socket());
        if kernel.is_some_and(|kernel| address.is_none() || !takes_any_address(&kernel) || !is_connected(call, &kernel))
        {
            return None;
        }
        let mut entry = (*self.known(call, call.fd(0))?).clone();
        apply_kernel(&mut entry, call, Trust::Set);
        match (address, &mut entry.socket) {
            (Some(Address::Inet(remote)), _) if kernel.is_some() => set_remote(&mut entry, *remote),
            (Some(to @ (Address::Unix(_) | Address::Abstract(_) | Address::Vsock(..))), _) if kernel.is_some() => {
                entry.take_name(Some(self.unix_name(call, address, true)?), kind_of(to));
            }
            // A request of io_uring of which another process saw the end: nobody knows which peer it had.
            (None, Some(socket)) if kernel.is_none() && socket.protocol != libc::IPPROTO_TCP as u8 => {
                socket.remote = unspecified(socket.remote.is_ipv6());
            }
            _ => return None,
        }
        Some(self.entry(entry))
    }

    /// A socket without a descriptor, as a call shows it that connects it or sends to an address.
    pub(super) fn told_of(
        &mut self,
        call: &Call<'_>,
        action: Action,
        socket: Option<Arc<FdEntry>>,
        address: Option<&Address<'_>>,
    ) -> Option<Arc<FdEntry>> {
        let mut entry = (*socket?).clone();
        let kernel = call.section(section::SOCKET).and_then(|s| s.socket());
        let goes_there = action == Action::Connect || kernel.is_some_and(|kernel| takes_any_address(&kernel));
        match address {
            Some(Address::Inet(remote)) if goes_there => set_remote(&mut entry, *remote),
            Some(address) if goes_there && (action == Action::Send || entry.name.is_empty()) => {
                let name = self.unix_name(call, Some(address), true);
                entry.take_name(name, kind_of(address));
            }
            _ => {}
        }
        set_role(&mut entry, Role::Client);
        Some(self.entry(entry))
    }

    /// `getsockname` and `getpeername` tell an end.
    pub(super) fn told_end(&mut self, call: &Call<'_>, address: Option<&Address<'_>>, is_local: bool) {
        let Some(Address::Inet(end)) = address.filter(|_| call.succeeded()) else {
            return;
        };
        self.update(call, call.fd(0), Trust::Set, |entry| {
            if is_local {
                set_local(entry, *end);
            } else {
                set_remote(entry, *end);
            }
        });
    }

    /// The name of the unix socket that a call connected to, by the word of the kernel where that says all: what the caller
    /// wrote may lead there through links, and be written over by now.
    fn connected_name(&mut self, call: &Call<'_>, address: Option<&Address<'_>>) -> Option<UnixName> {
        match peer_name(call) {
            Some(name) if call.succeeded() => {
                let raw = match address {
                    Some(Address::Unix(path)) if name != *path => path.to_vec(),
                    _ => Vec::new(),
                };
                Some((name, raw))
            }
            // It stays with the peer that it has.
            Some(_) => None,
            None if call.ret == EISCONN => None,
            None => self.unix_name(call, address, true),
        }
    }

    /// The name of a unix address; of one that was there before, the way to it may lead through links.
    fn unix_name(&mut self, call: &Call<'_>, address: Option<&Address<'_>>, is_old: bool) -> Option<UnixName> {
        match address? {
            Address::Unix(path) if !path.is_empty() => {
                let process = self.table.at(call.pid, call.ts)?;
                let mut name = Vec::new();
                let cwd = &process.image_of(call.tid).cwd;
                let is_cut = paths::resolve(process.root_of(call.tid), cwd, path, &mut name);
                if is_old && call.succeeded() {
                    let written = Name {
                        raw: path,
                        base: Base::WorkingDirectory,
                        is_followed: true,
                        is_cut,
                    };
                    self.straighten(call, &written, &mut name);
                }
                let raw = if name == *path { Vec::new() } else { path.to_vec() };
                Some((name, raw))
            }
            address @ (Address::Abstract(_) | Address::Netlink(..) | Address::Packet(..) | Address::Vsock(..)) => {
                let mut name = Vec::new();
                address.write(&mut name);
                Some((name, Vec::new()))
            }
            _ => None,
        }
    }

    /// A process may have a socket that a call connected behind other descriptors too, and others what it forked with it.
    fn tell_duplicates(&mut self, call: &Call<'_>, before: &Arc<FdEntry>) {
        let Some(process) = self.table.at(call.pid, call.ts) else {
            return;
        };
        // Without an inode it may be the entry of several sockets that look alike.
        let is_same = |now: &&Arc<FdEntry>| now.ino != 0 && now.ino == before.ino && !Arc::ptr_eq(now, before);
        if let Some(now) = process.fds.get(call.fd(0)).filter(is_same).cloned() {
            process.fds.replace_all(before, &now);
            if Arc::strong_count(before) > ONE_OWNER {
                let others = self.table.each_living();
                others.for_each(|process| process.fds.replace_all(before, &now));
            }
        }
    }

    /// What is behind a descriptor, asking the host where that is not known.
    fn known(&mut self, call: &Call<'_>, fd: i32) -> Option<Arc<FdEntry>> {
        self.ask_for_fd(call, fd);
        self.table.at(call.pid, call.ts)?.fds.get(fd).cloned()
    }

    /// Replaces the entry of a socket by a changed one.
    fn update(&mut self, call: &Call<'_>, fd: i32, trust: Trust, change: impl FnOnce(&mut FdEntry)) {
        // Nothing is behind it, or something that is no socket.
        if call.ret == EBADF || call.ret == ENOTSOCK {
            return;
        }
        let old = self.known(call, fd);
        let mut entry = match &old {
            Some(old) => (**old).clone(),
            // Nothing is known but what this call says.
            None => match call.section(section::SOCKET).and_then(|s| s.socket()) {
                Some(s) => new_socket(u32::from(s.family), u32::from(s.kind), u32::from(s.protocol)),
                None => named(FdKind::Unknown, b""),
            },
        };
        change(&mut entry);
        apply_kernel(&mut entry, call, trust);
        if old.as_deref().is_some_and(|old| same_socket(old, &entry)) {
            return;
        }
        let entry = self.entry(entry);
        let Some(process) = self.table.at(call.pid, call.ts) else {
            return;
        };
        self.stats.fds_refused += u64::from(!process.fds.replace(fd, entry));
    }
}

fn same_socket(a: &FdEntry, b: &FdEntry) -> bool {
    a.kind == b.kind && a.socket == b.socket && a.name == b.name && a.name_raw == b.name_raw && a.ino == b.ino
}

/// The address that a call names. Where data is sent to an address without a family, IPv4 takes it for one of its own
/// (net/ipv4/udp.c, `udp_sendmsg`).
pub(super) fn address_of<'a>(call: &Call<'a>, action: Action) -> Option<Address<'a>> {
    let bytes = call.address()?;
    match Address::parse(bytes)? {
        Address::None if action == Action::Send && is_of_version_4(call) => Address::ipv4(bytes),
        address => Some(address),
    }
}

/// Writes the addresses of all messages of a call but that of the first.
pub(super) fn write_others(call: &Call<'_>, out: &mut Vec<u8>) {
    let (addresses, is_cut) = call.other_addresses();
    for address in addresses.filter_map(Address::parse) {
        if !out.is_empty() {
            out.extend_from_slice(b", ");
        }
        address.write(out);
    }
    if is_cut && !out.is_empty() {
        out.extend_from_slice(b", ...");
    }
}

fn is_of_version_4(call: &Call<'_>) -> bool {
    let kernel = call.section(section::SOCKET).and_then(|s| s.socket());
    kernel.is_some_and(|kernel| i32::from(kernel.family) == libc::AF_INET)
}

/// Whether the address that data is sent to becomes that of the socket's other end.
fn becomes_peer(call: &Call<'_>) -> bool {
    let Some(kernel) = call.section(section::SOCKET).and_then(|s| s.socket()) else {
        return true;
    };
    if takes_any_address(&kernel) {
        return !is_connected(call, &kernel);
    }
    // Others of this family refuse one, or do not look at it.
    i32::from(kernel.family) != libc::AF_UNIX
}

/// Whether a socket sends to any address that a call names, also while it is connected to another.
fn takes_any_address(kernel: &section::Socket) -> bool {
    matches!(i32::from(kernel.kind), libc::SOCK_DGRAM | libc::SOCK_RAW)
}

fn is_connected(call: &Call<'_>, kernel: &section::Socket) -> bool {
    // Older kernels have no such state of unix sockets that send datagrams.
    kernel.state == TCP_ESTABLISHED || call.section(section::UNIX_PEER).is_some()
}

/// The name that the other end of a unix socket was bound to, where that is a whole one.
fn peer_name(call: &Call<'_>) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    match Address::parse(call.section(section::UNIX_PEER)?.data)? {
        Address::Unix(path) if path.first() == Some(&b'/') => {
            let is_cut = paths::resolve(b"", b"", path, &mut name);
            (!is_cut).then_some(name)
        }
        address @ Address::Abstract(_) => {
            address.write(&mut name);
            Some(name)
        }
        _ => None,
    }
}

trait TakeName {
    /// Takes over the name of a socket that is no internet socket, and how it was written. One of unknown kind becomes one
    /// of this kind.
    fn take_name(&mut self, name: Option<UnixName>, kind: FdKind);
}

impl TakeName for FdEntry {
    fn take_name(&mut self, name: Option<UnixName>, kind: FdKind) {
        if let Some((name, raw)) = name {
            if self.kind == FdKind::Unknown {
                self.kind = kind;
            }
            (self.name, self.name_raw) = (name, raw);
        }
    }
}

/// The kind of a socket that has such an address.
fn kind_of(address: &Address<'_>) -> FdKind {
    match address {
        Address::Unix(_) | Address::Abstract(_) => FdKind::Unix,
        Address::Netlink(..) => FdKind::Netlink,
        Address::Packet(..) => FdKind::Packet,
        Address::Inet(end) => {
            if end.is_ipv6() {
                FdKind::Ipv6
            } else {
                FdKind::Ipv4
            }
        }
        Address::None | Address::Vsock(..) | Address::Other(_) => FdKind::Unknown,
    }
}

/// What the kernel says of the socket behind a descriptor.
pub(super) fn described(call: &Call<'_>) -> Option<FdEntry> {
    let socket = call.section(section::SOCKET)?.socket()?;
    let mut entry = new_socket(
        u32::from(socket.family),
        u32::from(socket.kind),
        u32::from(socket.protocol),
    );
    apply_kernel(&mut entry, call, Trust::Both);
    Some(entry)
}

/// A socket that was just made.
fn new_socket(family: u32, kind: u32, protocol: u32) -> FdEntry {
    let fd_kind = match family as i32 {
        libc::AF_UNIX => FdKind::Unix,
        libc::AF_INET => FdKind::Ipv4,
        libc::AF_INET6 => FdKind::Ipv6,
        libc::AF_NETLINK => FdKind::Netlink,
        libc::AF_PACKET => FdKind::Packet,
        _ => FdKind::Unknown,
    };
    let mut entry = named(fd_kind, b"");
    if fd_kind.is_inet() {
        let end = unspecified(fd_kind == FdKind::Ipv6);
        entry.socket = Some(Socket {
            protocol: protocol_number(kind & SOCK_TYPE_MASK, protocol),
            role: Role::Unknown,
            local: end,
            remote: end,
        });
    }
    entry
}

/// The IANA number of what a socket speaks: what was asked for, else what the type stands for.
fn protocol_number(kind: u32, protocol: u32) -> u8 {
    match (protocol, kind as i32) {
        (IPPROTO_MPTCP, _) | (0, libc::SOCK_STREAM) => libc::IPPROTO_TCP as u8,
        (0, libc::SOCK_DGRAM) => libc::IPPROTO_UDP as u8,
        (0, libc::SOCK_RAW) => libc::IPPROTO_RAW as u8,
        (protocol, _) => u8::try_from(protocol).unwrap_or(0),
    }
}

/// Takes over the kernel's view of both ends.
fn apply_kernel(entry: &mut FdEntry, call: &Call<'_>, trust: Trust) {
    let Some(kernel) = call.section(section::SOCKET).and_then(|s| s.socket()) else {
        return;
    };
    if kernel.ino != u64::MAX {
        entry.ino = kernel.ino;
    }
    let family = i32::from(kernel.family);
    if family != libc::AF_INET && family != libc::AF_INET6 {
        if entry.kind == FdKind::Unknown {
            entry.kind = new_socket(u32::from(kernel.family), u32::from(kernel.kind), 0).kind;
        }
        return take_kernel_name(entry, call);
    }
    let role = entry.socket.map_or(Role::Unknown, |s| s.role);
    let fresh = new_socket(
        u32::from(kernel.family),
        u32::from(kernel.kind),
        u32::from(kernel.protocol),
    );
    let (local, remote) = (
        end(family, &kernel.local, kernel.local_port),
        end(family, &kernel.remote, kernel.remote_port),
    );
    let protocol = fresh.socket.map_or(0, |s| s.protocol);
    // The kernel leaves the address of a peer that refused, or that a datagram socket was disconnected from, but not its
    // port.
    let remote = match i32::from(protocol) {
        libc::IPPROTO_TCP | libc::IPPROTO_UDP if kernel.remote_port == 0 => unspecified(remote.is_ipv6()),
        _ => remote,
    };
    let socket = entry.socket.get_or_insert(Socket {
        protocol,
        role,
        local,
        remote,
    });
    socket.protocol = protocol;
    if trust == Trust::Both || is_set(local) {
        socket.local = local;
    }
    if is_set(remote) || trust == Trust::Both && !is_set(socket.remote) {
        socket.remote = remote;
    }
    agree(entry);
}

fn take_kernel_inode(entry: &mut FdEntry, call: &Call<'_>) {
    let kernel = call.section(section::SOCKET).and_then(|s| s.socket());
    if let Some(kernel) = kernel.filter(|kernel| kernel.ino != u64::MAX) {
        entry.ino = kernel.ino;
    }
}

/// The name of a unix socket, from the end that has one: the other's where this one connected.
fn take_kernel_name(entry: &mut FdEntry, call: &Call<'_>) {
    if !entry.name.is_empty() {
        return;
    }
    let ends = [section::UNIX_PEER, section::UNIX_LOCAL].map(|kind| call.section(kind));
    for end in ends.into_iter().flatten() {
        if let Some(address @ (Address::Unix(_) | Address::Abstract(_))) = Address::parse(end.data) {
            address.write(&mut entry.name);
        }
        if !entry.name.is_empty() {
            return;
        }
    }
}

fn set_local(entry: &mut FdEntry, local: SocketAddr) {
    if let Some(socket) = internet(entry, local) {
        socket.local = local;
        agree(entry);
    }
}

fn set_remote(entry: &mut FdEntry, remote: SocketAddr) {
    if let Some(socket) = internet(entry, remote) {
        socket.remote = remote;
        agree(entry);
    }
}

fn set_role(entry: &mut FdEntry, role: Role) {
    if let Some(socket) = &mut entry.socket {
        socket.role = role;
    }
}

/// The ends of an internet socket; one of unknown kind becomes one by being given such an address.
fn internet(entry: &mut FdEntry, address: SocketAddr) -> Option<&mut Socket> {
    if entry.kind == FdKind::Unknown {
        let ino = entry.ino;
        let family = if address.is_ipv6() {
            libc::AF_INET6
        } else {
            libc::AF_INET
        };
        *entry = new_socket(family as u32, 0, 0);
        entry.ino = ino;
    }
    entry.socket.as_mut()
}

/// A socket of the sixth version that speaks the fourth is shown as one of the fourth, as Falco does.
fn agree(entry: &mut FdEntry) {
    let Some(socket) = &mut entry.socket else {
        return;
    };
    let (local, remote) = (socket.local, socket.remote);
    if is_set(remote) && remote.is_ipv4() && local.is_ipv6() && local.ip().is_unspecified() {
        socket.local = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), local.port());
    }
    if socket.local.is_ipv4() && is_set(socket.local) && !is_set(remote) && remote.is_ipv6() {
        socket.remote = unspecified(false);
    }
    let v6 = socket.remote.is_ipv6() || !is_set(socket.remote) && socket.local.is_ipv6();
    entry.kind = if v6 { FdKind::Ipv6 } else { FdKind::Ipv4 };
}

fn end(family: i32, bytes: &[u8; 16], port: u16) -> SocketAddr {
    let ip = if family == libc::AF_INET {
        IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]))
    } else {
        IpAddr::V6(Ipv6Addr::from(*bytes)).to_canonical()
    };
    SocketAddr::new(ip, port)
}

fn unspecified(v6: bool) -> SocketAddr {
    let ip = if v6 {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    } else {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    };
    SocketAddr::new(ip, 0)
}

fn is_set(address: SocketAddr) -> bool {
    address.port() != 0 || !address.ip().is_unspecified()
}

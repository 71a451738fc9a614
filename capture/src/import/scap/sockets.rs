//! What events say of sockets: made, bound, connected, and both ends of what is sent and received.

use std::net::SocketAddr;

use ctrace_trace::fd::{FdEntry, FdKind, Role, Socket};

use super::call::Ends;
use super::lists;
use super::state::Change;
use super::world::World;

impl World {
    pub(super) fn socket(&mut self, change: &Change<'_>) {
        let Some(fd) = change.new_fd() else { return };
        let entry = self.new_socket(change);
        self.put(change, fd, entry);
    }

    pub(super) fn socket_pair(&mut self, change: &Change<'_>) {
        for name in ["fd1", "fd2"] {
            if let Some(fd) = change.call.fd(name) {
                let entry = self.new_socket(change);
                self.put(change, fd, entry);
            }
        }
    }

    fn new_socket(&mut self, change: &Change<'_>) -> FdEntry {
        let call = change.call;
        let family = call.num("domain").unwrap_or(0);
        let kind = match family {
            1 => FdKind::Unix,
            2 => FdKind::Ipv4,
            10 => FdKind::Ipv6,
            16 => FdKind::Netlink,
            17 => FdKind::Packet,
            _ => FdKind::Unknown,
        };
        let mut entry = self.object(kind);
        if kind.is_inet() {
            entry.socket = Some(Socket {
                protocol: protocol(call.num("type").unwrap_or(0), call.num("proto").unwrap_or(0)),
                role: Role::Unknown,
                local: lists::nowhere(kind == FdKind::Ipv6),
                remote: lists::nowhere(kind == FdKind::Ipv6),
            });
        }
        entry
    }

    /// What was refused is told as well: to whom is what one wants to know of it.
    pub(super) fn connect(&mut self, change: &Change<'_>) {
        let call = change.call;
        let told = call.ends("tuple").or_else(|| call.ends("addr").map(only_remote));
        self.set_ends(change, told, Some(Role::Client), true);
    }

    pub(super) fn accept(&mut self, change: &Change<'_>) {
        let Some(fd) = change.new_fd() else { return };
        let kind = match change.call.ends("tuple") {
            Some(Ends::Unix(_)) => FdKind::Unix,
            Some(Ends::Inet(a, _)) if a.is_ipv6() => FdKind::Ipv6,
            Some(Ends::Inet(..)) => FdKind::Ipv4,
            None => FdKind::Unknown,
        };
        let mut entry = self.object(kind);
        if let Some(Ends::Inet(remote, local)) = change.call.ends("tuple") {
            entry.socket = Some(Socket {
                protocol: 6,
                role: Role::Server,
                local,
                remote,
            });
        }
        if let Some(Ends::Unix(path)) = change.call.ends("tuple") {
            entry.name = path.to_vec();
        }
        self.put(change, fd, entry);
    }

    pub(super) fn bind(&mut self, change: &Change<'_>) {
        let Some(fd) = change.fd else { return };
        let Some(old) = self.fd(change.pid, fd).cloned() else {
            return;
        };
        let mut entry = self.changed(&old);
        match change.call.ends("addr") {
            Some(Ends::Inet(local, _)) => {
                let remote = lists::nowhere(local.is_ipv6());
                let protocol = old.socket.map_or(0, |s| s.protocol);
                entry.socket = Some(Socket {
                    protocol,
                    role: Role::Unknown,
                    local,
                    remote,
                });
            }
            Some(Ends::Unix(path)) => entry.name = path.to_vec(),
            None => return,
        }
        self.put(change, fd, entry);
    }

    pub(super) fn listen(&mut self, change: &Change<'_>) {
        let Some(fd) = change.fd else { return };
        let Some(old) = self.fd(change.pid, fd).cloned() else {
            return;
        };
        if old.socket.is_some_and(|s| s.role != Role::Server) {
            let mut entry = self.changed(&old);
            if let Some(socket) = &mut entry.socket {
                socket.role = Role::Server;
            }
            self.put(change, fd, entry);
        }
    }

    /// What is sent or received tells both ends: first that of the sender.
    pub(super) fn transfer(&mut self, change: &Change<'_>, sent: bool) {
        let Some(ends) = change.call.ends("tuple") else { return };
        self.set_ends(change, Some(ends), None, sent);
    }

    /// Sets both ends of a socket. Without a role the one that is known stays; who sends first is the client.
    fn set_ends(&mut self, change: &Change<'_>, ends: Option<Ends<'_>>, role: Option<Role>, local_first: bool) {
        let Some(fd) = change.fd else { return };
        let old = self.fd(change.pid, fd).cloned();
        match ends {
            Some(Ends::Unix(path)) => {
                let known = old.as_ref().is_some_and(|e| e.name == path || path.is_empty());
                if !known {
                    let mut entry = match &old {
                        Some(old) => self.changed(old),
                        None => self.object(FdKind::Unix),
                    };
                    entry.name = path.to_vec();
                    self.put(change, fd, entry);
                }
            }
            Some(Ends::Inet(first, second)) => {
                let (local, remote) = if local_first { (first, second) } else { (second, first) };
                if remote.port() == 0 && remote.ip().is_unspecified() {
                    return;
                }
                let before = old.as_ref().and_then(|e| e.socket);
                let known = before.map(|s| s.role).filter(|r| *r != Role::Unknown);
                let guess = if local_first { Role::Client } else { Role::Server };
                let role = role.or(known).unwrap_or(guess);
                let socket = Socket {
                    protocol: before.map_or(0, |s| s.protocol),
                    role,
                    local,
                    remote,
                };
                if before != Some(socket) {
                    let kind = if local.is_ipv6() { FdKind::Ipv6 } else { FdKind::Ipv4 };
                    let mut entry = match &old {
                        Some(old) => self.changed(old),
                        None => self.object(kind),
                    };
                    entry.kind = kind;
                    entry.socket = Some(socket);
                    self.put(change, fd, entry);
                }
            }
            None => {}
        }
    }
}

/// An address alone says nothing of the own end.
fn only_remote(ends: Ends<'_>) -> Ends<'_> {
    match ends {
        Ends::Inet(remote, _) => Ends::Inet(lists_nowhere(remote), remote),
        unix => unix,
    }
}

fn lists_nowhere(like: SocketAddr) -> SocketAddr {
    lists::nowhere(like.is_ipv6())
}

/// The protocol of a socket (`IPPROTO_*`), from its type where it is left to the kernel.
fn protocol(kind: i64, given: i64) -> u8 {
    /// `SOCK_NONBLOCK` and `SOCK_CLOEXEC` stand above.
    const TYPE: i64 = 0xf;
    match (kind & TYPE, given) {
        (1, 0) => 6,
        (2, 0) => 17,
        (3, _) if given != 1 && given != 58 => 255,
        (_, given) => u8::try_from(given).unwrap_or(0),
    }
}

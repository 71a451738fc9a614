//! What a file descriptor refers to: files, sockets, pipes and the kernel's anonymous objects.

use std::net::{IpAddr, SocketAddr};

use bincode::{Decode, Encode};

/// The kind of object behind a descriptor. The number is what files store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[expect(missing_docs, reason = "each is the kernel object of its name")]
#[repr(u8)]
pub enum FdKind {
    Unknown = 0,
    File = 1,
    Directory = 2,
    Ipv4 = 3,
    Ipv6 = 4,
    Unix = 5,
    Netlink = 6,
    Packet = 7,
    Pipe = 8,
    Event = 9,
    Signal = 10,
    EventPoll = 11,
    Inotify = 12,
    Timer = 13,
    Memfd = 14,
    Bpf = 15,
    UserFault = 16,
    IoUring = 17,
    Pidfd = 18,
}

impl FdKind {
    /// The kind of a stored number; [`FdKind::Unknown`] for numbers that this version does not know.
    pub const fn from_u8(v: u8) -> FdKind {
        use FdKind::*;
        const ALL: [FdKind; 19] = [
            Unknown, File, Directory, Ipv4, Ipv6, Unix, Netlink, Packet, Pipe, Event, Signal, EventPoll, Inotify,
            Timer, Memfd, Bpf, UserFault, IoUring, Pidfd,
        ];
        if (v as usize) < ALL.len() {
            ALL[v as usize]
        } else {
            Unknown
        }
    }

    /// Falco's `fd.type`.
    pub const fn type_name(self) -> &'static str {
        match self {
            FdKind::Unknown => "unknown",
            FdKind::File => "file",
            FdKind::Directory => "directory",
            FdKind::Ipv4 => "ipv4",
            FdKind::Ipv6 => "ipv6",
            FdKind::Unix => "unix",
            FdKind::Netlink => "netlink",
            FdKind::Packet => "packet",
            FdKind::Pipe => "pipe",
            FdKind::Event => "event",
            FdKind::Signal => "signalfd",
            FdKind::EventPoll => "eventpoll",
            FdKind::Inotify => "inotify",
            FdKind::Timer => "timerfd",
            FdKind::Memfd => "memfd",
            FdKind::Bpf => "bpf",
            FdKind::UserFault => "userfault",
            FdKind::IoUring => "io_uring",
            FdKind::Pidfd => "pidfd",
        }
    }

    /// Falco's `fd.typechar`.
    pub const fn type_char(self) -> u8 {
        match self {
            FdKind::Unknown => b'o',
            FdKind::File => b'f',
            FdKind::Directory => b'd',
            FdKind::Ipv4 => b'4',
            FdKind::Ipv6 => b'6',
            FdKind::Unix => b'u',
            FdKind::Netlink => b'n',
            FdKind::Packet => b'k',
            FdKind::Pipe => b'p',
            FdKind::Event => b'e',
            FdKind::Signal => b's',
            FdKind::EventPoll => b'l',
            FdKind::Inotify => b'i',
            FdKind::Timer => b't',
            FdKind::Memfd => b'm',
            FdKind::Bpf => b'b',
            FdKind::UserFault => b'u',
            FdKind::IoUring => b'r',
            FdKind::Pidfd => b'P',
        }
    }

    /// Whether it is a socket of the internet families.
    pub const fn is_inet(self) -> bool {
        matches!(self, FdKind::Ipv4 | FdKind::Ipv6)
    }

    /// Whether its name is a path of the file system.
    pub const fn is_path(self) -> bool {
        matches!(self, FdKind::File | FdKind::Directory)
    }
}

/// One open object as it was when an event used it. A change (a socket gets connected) makes a new entry.
#[derive(Clone, Debug, PartialEq)]
pub struct FdEntry {
    /// Unique in a recording, never reused.
    pub id: u64,
    /// What kind of object it is.
    pub kind: FdKind,
    /// Absolute path of a file or directory, path or `@name` of a unix socket, name of anything else;
    /// empty for internet sockets (their name is the tuple). `fd.name`.
    pub name: Vec<u8>,
    /// The path as the opener wrote it; empty when it is the same as `name`. `fd.nameraw`.
    pub name_raw: Vec<u8>,
    /// Flags of `open(2)`, or 0.
    pub open_flags: u32,
    /// Device number of the file; 0 when unknown.
    pub dev: u64,
    /// Inode number; 0 when unknown.
    pub ino: u64,
    /// Both ends of an internet socket, as far as they are known.
    pub socket: Option<Socket>,
}

/// Both ends of an internet socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Socket {
    /// Protocol number (6 TCP, 17 UDP, 1 ICMP …; IANA protocol numbers).
    pub protocol: u8,
    /// Whether this end accepted (or listens), as far as it is known.
    pub role: Role,
    /// This end.
    pub local: SocketAddr,
    /// The other end; unspecified address and port 0 when not connected.
    pub remote: SocketAddr,
}

/// Which end of a connection a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[repr(u8)]
pub enum Role {
    /// Not known, or neither.
    Unknown = 0,
    /// It called `connect` or sent first.
    Client = 1,
    /// It called `listen`, or came from `accept`.
    Server = 2,
}

impl Socket {
    /// The client's end. Where the role is unknown the local end counts as the client's.
    pub const fn client(&self) -> SocketAddr {
        if matches!(self.role, Role::Server) {
            self.remote
        } else {
            self.local
        }
    }

    /// The server's end.
    pub const fn server(&self) -> SocketAddr {
        if matches!(self.role, Role::Server) {
            self.local
        } else {
            self.remote
        }
    }

    /// Whether the other end is known.
    pub fn is_connected(&self) -> bool {
        self.remote.port() != 0 || !is_unspecified(self.remote.ip())
    }

    /// Falco's `fd.l4proto`.
    pub const fn l4proto(&self) -> &'static str {
        match self.protocol {
            6 => "tcp",
            17 => "udp",
            1 | 58 => "icmp",
            255 => "raw",
            _ => "<NA>",
        }
    }
}

fn is_unspecified(ip: IpAddr) -> bool {
    ip.is_unspecified()
}

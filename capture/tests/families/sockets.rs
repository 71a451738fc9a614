//! Sockets of all families, with both ends as the kernel has them.

use ctrace_trace::fd::{FdKind, Role};
use libc::*;

use crate::compare;
use crate::scene::{fork, ok, sys, wait};
use crate::seen::Value;

const CALLS: &[&str] = &[
    "socket",
    "socketpair",
    "bind",
    "connect",
    "listen",
    "accept",
    "accept4",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "getsockname",
    "getpeername",
    "shutdown",
    "setsockopt",
    "getsockopt",
];

pub(crate) fn scene() {
    internet(AF_INET);
    internet(AF_INET6);
    mapped();
    refused();
    datagrams(AF_INET);
    datagrams(AF_INET6);
    unix(&name(b"path.sock\0"));
    unix(&name(b"\0abstract"));
    pairs();
    netlink();
    others();
}

/// A `sockaddr_storage` in which the address of the loop stands, and its length.
fn address(family: i32, port: u16) -> ([u8; 28], u32) {
    let mut address = [0; 28];
    address[..2].copy_from_slice(&(family as u16).to_ne_bytes());
    address[2..4].copy_from_slice(&port.to_be_bytes());
    if family == AF_INET {
        address[4..8].copy_from_slice(&[127, 0, 0, 1]);
        return (address, 16);
    }
    address[23] = 1;
    (address, 28)
}

fn port_of(fd: i64) -> u16 {
    let (mut address, mut len) = ([0_u8; 28], [28_u32]);
    ok(sys!(SYS_getsockname, fd, &mut address, &mut len));
    u16::from_be_bytes([address[2], address[3]])
}

fn internet(family: i32) {
    let server = ok(sys!(SYS_socket, family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ok(sys!(SYS_setsockopt, server, SOL_SOCKET, SO_REUSEADDR, &[1_i32], 4));
    let (any, len) = address(family, 0);
    ok(sys!(SYS_bind, server, &any, len));
    ok(sys!(SYS_listen, server, 5));
    let (there, _) = address(family, port_of(server));
    let client = ok(sys!(SYS_socket, family, SOCK_STREAM, IPPROTO_TCP));
    ok(sys!(SYS_connect, client, &there, len));
    let (mut peer, mut peer_len) = ([0_u8; 28], [28_u32]);
    let accepted = ok(sys!(
        SYS_accept4,
        server,
        &mut peer,
        &mut peer_len,
        SOCK_CLOEXEC | SOCK_NONBLOCK
    ));
    ok(sys!(SYS_getpeername, client, &mut peer, &mut [28_u32]));
    ok(sys!(SYS_sendto, client, b"hello", 5, MSG_NOSIGNAL, 0, 0));
    ok(sys!(SYS_recvfrom, accepted, &mut [0_u8; 9], 9, MSG_DONTWAIT, 0, 0));
    ok(sys!(SYS_write, accepted, b"there", 5));
    ok(sys!(SYS_read, client, &mut [0_u8; 9], 9));
    sys!(SYS_recvfrom, accepted, &mut [0_u8; 9], 9, MSG_DONTWAIT | MSG_PEEK, 0, 0);
    ok(sys!(
        SYS_getsockopt,
        client,
        SOL_SOCKET,
        SO_ERROR,
        &mut [0_i32],
        &mut [4_u32]
    ));
    ok(sys!(SYS_setsockopt, client, IPPROTO_TCP, TCP_NODELAY, &[1_i32], 4));
    ok(sys!(SYS_shutdown, client, SHUT_WR));
    let again = ok(sys!(SYS_socket, family, SOCK_STREAM, 0));
    ok(sys!(SYS_connect, again, &there, len));
    let second = ok(sys!(SYS_accept, server, 0, 0));
    // Of a connection that a child was given, and through a copy.
    let child = fork(|| {
        let copy = ok(sys!(SYS_dup, second));
        sys!(SYS_write, copy, b"x", 1);
    });
    wait(child);
    for fd in [client, accepted, again, second, server] {
        ok(sys!(SYS_close, fd));
    }
}

/// A socket of the sixth version that speaks the fourth.
fn mapped() {
    let server = ok(sys!(SYS_socket, AF_INET, SOCK_STREAM, 0));
    let (any, len) = address(AF_INET, 0);
    ok(sys!(SYS_bind, server, &any, len));
    ok(sys!(SYS_listen, server, 1));
    let client = ok(sys!(SYS_socket, AF_INET6, SOCK_STREAM, 0));
    let (mut there, len) = address(AF_INET6, port_of(server));
    there[8..24].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1]);
    ok(sys!(SYS_connect, client, &there, len));
    ok(sys!(SYS_write, client, b"x", 1));
}

fn refused() {
    let fd = ok(sys!(SYS_socket, AF_INET, SOCK_STREAM, 0));
    let (there, len) = address(AF_INET, 1);
    sys!(SYS_connect, fd, &there, len);
    sys!(SYS_connect, fd, &there, 3);
    sys!(SYS_connect, 777, &there, len);
    sys!(SYS_connect, fd, 8, len);
    sys!(SYS_bind, fd, &there, 2);
    sys!(SYS_accept, fd, 0, 0);
    sys!(SYS_getpeername, fd, &mut [0_u8; 28], &mut [28_u32]);
    let fd = ok(sys!(SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    sys!(SYS_connect, fd, &there, len);
    sys!(SYS_socket, 9999, SOCK_STREAM, 0);
    sys!(SYS_sendto, 0, b"x", 1, 0, 0, 0);
}

/// `struct msghdr`, `struct mmsghdr`: name, its length, vector, its length, control, its length, flags, result.
fn message(name: &[u8], vector: &[u64; 2]) -> [u64; 8] {
    [
        name.as_ptr() as u64,
        name.len() as u64,
        vector.as_ptr() as u64,
        1,
        0,
        0,
        0,
        0,
    ]
}

fn datagrams(family: i32) {
    let (any, len) = address(family, 0);
    let receiver = ok(sys!(SYS_socket, family, SOCK_DGRAM, 0));
    ok(sys!(SYS_bind, receiver, &any, len));
    let (there, _) = address(family, port_of(receiver));
    let sender = ok(sys!(SYS_socket, family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP));
    ok(sys!(SYS_sendto, sender, b"one", 3, 0, &there, len));
    let (mut from, mut from_len) = ([0_u8; 28], [28_u32]);
    ok(sys!(
        SYS_recvfrom,
        receiver,
        &mut [0_u8; 9],
        9,
        0,
        &mut from,
        &mut from_len
    ));
    let vector = [b"two".as_ptr() as u64, 3];
    let mut to = message(&there[..len as usize], &vector);
    ok(sys!(SYS_sendmsg, sender, &to, MSG_CONFIRM));
    let mut room = [0_u8; 64];
    let vector = [room.as_mut_ptr() as u64, 64];
    ok(sys!(SYS_recvmsg, receiver, &mut message(&from, &vector), MSG_DONTWAIT));
    ok(sys!(SYS_sendmmsg, sender, &mut to, 1, 0));
    ok(sys!(
        SYS_recvmmsg,
        receiver,
        &mut message(&from, &vector),
        1,
        MSG_DONTWAIT,
        0
    ));
    ok(sys!(SYS_connect, sender, &there, len));
    ok(sys!(SYS_write, sender, b"x", 1));
    ok(sys!(SYS_sendto, sender, b"x", 1, 0, 0, 0));
    // Taken back.
    ok(sys!(SYS_connect, sender, &[0_u8; 16], 16));
    ok(sys!(SYS_getsockname, sender, &mut from, &mut [28_u32]));
    sys!(SYS_write, sender, b"x", 1);
}

fn name(name: &[u8]) -> Vec<u8> {
    [&(AF_UNIX as u16).to_ne_bytes(), name].concat()
}

fn unix(address: &[u8]) {
    let server = ok(sys!(SYS_socket, AF_UNIX, SOCK_STREAM, 0));
    ok(sys!(SYS_bind, server, address, address.len()));
    ok(sys!(SYS_listen, server, 1));
    let client = ok(sys!(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ok(sys!(SYS_connect, client, address, address.len()));
    let (mut peer, mut len) = ([0_u8; 110], [110_u32]);
    let accepted = ok(sys!(SYS_accept, server, &mut peer, &mut len));
    ok(sys!(SYS_write, client, b"x", 1));
    ok(sys!(SYS_read, accepted, &mut [0_u8; 9], 9));
    ok(sys!(SYS_getsockname, server, &mut peer, &mut [110_u32]));
    ok(sys!(SYS_getpeername, client, &mut peer, &mut [110_u32]));
    sys!(SYS_bind, client, address, address.len());
    let nobody = name(b"nobody.sock\0");
    let lonely = ok(sys!(SYS_socket, AF_UNIX, SOCK_DGRAM, 0));
    sys!(SYS_connect, lonely, &nobody[..], nobody.len());
    sys!(SYS_sendto, lonely, b"x", 1, 0, &nobody[..], nobody.len());
}

fn pairs() {
    let mut pair = [0_i32; 2];
    ok(sys!(
        SYS_socketpair,
        AF_UNIX,
        SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
        0,
        &mut pair
    ));
    ok(sys!(SYS_write, pair[0], b"x", 1));
    ok(sys!(SYS_read, pair[1], &mut [0_u8; 9], 9));
    sys!(SYS_socketpair, AF_INET, SOCK_STREAM, 0, &mut pair);
}

fn netlink() {
    let fd = ok(sys!(SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    let mut address = [0_u8; 12];
    address[..2].copy_from_slice(&(AF_NETLINK as u16).to_ne_bytes());
    address[8] = 1;
    ok(sys!(SYS_bind, fd, &address, 12));
    ok(sys!(SYS_getsockname, fd, &mut [0_u8; 12], &mut [12_u32]));
    address[8] = 0;
    sys!(SYS_sendto, fd, &[0_u8; 16], 16, 0, &address, 12);
    sys!(
        SYS_recvfrom,
        fd,
        &mut [0_u8; 64],
        64,
        MSG_DONTWAIT,
        &mut [0_u8; 12],
        &mut [12_u32]
    );
}

fn others() {
    let raw = sys!(SYS_socket, AF_INET, SOCK_RAW, IPPROTO_ICMP);
    sys!(SYS_setsockopt, raw, SOL_SOCKET, SO_BROADCAST, &[1_i32], 4);
    let packet = sys!(SYS_socket, AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    sys!(SYS_getsockopt, packet, SOL_SOCKET, SO_TYPE, &mut [0_i32], &mut [4_u32]);
    // struct sockaddr_ll: family, protocol (ETH_P_ALL), interface (the loop), hardware, kind, length, address.
    let mut link = [0_u8; 20];
    link[..2].copy_from_slice(&(AF_PACKET as u16).to_ne_bytes());
    link[3] = 3;
    link[4] = 1;
    sys!(SYS_bind, packet, &link, 20);
    sys!(SYS_getsockname, packet, &mut [0_u8; 20], &mut [20_u32]);
    sys!(SYS_bind, packet, &link, 9);
}

#[test]
fn sockets_as_root() {
    let Some(compared) = compare::scene("families::sockets", "sockets", CALLS) else {
        return;
    };
    for (call, role) in [("connect", Role::Client), ("accept4", Role::Server)] {
        let (_, seen) = compared
            .calls(call)
            .into_iter()
            .find(|(c, _)| c.succeeded() && c.text.contains("AF_INET"))
            .unwrap();
        let fd = seen.fd.as_ref().unwrap();
        let socket = fd.socket.unwrap();
        // Both ends, at the call itself, where the caller named one.
        assert!(
            socket.is_connected() && socket.local.port() != 0 && socket.local.ip().is_loopback(),
            "{}",
            seen.line
        );
        assert_eq!(
            (socket.role, socket.protocol, fd.kind),
            (role, 6, FdKind::Ipv4),
            "{}",
            seen.line
        );
    }
    // A datagram socket has the ends that the kernel says, connected or no more.
    for (call, seen) in compared
        .calls("getsockname")
        .iter()
        .chain(&compared.calls("getpeername"))
    {
        let (Some(socket), Some(Value::Str(told))) = (seen.fd.as_ref().unwrap().socket, seen.args.get("addr")) else {
            continue;
        };
        let end = if call.name == "getsockname" {
            socket.local
        } else {
            socket.remote
        };
        assert_eq!(end.to_string().as_bytes(), told, "{}", call.text);
    }
    let (_, refused) = compared
        .calls("connect")
        .into_iter()
        .find(|(c, _)| c.text.contains("ECONNREFUSED"))
        .unwrap();
    assert_eq!(
        refused.fd.as_ref().unwrap().socket.unwrap().remote.to_string(),
        "127.0.0.1:1"
    );
}

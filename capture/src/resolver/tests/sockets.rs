//! Sockets and their ends.

use super::world::{Seen, World};
use ctrace_trace::fd::{FdKind, Role, Socket};
use ctrace_wire::section;

fn inet(ip: [u8; 4], port: u16) -> Vec<u8> {
    [&2u16.to_ne_bytes()[..], &port.to_be_bytes(), &ip, &[0; 8]].concat()
}

fn inet6(ip: &str, port: u16) -> Vec<u8> {
    let ip: std::net::Ipv6Addr = ip.parse().unwrap();
    [
        &10u16.to_ne_bytes()[..],
        &port.to_be_bytes(),
        &[0; 4],
        &ip.octets(),
        &[0; 4],
    ]
    .concat()
}

fn kernel(local: ([u8; 4], u16), remote: ([u8; 4], u16)) -> section::Socket {
    let wide = |ip: [u8; 4]| {
        let mut out = [0; 16];
        out[..4].copy_from_slice(&ip);
        out
    };
    section::Socket {
        family: 2,
        kind: 1,
        protocol: 6,
        state: 1,
        local_port: local.1,
        remote_port: remote.1,
        ino: 4242,
        local: wide(local.0),
        remote: wide(remote.0),
        ..section::Socket::default()
    }
}

#[track_caller]
fn socket(seen: &Seen) -> Socket {
    seen.fd
        .as_ref()
        .expect("a descriptor")
        .socket
        .expect("an internet socket")
}

fn tuple(seen: &Seen) -> String {
    let s = socket(seen);
    format!("{}->{} {:?} {}", s.local, s.remote, s.role, s.l4proto())
}

#[test]
fn a_client_gets_both_ends_from_the_kernel() {
    let mut w = World::new();
    let made = w.plain(10, "socket", 3, &[2, 0x80001, 0]);
    assert_eq!(tuple(&made), "0.0.0.0:0->0.0.0.0:0 Unknown tcp");
    let call = w
        .call(10, "connect", -115, &[3, 1, 16])
        .part(section::SOCKADDR, 1, &inet([10, 0, 0, 1], 443));
    let seen = call.socket(&kernel(([10, 0, 0, 9], 5555), ([10, 0, 0, 1], 443))).go();
    assert_eq!(tuple(&seen), "10.0.0.9:5555->10.0.0.1:443 Client tcp");
    assert_eq!(seen.arg("addr"), "10.0.0.1:443");
    let fd = seen.fd.as_ref().unwrap();
    assert_ne!(fd.id, made.fd.as_ref().unwrap().id, "a changed socket is a new entry");
    assert_eq!(fd.ino, 4242);
    assert_eq!(w.plain(10, "write", 5, &[3]).fd.unwrap().id, fd.id);
    w.exec(10, "/bin/x", "x");
    assert!(w.plain(10, "write", -9, &[3]).fd.is_none(), "SOCK_CLOEXEC");
}

#[test]
fn a_refused_connection_shows_whom_it_was_meant_for() {
    let mut w = World::new();
    w.plain(10, "socket", 3, &[2, 1, 0]);
    let seen = w
        .call(10, "connect", -111, &[3, 1, 16])
        .part(section::SOCKADDR, 1, &inet([1, 2, 3, 4], 4444))
        .go();
    assert_eq!(tuple(&seen), "0.0.0.0:0->1.2.3.4:4444 Client tcp");
}

#[test]
fn a_server_hands_its_end_to_what_it_accepts() {
    let mut w = World::new();
    w.plain(10, "socket", 3, &[2, 1, 0]);
    w.call(10, "bind", 0, &[3, 1, 16])
        .part(section::SOCKADDR, 1, &inet([0, 0, 0, 0], 80))
        .go();
    let seen = w.plain(10, "listen", 0, &[3, 5]);
    assert_eq!(tuple(&seen), "0.0.0.0:80->0.0.0.0:0 Server tcp");
    let seen = w
        .call(10, "accept4", 4, &[3, 1, 1, 0x80000])
        .part(section::SOCKADDR, 1, &inet([9, 9, 9, 9], 999))
        .go();
    assert_eq!(tuple(&seen), "0.0.0.0:80->9.9.9.9:999 Server tcp");
    let call = w.call(10, "accept", 5, &[3, 0, 0]);
    let seen = call.socket(&kernel(([10, 0, 0, 1], 80), ([8, 8, 8, 8], 888))).go();
    assert_eq!(tuple(&seen), "10.0.0.1:80->8.8.8.8:888 Server tcp");
    assert_eq!(
        tuple(&w.plain(10, "read", 1, &[4])),
        "0.0.0.0:80->9.9.9.9:999 Server tcp"
    );
    assert_eq!(socket(&seen).client(), "8.8.8.8:888".parse().unwrap());
    w.exec(10, "/bin/x", "x");
    assert_eq!(w.fds(10).len(), 3 + 2, "only the one with SOCK_CLOEXEC is closed");
}

#[test]
fn datagrams_name_the_other_end() {
    let mut w = World::new();
    w.plain(10, "socket", 3, &[2, 2, 0]);
    let to = inet([8, 8, 8, 8], 53);
    let sent = w
        .call(10, "sendto", 30, &[3, 1, 30, 0, 1, 16])
        .part(section::SOCKADDR, 4, &to)
        .go();
    assert_eq!(tuple(&sent), "0.0.0.0:0->8.8.8.8:53 Client udp");
    let got = w
        .call(10, "recvfrom", 60, &[3, 1, 99, 0, 1, 1])
        .part(section::SOCKADDR, 4, &to)
        .go();
    assert_eq!(got.fd.unwrap().id, sent.fd.unwrap().id, "nothing changed");
    // The kernel has no remote end for it, which takes nothing away.
    let mut k = kernel(([0, 0, 0, 0], 40000), ([0, 0, 0, 0], 0));
    (k.kind, k.protocol) = (2, 17);
    let sent = w
        .call(10, "sendmsg", 30, &[3, 1, 0])
        .part(section::SOCKADDR, 1, &to)
        .socket(&k)
        .go();
    assert_eq!(tuple(&sent), "0.0.0.0:40000->8.8.8.8:53 Client udp");
    w.plain(10, "socket", 4, &[2, 2, 0]);
    w.call(10, "bind", 0, &[4, 1, 16])
        .part(section::SOCKADDR, 1, &inet([0; 4], 514))
        .go();
    let got = w
        .call(10, "recvfrom", 60, &[4, 1, 99, 0, 1, 1])
        .part(section::SOCKADDR, 4, &inet([7; 4], 77))
        .go();
    assert_eq!(tuple(&got), "0.0.0.0:514->7.7.7.7:77 Server udp");
}

#[test]
fn version_six_and_what_it_maps() {
    let mut w = World::new();
    w.plain(10, "socket", 3, &[10, 1, 0]);
    let seen = w
        .call(10, "connect", 0, &[3, 1, 28])
        .part(section::SOCKADDR, 1, &inet6("2001:db8::1", 80))
        .go();
    assert_eq!(tuple(&seen), "[::]:0->[2001:db8::1]:80 Client tcp");
    assert_eq!(seen.fd.as_ref().unwrap().kind, FdKind::Ipv6);
    w.plain(10, "socket", 4, &[10, 1, 0]);
    let seen = w
        .call(10, "connect", 0, &[4, 1, 28])
        .part(section::SOCKADDR, 1, &inet6("::ffff:1.2.3.4", 80))
        .go();
    assert_eq!(tuple(&seen), "0.0.0.0:0->1.2.3.4:80 Client tcp");
    assert_eq!(seen.fd.as_ref().unwrap().kind, FdKind::Ipv4);
}

#[test]
fn unix_sockets_have_absolute_names() {
    let mut w = World::new();
    for (name, bytes, want) in [
        ("connect", &b"\x01\0/run/docker.sock\0"[..], "/run/docker.sock"),
        ("connect", b"\x01\0x.sock\0", "/home/u/x.sock"),
        ("connect", b"\x01\0\0/abstract", "@/abstract"),
        ("bind", b"\x01\0/run/own", "/run/own"),
    ] {
        w.plain(10, "socket", 3, &[1, 1, 0]);
        let seen = w
            .call(10, name, 0, &[3, 1, bytes.len() as i64])
            .part(section::SOCKADDR, 1, bytes)
            .go();
        assert_eq!(seen.fd_name(), want);
        assert_eq!(seen.fd.unwrap().kind, FdKind::Unix);
    }
}

#[test]
fn a_socket_older_than_the_recording_is_known_by_its_call() {
    let mut w = World::new();
    let seen = w
        .call(10, "connect", 0, &[9, 1, 16])
        .part(section::SOCKADDR, 1, &inet([1, 1, 1, 1], 853))
        .go();
    assert_eq!(tuple(&seen), "0.0.0.0:0->1.1.1.1:853 Client <NA>");
    let call = w
        .call(10, "connect", 0, &[8, 1, 16])
        .part(section::SOCKADDR, 1, &inet([1, 1, 1, 1], 853));
    let seen = call.socket(&kernel(([10, 0, 0, 9], 5555), ([1, 1, 1, 1], 853))).go();
    assert_eq!(tuple(&seen), "10.0.0.9:5555->1.1.1.1:853 Client tcp");
    let seen = w
        .call(10, "connect", 0, &[7, 1, 16])
        .part(section::SOCKADDR, 1, b"\x01\0/run/x")
        .go();
    assert_eq!(
        (seen.fd_name().as_str(), seen.fd.unwrap().kind),
        ("/run/x", FdKind::Unix)
    );
}

#[test]
fn other_families_are_named_by_their_address() {
    let mut w = World::new();
    w.plain(10, "socket", 3, &[16, 3, 9]);
    let address = [&[16u8, 0, 0, 0][..], &0u32.to_ne_bytes(), &1u32.to_ne_bytes()].concat();
    let seen = w
        .call(10, "bind", 0, &[3, 1, 12])
        .part(section::SOCKADDR, 1, &address)
        .go();
    assert_eq!(
        (seen.fd_name().as_str(), seen.fd.unwrap().kind),
        ("netlink:0:0x1", FdKind::Netlink)
    );
    assert_eq!(socket(&w.plain(10, "socket", 4, &[2, 3, 1])).role, Role::Unknown);
}

/// After a refusal the kernel has the peer's address but no port; a descriptor that is not open is nobody's.
#[test]
fn a_refused_peer_keeps_its_port() {
    let mut w = World::new();
    w.plain(10, "socket", 3, &[2, 1, 0]);
    let call = w
        .call(10, "connect", -111, &[3, 1, 16])
        .part(section::SOCKADDR, 1, &inet([127, 0, 0, 1], 9));
    let seen = call.socket(&kernel(([0; 4], 0), ([127, 0, 0, 1], 0))).go();
    assert_eq!(tuple(&seen), "0.0.0.0:0->127.0.0.1:9 Client tcp");
    let call = w
        .call(10, "connect", -9, &[7, 1, 16])
        .part(section::SOCKADDR, 1, &inet([127, 0, 0, 1], 9));
    assert!(call.go().fd.is_none());
}

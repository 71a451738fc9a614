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

/// A datagram socket, as the kernel sees it when it is connected, or has no other end.
fn datagram(family: u16, remote: Option<([u8; 4], u16)>) -> section::Socket {
    section::Socket {
        family,
        kind: 2,
        protocol: if family == 2 { 17 } else { 0 },
        state: if remote.is_some() { 1 } else { 7 },
        ..kernel(([127, 0, 0, 1], 4000), remote.unwrap_or_default())
    }
}

#[test]
fn what_is_sent_past_the_peer_shows_where_it_went() {
    let (peer, other) = (([127, 0, 0, 2], 2000), inet([127, 0, 0, 3], 3003));
    let k = datagram(2, Some(peer));
    let mut w = World::new();
    w.plain(10, "socket", 3, &[2, 2, 0]);
    let call = w
        .call(10, "connect", 0, &[3, 1, 16])
        .part(section::SOCKADDR, 1, &inet(peer.0, peer.1));
    let connected = call.socket(&k).go();
    for (name, arg) in [("sendto", 4), ("sendmsg", 1)] {
        let call = w.call(10, name, 1, &[3, 1, 1, 0, 1, 16]);
        let seen = call.part(section::SOCKADDR, arg, &other).socket(&k).go();
        assert_eq!(tuple(&seen), "127.0.0.1:4000->127.0.0.3:3003 Client udp", "{name}");
        assert_eq!(seen.arg("addr"), "127.0.0.3:3003");
        let seen = w.call(10, name, 1, &[3, 1, 1, 0, 0, 0]).socket(&k).go();
        assert_eq!(
            seen.fd.unwrap().id,
            connected.fd.as_ref().unwrap().id,
            "stays connected"
        );
        assert_eq!(tuple(&w.plain(10, "write", 1, &[3])), tuple(&connected));
    }
    // A stream goes to its peer, whatever the call names.
    let stream = section::Socket {
        kind: 1,
        protocol: 6,
        ..k
    };
    w.plain(10, "socket", 4, &[2, 1, 0]);
    let call = w.call(10, "sendto", 1, &[4, 1, 1, 0, 1, 16]);
    let seen = call.part(section::SOCKADDR, 4, &other).socket(&stream).go();
    assert_eq!(socket(&seen).remote, "127.0.0.2:2000".parse().unwrap());
}

/// IPv4 takes an address without a family for one of its own; version six takes it for none.
#[test]
fn datagrams_go_to_an_address_without_a_family() {
    let mut other = inet([127, 0, 0, 3], 3003);
    other[0] = 0;
    for (peer, want) in [(None, "Client udp"), (Some(([127, 0, 0, 2], 2000)), "Unknown udp")] {
        let mut w = World::new();
        w.plain(10, "socket", 3, &[2, 2, 0]);
        let call = w.call(10, "sendto", 1, &[3, 1, 1, 0, 1, 16]);
        let seen = call.part(section::SOCKADDR, 4, &other).socket(&datagram(2, peer)).go();
        assert_eq!(tuple(&seen), format!("127.0.0.1:4000->127.0.0.3:3003 {want}"));
        assert_eq!(seen.arg("addr"), "127.0.0.3:3003");
    }
    let mut w = World::new();
    w.plain(10, "socket", 3, &[10, 2, 0]);
    let call = w.call(10, "sendto", 1, &[3, 1, 1, 0, 1, 16]);
    let k = section::Socket {
        protocol: 17,
        ..datagram(10, None)
    };
    let seen = call.part(section::SOCKADDR, 4, &other).socket(&k).go();
    assert_eq!(seen.arg("addr"), "-");
}

#[test]
fn what_connects_a_socket_tells_all_that_were_forked_with_it() {
    let mut w = World::new();
    let k = kernel(([10, 0, 0, 9], 5555), ([10, 0, 0, 1], 443));
    let unconnected = section::Socket {
        state: 7,
        ..kernel(([0; 4], 0), ([0; 4], 0))
    };
    w.call(10, "socket", 3, &[2, 1, 0]).socket(&unconnected).go();
    w.fork(10, 11);
    w.plain(11, "dup2", 77, &[3, 77]);
    let call = w.call(11, "connect", 0, &[77, 1, 16]);
    call.part(section::SOCKADDR, 1, &inet([10, 0, 0, 1], 443))
        .socket(&k)
        .go();
    for (pid, fd) in [(11, 77), (11, 3), (10, 3)] {
        let seen = w.plain(pid, "write", 1, &[fd]);
        assert_eq!(tuple(&seen), "10.0.0.9:5555->10.0.0.1:443 Client tcp");
    }
}

#[test]
fn all_messages_of_a_call_say_where_they_went() {
    let mut w = World::new();
    w.plain(10, "socket", 3, &[2, 2, 0]);
    let [one, two, three] = [1, 2, 3].map(|n| inet([10, 0, 0, n], 53));
    let call = w.call(10, "sendmmsg", 3, &[3, 1, 3, 0]);
    let call = call.part(section::SOCKADDR, 1, &one).part(section::SOCKADDR, 1, &two);
    let seen = call.part(section::SOCKADDR, 1, &three).go();
    assert_eq!(
        (seen.arg("addr"), seen.arg("others")),
        ("10.0.0.1:53", "10.0.0.2:53, 10.0.0.3:53")
    );
    let call = w.call(10, "sendmmsg", 9, &[3, 1, 9, 0]);
    let call = call.part(section::SOCKADDR, 1, &one);
    let seen = call.part(section::SOCKADDR, 1, &two).go();
    assert_eq!(seen.arg("others"), "10.0.0.2:53, ...");
    let call = w.call(10, "sendmmsg", 1, &[3, 1, 1, 0]);
    assert_eq!(call.part(section::SOCKADDR, 1, &one).go().arg("others"), "-");
}

#[test]
fn sockets_of_virtual_machines_have_their_address_as_name() {
    let mut w = World::new();
    let host = [
        &40u16.to_ne_bytes()[..],
        &[0; 2],
        &9999u32.to_ne_bytes(),
        &2u32.to_ne_bytes(),
        &[0; 4],
    ]
    .concat();
    w.plain(10, "socket", 3, &[40, 1, 0]);
    let call = w.call(10, "connect", -110, &[3, 1, 16]);
    let seen = call.part(section::SOCKADDR, 1, &host).go();
    assert_eq!((seen.arg("addr"), &*seen.fd_name()), ("vsock:2:9999", "vsock:2:9999"));
    assert_eq!(seen.fd.unwrap().kind, FdKind::Unknown);
    let call = w.call(10, "accept", 5, &[3, 0, 0]);
    let seen = call.part(section::SOCKADDR, 1, &host).go();
    assert_eq!(seen.fd_name(), "vsock:2:9999");
}

/// A request of io_uring of which another process saw the end: its record has neither the kernel's view nor an address.
#[test]
fn nobody_knows_where_a_request_sends_to() {
    let mut w = World::new();
    w.plain(10, "socket", 3, &[2, 2, 0]);
    let peer = ([127, 0, 0, 2], 2000);
    let call = w
        .call(10, "connect", 0, &[3, 1, 16])
        .part(section::SOCKADDR, 1, &inet(peer.0, peer.1));
    call.socket(&datagram(2, Some(peer))).go();
    let seen = w.plain(10, "sendto", 1, &[3, 1, 1, 0]);
    assert_eq!(tuple(&seen), "127.0.0.1:4000->0.0.0.0:0 Client udp");
    let seen = w.plain(10, "write", 1, &[3]);
    assert_eq!(tuple(&seen), "127.0.0.1:4000->127.0.0.2:2000 Client udp");
}

fn unix(kind: u16, connected: bool) -> section::Socket {
    section::Socket {
        family: 1,
        kind,
        state: if connected { 1 } else { 7 },
        ino: 4242,
        ..section::Socket::default()
    }
}

#[test]
fn the_end_that_was_connected_to_has_the_name_it_was_bound_to() {
    let stream = unix(1, true);
    for (asked, peer, want, raw) in [
        (
            &b"/tmp/x\0"[..],
            &b"\x01\0/run/docker.sock\0"[..],
            "/run/docker.sock",
            "/tmp/x",
        ),
        (b"/tmp/x\0", b"\x01\0/run/./docker.sock\0", "/run/docker.sock", "/tmp/x"),
        (b"x\0", b"\x01\0/home/u/x\0", "/home/u/x", "x"),
        (b"/tmp/x\0", b"\x01\0\0abstract", "@abstract", "/tmp/x"),
        (b"\0abstract", b"\x01\0\0abstract", "@abstract", ""),
        (b"/run/docker.sock", b"\x01\0/run/docker.sock\0", "/run/docker.sock", ""),
        // These do not say where it is.
        (b"/tmp/x\0", b"\x01\0docker.sock\0", "/tmp/x", ""),
        (b"/tmp/x\0", b"\x01\0/tmp/link/../docker.sock\0", "/tmp/x", ""),
        (b"/tmp/x\0", b"\x01\0", "/tmp/x", ""),
        (b"/tmp/x\0", b"", "/tmp/x", ""),
    ] {
        let mut w = World::new();
        w.plain(10, "socket", 3, &[1, 1, 0]);
        let address = [b"\x01\0", asked].concat();
        let call = w
            .call(10, "connect", 0, &[3, 1, 16])
            .part(section::SOCKADDR, 1, &address)
            .socket(&stream);
        let seen = call.part(section::UNIX_PEER, 0, peer).go();
        assert_eq!(seen.fd_name(), want);
        assert_eq!(seen.fd.unwrap().name_raw, raw.as_bytes());
        assert_eq!(w.plain(10, "write", 1, &[3]).fd_name(), want);
    }
}

/// It is connected (`EISCONN`) to one that was bound to a whole name, and to one that was not.
#[test]
fn a_call_that_fails_leaves_a_unix_socket_its_peer() {
    let innocent = b"\x01\0/tmp/innocent\0";
    for peer in [&b"\x01\0/run/docker.sock\0"[..], b"\x01\0docker.sock\0"] {
        let mut w = World::new();
        w.plain(10, "socket", 3, &[1, 1, 0]);
        w.call(10, "connect", 0, &[3, 1, 16])
            .part(section::SOCKADDR, 1, b"\x01\0/run/docker.sock\0")
            .go();
        for (name, arg) in [("connect", 1), ("sendto", 4), ("sendmsg", 1)] {
            let call = w
                .call(10, name, -106, &[3, 1, 16])
                .part(section::SOCKADDR, arg, innocent);
            let seen = call.socket(&unix(1, true)).part(section::UNIX_PEER, 0, peer).go();
            assert_eq!(seen.fd_name(), "/run/docker.sock", "{name}");
            assert_eq!(seen.arg("addr"), "/tmp/innocent");
        }
        assert_eq!(w.plain(10, "write", 1, &[3]).fd_name(), "/run/docker.sock");
    }
}

#[test]
fn unix_datagrams_go_where_the_call_says() {
    let send = |w: &mut World, connected: bool, to: &[u8]| {
        let address = [b"\x01\0", to].concat();
        let call = w.call(10, "sendto", 1, &[3, 1, 1, 0, 1, 16]);
        let call = call.part(section::SOCKADDR, 4, &address).socket(&unix(2, connected));
        call.go().fd_name()
    };
    let mut w = World::new();
    w.plain(10, "socket", 3, &[1, 2, 0]);
    assert_eq!(send(&mut w, false, b"/run/log"), "/run/log");
    assert_eq!(send(&mut w, false, b"log"), "/home/u/log");
    w.call(10, "connect", 0, &[3, 1, 16])
        .part(section::SOCKADDR, 1, b"\x01\0/run/peer\0")
        .go();
    assert_eq!(send(&mut w, true, b"/run/log"), "/run/log");
    assert_eq!(send(&mut w, true, b"\0log"), "@log");
    assert_eq!(w.plain(10, "write", 1, &[3]).fd_name(), "/run/peer", "stays connected");
}

#[test]
fn the_way_to_a_unix_socket_leads_through_links() {
    let mut w = World::new();
    w.call(10, "symlink", 0, &[1, 2])
        .text(0, "/run")
        .text(1, "/tmp/alias")
        .go();
    w.plain(10, "socket", 3, &[1, 1, 0]);
    w.plain(10, "socket", 4, &[1, 2, 0]);
    let address = b"\x01\0/tmp/alias/docker.sock\0";
    for (name, fd, arg) in [("connect", 3, 1), ("sendto", 4, 4)] {
        let call = w.call(10, name, 0, &[fd, 1, 16, 0, 1, 16]);
        let seen = call.part(section::SOCKADDR, arg, address).go();
        assert_eq!(seen.fd_name(), "/run/docker.sock");
        assert_eq!(seen.fd.unwrap().name_raw, b"/tmp/alias/docker.sock");
    }
}

#[test]
fn all_descriptors_of_a_socket_show_whom_it_is_connected_to() {
    let mut w = World::new();
    let of = |ino, remote| section::Socket {
        ino,
        ..datagram(2, remote)
    };
    // Two that look alike.
    w.call(10, "socket", 3, &[2, 2, 0]).socket(&of(1, None)).go();
    w.call(10, "socket", 5, &[2, 2, 0]).socket(&of(2, None)).go();
    for (old, new) in [(3, 4), (3, 100), (5, 6)] {
        w.plain(10, "dup2", new, &[old, new]);
    }
    w.fork(10, 20);
    for (by, remote) in [(3, ([1, 1, 1, 1], 1)), (4, ([2, 2, 2, 2], 2)), (100, ([1, 1, 1, 1], 1))] {
        let call = w.call(10, "connect", 0, &[by, 1, 16]);
        let call = call.part(section::SOCKADDR, 1, &inet(remote.0, remote.1));
        let connected = call.socket(&of(1, Some(remote))).go();
        for fd in [3, 4, 100] {
            assert_eq!(tuple(&w.plain(10, "write", 1, &[fd])), tuple(&connected));
        }
        for fd in [5, 6] {
            assert_eq!(socket(&w.plain(10, "write", 1, &[fd])).remote.port(), 0);
        }
    }
}

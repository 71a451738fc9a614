//! Sockets of 32-bit programs: each call through `socketcall`, which takes its arguments from memory.

use libc::*;

use crate::compare;
use crate::odd::int80;
use crate::scene::{fork, ok, sys, wait};
use crate::seen::Seen;

const CALLS: &[&str] = &[
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
    "socketcall",
];

/// Calls by the numbers of `linux/net.h`.
fn nth(name: &str) -> u32 {
    CALLS.iter().position(|n| *n == name).unwrap() as u32 + 1
}

pub(crate) fn scene() {
    wait(fork(calls));
}

/// A page that 32 bits can address. What lies in it is at fixed places.
struct Low(u32);

const WORDS: u32 = 0;
const ADDRESS: u32 = 0x100;
const PATH: u32 = 0x200;
const FROM: u32 = 0x300;
const LENGTH: u32 = 0x400;
const DATA: u32 = 0x500;

impl Low {
    fn new() -> Low {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT;
        Low(ok(sys!(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, flags, -1, 0)) as u32)
    }

    fn at(&self, place: u32) -> u32 {
        self.0 + place
    }

    fn put(&self, place: u32, bytes: &[u8]) -> u32 {
        // SAFETY: the page is this one's own, and longer than what scenes put there.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.at(place) as *mut u8, bytes.len()) };
        self.at(place)
    }

    fn put_words(&self, place: u32, words: &[u32]) -> u32 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.put(place, &bytes)
    }

    fn byte(&self, place: u32) -> u8 {
        // SAFETY: as above.
        unsafe { (self.at(place) as *const u8).read() }
    }

    fn call(&self, name: &str, words: &[u32]) -> i64 {
        // What is behind the words that a call is given is no argument of it.
        self.put_words(WORDS, &[0x5555; 6]);
        let words = self.put_words(WORDS, words);
        int80(102, [nth(name), words, 0x66, 0x77, 0x88, 0x99])
    }
}

fn calls() {
    let low = Low::new();
    let [tcp, unix] = [AF_INET, AF_UNIX].map(|family| (family as u32, SOCK_STREAM as u32));
    let port_at = |place| u16::from_be_bytes([low.byte(place + 2), low.byte(place + 3)]);
    low.put(DATA, b"some data");
    let (from, length, data) = (low.at(FROM), low.at(LENGTH), low.at(DATA));
    let fresh_length = || low.put_words(LENGTH, &[110]);

    let any = low.put(ADDRESS, b"\x02\0\0\0\x7f\0\0\x01");
    let server = ok(low.call("socket", &[tcp.0, tcp.1, 0])) as u32;
    ok(low.call("setsockopt", &[server, SOL_SOCKET as u32, SO_REUSEADDR as u32, data, 4]));
    ok(low.call("bind", &[server, any, 16]));
    ok(low.call("listen", &[server, 3]));
    fresh_length();
    ok(low.call("getsockname", &[server, from, length]));
    let port = port_at(FROM).to_be_bytes();
    let there = low.put(ADDRESS, &[2, 0, port[0], port[1], 127, 0, 0, 1]);
    let client = ok(low.call("socket", &[tcp.0, tcp.1 | SOCK_CLOEXEC as u32, 0])) as u32;
    ok(low.call("connect", &[client, there, 16]));
    fresh_length();
    let accepted = ok(low.call("accept", &[server, from, length])) as u32;
    ok(low.call("getpeername", &[client, from, length]));
    ok(low.call("send", &[client, data, 9, MSG_NOSIGNAL as u32]));
    ok(low.call("recv", &[accepted, data, 9, 0]));
    fresh_length();
    ok(low.call(
        "getsockopt",
        &[client, SOL_SOCKET as u32, SO_ERROR as u32, from, length],
    ));
    ok(low.call("shutdown", &[client, SHUT_WR as u32]));
    let again = ok(low.call("socket", &[tcp.0, tcp.1, 0])) as u32;
    ok(low.call("connect", &[again, there, 16]));
    fresh_length();
    ok(low.call("accept4", &[server, from, length, SOCK_CLOEXEC as u32]));
    datagrams(&low);

    let path = low.put(PATH, b"\x01\0socketcall.sock\0");
    let server = ok(low.call("socket", &[unix.0, unix.1, 0])) as u32;
    ok(low.call("bind", &[server, path, 18]));
    ok(low.call("listen", &[server, 1]));
    let client = ok(low.call("socket", &[unix.0, unix.1, 0])) as u32;
    ok(low.call("connect", &[client, path, 18]));
    ok(low.call("accept", &[server, 0, 0]));
    ok(low.call("socketpair", &[unix.0, unix.1, 0, from]));

    // What fails, and what is no call at all.
    let closed = low.put(ADDRESS, b"\x02\0\0\x01\x7f\0\0\x01");
    low.call("connect", &[again, closed, 16]);
    low.call("connect", &[777, closed, 16]);
    low.call("connect", &[again, 8, 16]);
    for (call, words) in [
        (0, low.at(WORDS)),
        (21, low.at(WORDS)),
        (u32::MAX, 0),
        (nth("connect"), 8),
    ] {
        int80(102, [call, words, 0, 0, 0, 0]);
    }
}

fn datagrams(low: &Low) {
    let kind = [AF_INET as u32, SOCK_DGRAM as u32, 0];
    let (from, data) = (low.at(FROM), low.at(DATA));
    let length = || low.put_words(LENGTH, &[16]);
    let any = low.put(ADDRESS, b"\x02\0\0\0\x7f\0\0\x01");
    let receiver = ok(low.call("socket", &kind)) as u32;
    ok(low.call("bind", &[receiver, any, 16]));
    ok(low.call("getsockname", &[receiver, any, length()]));
    let sender = ok(low.call("socket", &kind)) as u32;
    ok(low.call("sendto", &[sender, data, 4, 0, any, 16]));
    ok(low.call("recvfrom", &[receiver, data, 9, MSG_DONTWAIT as u32, from, length()]));
    // struct compat_msghdr: name, its length, vector, its length, control, its length, flags; then the result.
    let vector = low.put_words(0x600, &[data, 4]);
    let to = low.put_words(0x700, &[any, 16, vector, 1, 0, 0, 0, 0]);
    let into = low.put_words(0x800, &[from, 16, vector, 1, 0, 0, 0, 0]);
    ok(low.call("sendmsg", &[sender, to, 0]));
    ok(low.call("recvmsg", &[receiver, into, MSG_DONTWAIT as u32]));
    ok(low.call("sendmmsg", &[sender, to, 1, 0]));
    ok(low.call("recvmmsg", &[receiver, into, 1, MSG_DONTWAIT as u32, 0]));
    let [recvmmsg, sendmmsg, sendmsg, recvmsg] = [337, 345, 370, 372];
    ok(int80(sendmsg, [sender, to, 0, 0, 0, 0]));
    ok(int80(recvmsg, [receiver, into, MSG_DONTWAIT as u32, 0, 0, 0]));
    ok(int80(sendmmsg, [sender, to, 1, 0, 0, 0]));
    ok(int80(recvmmsg, [receiver, into, 1, MSG_DONTWAIT as u32, 0, 0]));
    // No address, one of no length and one of a length that cannot be, one that cannot be read, and no message at all.
    for address in [[0, 16], [any, 0], [any, u32::MAX], [8, 16]] {
        let to = low.put_words(0x700, &address);
        int80(sendmsg, [sender, to, 0, 0, 0, 0]);
    }
    int80(sendmsg, [sender, 8, 0, 0, 0, 0]);
}

#[test]
fn socketcall_as_root() {
    let Some(compared) = compare::scene("families::socketcall", "socketcall", CALLS) else {
        return;
    };
    let of = |name: &str| -> Vec<&Seen> { compared.calls(name).into_iter().map(|(_, seen)| seen).collect() };
    for name in CALLS {
        assert!(of(name).iter().all(|seen| seen.spec.id.is_compat()), "{name}");
    }
    let connects = of("connect");
    let socket = |at: usize| connects[at].fd.as_ref().unwrap().socket.unwrap();
    let port = socket(0).remote.port();
    assert_eq!(socket(0).remote.to_string(), format!("127.0.0.1:{port}"));
    let accepted = of("accept")[0];
    assert_eq!((accepted.name(), accepted.num("flags")), ("accept4", Some(0)));
    assert_eq!(accepted.fd.as_ref().unwrap().socket.unwrap().local.port(), port);
    assert_eq!(of("accept4")[0].num("flags"), Some(i64::from(SOCK_CLOEXEC)));
    let unix = connects[2].fd.as_ref().unwrap();
    assert!(unix.name.ends_with(b"/socketcall.sock"), "{unix:?}");
    // An address that cannot be read leaves a connect without one.
    assert!(!connects[5].args.contains_key("addr"));
    // Sent and received directly as by `socketcall`; what follows has no address that could be read.
    for name in ["sendmsg", "recvmsg", "sendmmsg", "recvmmsg"] {
        let all: Vec<_> = of(name).iter().map(|seen| seen.args.get("addr").cloned()).collect();
        assert!(all[0].is_some() && all[0] == all[1], "{name}: {all:?}");
        assert!(all[2..].iter().all(Option::is_none), "{name}: {all:?}");
    }
    let calls: Vec<_> = of("socketcall").iter().filter_map(|seen| seen.num("call")).collect();
    assert_eq!(calls, [0, 21, i64::from(u32::MAX), 3]);
}

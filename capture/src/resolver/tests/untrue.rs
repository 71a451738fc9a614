//! Results that are not what the kernel did: a seccomp filter may answer a call with any number.

use ctrace_wire::record::{SHARED_FILES, SHARED_FS};
use ctrace_wire::section::{self, Credentials};

use super::world::World;

/// A shell (10) that has an innocent file open as 3 and a secret one as 40.
fn two_files() -> World {
    let mut w = World::new();
    w.open(10, "/innocent", 3, 0);
    w.open(10, "/x/secret", 30, 0);
    w.plain(10, "dup2", 40, &[30, 40]);
    w.plain(10, "close", 0, &[30]);
    w
}

/// What the shell has behind a descriptor; `?` where that is unknown.
fn behind(w: &mut World, fd: i64) -> String {
    w.plain(10, "fstat", 0, &[fd]).fd_name()
}

/// Which descriptors are open, as the kernel tells it.
fn open(fds: &[usize]) -> Vec<u8> {
    let mut bits = vec![0; 32];
    fds.iter().for_each(|fd| bits[fd / 8] |= 1 << (fd % 8));
    bits
}

#[test]
fn what_is_still_open_was_not_closed() {
    let mut w = two_files();
    let closed = w.call(10, "close", 0, &[40]).untrue().file("/x/secret", 5).go();
    assert_eq!((closed.fd_num, closed.fd_name()), (Some(40), "/x/secret".to_owned()));
    assert_eq!(behind(&mut w, 40), "/x/secret");
    w.call(10, "close", 0, &[3]).untrue().file("/another", 6).go();
    assert_eq!(
        behind(&mut w, 3),
        "/another",
        "that of another thread, which was quicker"
    );
}

#[test]
fn a_copy_is_one_only_where_both_are_the_same() {
    for (name, args) in [
        ("dup", [3, 0, 0]),
        ("dup2", [3, 40, 0]),
        ("dup3", [3, 40, 0]),
        ("fcntl", [3, 0, 40]),
    ] {
        let mut w = two_files();
        let made_up = w.call(10, name, 40, &args).untrue();
        made_up.file("/x/secret", 5).go();
        assert_eq!(behind(&mut w, 40), "/x/secret", "{name}");
        w.call(10, name, 50, &args).untrue().go();
        assert_eq!(behind(&mut w, 50), "?", "{name}: nothing is open there");
        w.call(10, name, 40, &args).untrue().go();
        assert_eq!(behind(&mut w, 40), "?", "{name}: nor there any more");
        w.plain(10, name, 40, &args);
        assert_eq!(behind(&mut w, 40), "/innocent", "{name}");
    }
}

#[test]
fn what_was_made_is_what_the_kernel_has() {
    for (name, args) in [
        ("eventfd2", [0, 0]),
        ("epoll_create1", [0, 0]),
        ("memfd_create", [1, 0]),
    ] {
        let mut w = two_files();
        w.call(10, name, 40, &args).text(0, "m").file("/x/secret", 5).go();
        assert_eq!(behind(&mut w, 40), "/x/secret", "{name}");
    }
    let mut w = two_files();
    let event = w.call(10, "eventfd2", 4, &[0, 0]).pseudo("[eventfd]").go();
    assert_eq!(event.fd_name(), "anon_inode:[eventfd]");
    let event = w.call(10, "eventfd2", 5, &[0, 0]).pseudo("[io_uring]").go();
    assert_eq!(event.fd_name(), "anon_inode:[io_uring]");
    let event = w.call(10, "fsopen", 6, &[0, 0]).pseudo("[otherwise]").go();
    assert_eq!(event.fd_name(), "anon_inode:[fscontext]");
    let memory = w.call(10, "memfd_create", 7, &[1, 0]).text(0, "told");
    assert_eq!(memory.pseudo("memfd:made").go().fd_name(), "memfd:made");
}

#[test]
fn nothing_is_behind_a_number_that_was_made_up() {
    let mut w = two_files();
    for name in ["socket", "eventfd2", "accept4"] {
        assert_eq!(w.call(10, name, 40, &[1, 1]).untrue().go().fd_name(), "?", "{name}");
        w.open(10, "/y", 40, 0);
    }
    w.call(10, "openat", 8, &[-100, 1, 0])
        .text(1, "/innocent")
        .untrue()
        .go();
    assert_eq!(behind(&mut w, 8), "?");
    for name in ["pipe2", "socketpair"] {
        let at = if name == "pipe2" { 0 } else { 3 };
        w.call(10, name, 0, &[1, 1, 0, 1]).pair(at, [40, 41]).untrue().go();
        assert_eq!([40, 41].map(|fd| behind(&mut w, fd)), ["/y", "?"], "{name}");
    }
    assert_eq!(behind(&mut w, 0), "/dev/pts/0");
}

#[test]
fn a_socket_of_another_process_is_what_the_kernel_says() {
    let mut w = two_files();
    let mut remote = [0; 16];
    remote[..4].copy_from_slice(&[192, 0, 2, 1]);
    let socket = section::Socket {
        family: libc::AF_INET as u16,
        kind: libc::SOCK_STREAM as u16,
        state: 1,
        local_port: 1000,
        remote_port: 443,
        ino: 9,
        remote,
        ..section::Socket::default()
    };
    let taken = w.call(10, "pidfd_getfd", 7, &[3, 5, 0]).socket(&socket).go();
    let port = taken.fd.expect("a socket").socket.expect("its ends").remote.port();
    assert_eq!(port, 443);
}

#[test]
fn of_a_range_that_is_closed_stays_what_is_open() {
    let mut w = two_files();
    let mut call = |bits: &[usize], args: &[i64]| {
        w.call(10, "close_range", 0, args)
            .part(section::OPEN_FDS, 0, &open(bits))
            .go();
        w.fds(10).len()
    };
    assert_eq!(call(&[0, 1, 2, 3, 40], &[3, 0xFFFF_FFFF, 0]), 5);
    assert_eq!(call(&[0, 1, 2, 3], &[3, 0xFFFF_FFFF, 0]), 4);
    assert_eq!(call(&[0, 1, 2], &[3, 0xFFFF_FFFF, 0]), 3);
}

#[test]
fn a_program_has_what_the_kernel_left_open() {
    let mut w = two_files();
    w.plain(10, "fcntl", 0, &[3, 2, 1]);
    w.open(10, "/far", 300, libc::O_CLOEXEC);
    w.open(10, "/far/kept", 301, 0);
    // By `ioctl(FIOCLEX)` and its contrary, of which there are no records.
    w.open_fds = open(&[0, 1, 2, 3]);
    w.exec(10, "/bin/x", "x");
    let files = |w: &World| w.fds(10).split_off(3);
    assert_eq!(files(&w), ["3 /innocent", "301 /far/kept"]);
    w.open_fds = Vec::new();
    w.exec(10, "/bin/y", "y");
    assert_eq!(files(&w), ["3 /innocent", "301 /far/kept"], "the mark was taken off");
}

#[test]
fn what_is_shared_was_not_left() {
    for (shared, name) in [(SHARED_FS | SHARED_FILES, "/both"), (0, "?")] {
        let mut w = World::new();
        w.thread(10, 10, 11);
        let told = Credentials {
            shared,
            ..Credentials::default()
        };
        let kinds = i64::from(libc::CLONE_FILES | libc::CLONE_FS);
        w.call(10, "unshare", 0, &[kinds]).by(11).credentials(&told).go();
        w.call(10, "openat", 9, &[-100, 1, 0])
            .by(11)
            .text(1, "/both")
            .file("/both", 5)
            .go();
        assert_eq!(behind(&mut w, 9), name);
        w.call(10, "chdir", 0, &[1]).by(11).text(0, "/moved").cwd("/moved").go();
        let cwd = if shared == 0 { "/home/u" } else { "/moved" };
        assert_eq!(w.image(10).cwd, cwd.as_bytes());

        let mut w = World::new();
        w.thread(10, 10, 11);
        let arg = u8::from(shared != 0) * section::TABLE_SHARED;
        let call = w.call(10, "close_range", 0, &[100, 200, 2]).by(11);
        call.part(section::OPEN_FDS, arg, &open(&[0, 1, 2])).go();
        w.call(10, "openat", 9, &[-100, 1, 0])
            .by(11)
            .text(1, "/both")
            .file("/both", 5)
            .go();
        assert_eq!(behind(&mut w, 9), name);
    }
}

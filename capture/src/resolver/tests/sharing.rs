//! Processes that share directories and descriptors, and threads that do not.

use ctrace_wire::record::{self, FLAG_UNSEEN, Fork, SHARED_FILES, SHARED_FS};

use super::world::{World, bytes};
use crate::resolver::{Config, NoHost};

const BOTH: u32 = SHARED_FS | SHARED_FILES;

/// A shell (10) with a child (11) that shares these with it.
fn pair(shared: u32) -> World {
    let mut w = World::new();
    child(&mut w, 10, 11, shared);
    w
}

fn child(w: &mut World, parent: u32, pid: u32, shared: u32) {
    w.shared = shared;
    w.fork(parent, pid);
    w.shared = 0;
}

/// A thread that shares these with its maker.
fn thread(w: &mut World, pid: u32, by: u32, tid: u32, shared: u32) {
    let header = w.header(pid, by);
    let fork = Fork {
        child_tgid: pid,
        child_tid: tid,
        child_start: header.ts - 1,
        child_cgroup: w.cgroup,
        shared,
        header,
        ..Fork::default()
    };
    w.feed(&bytes(record::KIND_FORK, &fork, &[]));
}

fn chdir(w: &mut World, pid: u32, tid: u32, to: &str) {
    w.call(pid, "chdir", 0, &[1]).text(0, to).by(tid).go();
}

/// The directory from which a thread's paths begin.
fn cwd(w: &mut World, pid: u32, tid: u32) -> String {
    let seen = w.call(pid, "access", -2, &[1]).text(0, "x").by(tid).go();
    let path = seen.arg("name").strip_suffix("/x <- x").expect("a path").to_owned();
    assert!(path.as_bytes().ends_with(&seen.image().cwd), "{path}");
    path
}

fn open(w: &mut World, pid: u32, tid: u32, path: &str, fd: i64) {
    let call = w.call(pid, "openat", fd, &[-100, 1, 0]).text(1, path).file(path, 5);
    call.by(tid).go();
}

fn close(w: &mut World, pid: u32, tid: u32, fd: i64) -> String {
    w.call(pid, "close", 0, &[fd]).by(tid).go().fd_name()
}

/// What a thread has behind a descriptor.
fn behind(w: &mut World, pid: u32, tid: u32, fd: i64) -> String {
    w.call(pid, "fsync", 0, &[fd]).by(tid).go().fd_name()
}

#[test]
fn a_shared_directory_changes_for_all() {
    let mut w = pair(SHARED_FS);
    chdir(&mut w, 11, 11, "/usr");
    assert_eq!(cwd(&mut w, 10, 10), "/usr");
    chdir(&mut w, 10, 10, "bin");
    assert_eq!(cwd(&mut w, 11, 11), "/usr/bin");
    w.call(11, "chroot", 0, &[1]).text(0, "/jail").go();
    let seen = w.call(10, "access", -2, &[1]).text(0, "/etc/x").go();
    assert_eq!(seen.arg("name"), "/jail/etc/x <- /etc/x");
    open(&mut w, 11, 11, "/f", 3);
    assert_eq!(behind(&mut w, 10, 10, 3), "?", "descriptors are each one's own");
}

#[test]
fn a_shared_table_changes_for_all() {
    let mut w = pair(SHARED_FILES);
    open(&mut w, 11, 11, "/a", 3);
    assert_eq!(behind(&mut w, 10, 10, 3), "/a");
    assert_eq!(close(&mut w, 10, 10, 3), "/a");
    assert_eq!(behind(&mut w, 11, 11, 3), "?");
    open(&mut w, 10, 10, "/b", 3);
    w.plain(10, "dup2", 9, &[3, 9]);
    assert_eq!(behind(&mut w, 11, 11, 9), "/b");
    w.plain(11, "close_range", 0, &[4, 100, 0]);
    assert_eq!(behind(&mut w, 10, 10, 9), "?");
    w.call(10, "pipe2", 0, &[1, 0]).pair(0, [4, 5]).go();
    assert_eq!(behind(&mut w, 11, 11, 5), "pipe");
    let all = [
        "0 /dev/pts/0",
        "1 /dev/pts/0",
        "2 /dev/pts/0",
        "3 /b",
        "4 pipe",
        "5 pipe",
    ];
    assert_eq!((w.fds(10), w.fds(11)), (all.map(str::to_owned).into(), w.fds(10)));
    chdir(&mut w, 11, 11, "/usr");
    assert_eq!(cwd(&mut w, 10, 10), "/home/u", "directories are each one's own");
}

#[test]
fn children_of_children_share_too_and_ends_change_nothing() {
    let mut w = pair(BOTH);
    child(&mut w, 11, 12, BOTH);
    child(&mut w, 12, 13, 0);
    open(&mut w, 12, 12, "/a", 3);
    chdir(&mut w, 12, 12, "/usr");
    w.exit(12, 0);
    assert_eq!(behind(&mut w, 10, 10, 3), "/a");
    assert_eq!(
        (cwd(&mut w, 11, 11), cwd(&mut w, 13, 13)),
        ("/usr".into(), "/home/u".into())
    );
    assert_eq!(
        (behind(&mut w, 11, 11, 3), behind(&mut w, 13, 13, 3)),
        ("/a".into(), "?".into())
    );
    w.exit(11, 0);
    assert_eq!(close(&mut w, 10, 10, 3), "/a");
    assert_eq!(cwd(&mut w, 10, 10), "/usr");
    assert!(!w.resolver.state.table.living(10).unwrap().shares, "nobody is left");
}

#[test]
fn exec_ends_the_sharing_of_descriptors_only() {
    let mut w = pair(BOTH);
    w.call(10, "openat", 3, &[-100, 1, i64::from(libc::O_CLOEXEC)])
        .text(1, "/secret")
        .file("/secret", 5)
        .go();
    w.exec(11, "/bin/cat", "cat");
    assert_eq!(
        (behind(&mut w, 11, 11, 3), behind(&mut w, 10, 10, 3)),
        ("?".into(), "/secret".into())
    );
    open(&mut w, 11, 11, "/own", 3);
    assert_eq!(
        (behind(&mut w, 11, 11, 3), behind(&mut w, 10, 10, 3)),
        ("/own".into(), "/secret".into())
    );
    chdir(&mut w, 11, 11, "/usr");
    assert_eq!(cwd(&mut w, 10, 10), "/usr");
}

#[test]
fn who_unshares_goes_alone_from_there() {
    for (unshares, name, args) in [
        (11, "unshare", [i64::from(libc::CLONE_FS | libc::CLONE_FILES), 0, 0]),
        (
            10,
            "unshare",
            [i64::from(libc::CLONE_NEWUSER | libc::CLONE_FILES), 0, 0],
        ),
        (10, "close_range", [100, 200, 2]),
    ] {
        let mut w = pair(BOTH);
        open(&mut w, 10, 10, "/a", 3);
        chdir(&mut w, 11, 11, "/usr");
        w.plain(unshares, name, 0, &args);
        let stays = 21 - unshares;
        open(&mut w, unshares, unshares, "/b", 3);
        assert_eq!(behind(&mut w, stays, stays, 3), "/a", "{name}");
        close(&mut w, stays, stays, 3);
        assert_eq!(behind(&mut w, unshares, unshares, 3), "/b", "{name}");
        chdir(&mut w, unshares, unshares, "/var");
        let alone = if name == "unshare" { "/usr" } else { "/var" };
        assert_eq!(cwd(&mut w, stays, stays), alone, "{name}");
    }
}

#[test]
fn threads_may_have_what_is_their_own() {
    let mut w = World::new();
    w.fork(10, 11);
    thread(&mut w, 11, 11, 12, BOTH);
    thread(&mut w, 11, 11, 13, 0);
    chdir(&mut w, 11, 13, "/own");
    open(&mut w, 11, 13, "/of-13", 3);
    open(&mut w, 11, 12, "/of-all", 3);
    chdir(&mut w, 11, 12, "/usr");
    for (tid, place, file) in [(11, "/usr", "/of-all"), (12, "/usr", "/of-all"), (13, "/own", "/of-13")] {
        assert_eq!(
            (cwd(&mut w, 11, tid), behind(&mut w, 11, tid, 3)),
            (place.into(), file.into()),
            "{tid}"
        );
    }
    // Others may be with them: a thread, and a process.
    thread(&mut w, 11, 13, 14, BOTH);
    let mut fork = w.fork_record_by(11, 13, 20);
    let at = std::mem::offset_of!(Fork, shared);
    fork[at..at + 4].copy_from_slice(&BOTH.to_ne_bytes());
    w.feed(&fork);
    open(&mut w, 20, 20, "/of-20", 4);
    chdir(&mut w, 11, 14, "/of-14");
    for (pid, tid) in [(11, 13), (11, 14), (20, 20)] {
        let seen = (cwd(&mut w, pid, tid), behind(&mut w, pid, tid, 4));
        assert_eq!(seen, ("/of-14".into(), "/of-20".into()), "{tid}");
    }
    assert_eq!(
        (cwd(&mut w, 11, 11), behind(&mut w, 11, 11, 4)),
        ("/usr".into(), "?".into())
    );
    // One that leaves what it had with others.
    let flags = i64::from(libc::CLONE_FS | libc::CLONE_FILES);
    w.call(11, "unshare", 0, &[flags]).by(13).go();
    close(&mut w, 11, 13, 4);
    chdir(&mut w, 11, 13, "/again");
    assert_eq!(
        (cwd(&mut w, 20, 20), behind(&mut w, 20, 20, 4)),
        ("/of-14".into(), "/of-20".into())
    );
    w.exit_thread(11, 13, 0, 3, 0);
    assert_eq!(
        (cwd(&mut w, 11, 14), behind(&mut w, 11, 14, 3)),
        ("/of-14".into(), "/of-13".into())
    );
    // A thread that executes a program takes what it has along.
    let exec = w.exec_record(11, 14, "/bin/cat", "cat");
    w.feed(&exec);
    assert_eq!(behind(&mut w, 11, 11, 4), "/of-20");
    close(&mut w, 11, 11, 4);
    assert_eq!(
        (cwd(&mut w, 20, 20), behind(&mut w, 20, 20, 4)),
        ("/home/u".into(), "/of-20".into())
    );
}

#[test]
fn what_a_child_did_before_its_fork_was_told_is_done_to_both() {
    let mut w = World::new();
    w.shared = BOTH;
    let fork = w.fork_record(10, 11);
    open(&mut w, 11, 11, "/a", 3);
    chdir(&mut w, 11, 11, "/usr");
    w.feed(&fork);
    assert_eq!(
        (cwd(&mut w, 10, 10), behind(&mut w, 10, 10, 3)),
        ("/usr".into(), "/a".into())
    );
}

#[test]
fn what_is_not_recorded_is_not_shared() {
    let mut w = World::new();
    w.shared = BOTH;
    let mut fork = w.fork_record(10, 11);
    fork[5] |= FLAG_UNSEEN;
    w.feed(&fork);
    open(&mut w, 11, 11, "/a", 3);
    assert_eq!(behind(&mut w, 10, 10, 3), "?");
}

#[test]
fn a_table_that_is_lost_with_its_process_is_unknown() {
    let config = Config {
        max_processes: 3,
        ..Config::default()
    };
    let mut w = World::with(config, Box::new(NoHost));
    child(&mut w, 10, 11, BOTH);
    open(&mut w, 11, 11, "/a", 3);
    for pid in 20..30 {
        // Two are used all the time, so that 11 is evicted.
        w.plain(10, "getuid", 0, &[]);
        w.fork(1, pid);
    }
    assert!(w.resolver.state.table.living(11).is_none());
    assert_eq!(behind(&mut w, 10, 10, 3), "?");
    open(&mut w, 10, 10, "/b", 3);
    assert_eq!(behind(&mut w, 10, 10, 3), "/b");
}

#[test]
fn a_thousand_that_share_cost_one_table() {
    let mut w = World::new();
    for fd in 3..500 {
        open(&mut w, 10, 10, "/f", fd);
    }
    for pid in 11..1000 {
        child(&mut w, pid - 1, pid, BOTH);
    }
    for round in 0..3 {
        for pid in 10..1000 {
            let fd = 500 + i64::from(pid);
            open(&mut w, pid, pid, &format!("/{round}"), fd);
            assert_eq!(behind(&mut w, 1009 - pid, 1009 - pid, fd), format!("/{round}"));
        }
    }
    for pid in 11..1000 {
        w.exit(pid, 0);
    }
    assert_eq!(w.fds(10).len(), 500 + 990);
}

#[test]
fn a_shared_table_counts_once_and_is_found_when_there_is_too_much() {
    const MOST: usize = 4 << 20;
    let config = Config {
        max_fd_bytes: MOST,
        ..Config::default()
    };
    let mut w = World::with(config, Box::new(NoHost));
    let directory = "/0123456789abcdef".repeat(200);
    let open_many = |w: &mut World, pid, fds: std::ops::Range<i64>| {
        for fd in fds {
            open(w, pid, pid, &format!("{directory}/{pid}/{fd}"), fd);
            w.events.clear();
        }
    };
    open_many(&mut w, 10, 3..300);
    w.fork(10, 11);
    w.plain(11, "close_range", 0, &[3, 1000, 0]);
    for pid in 20..60 {
        child(&mut w, 10, pid, SHARED_FILES);
    }
    // Who used it last ends: it lies with none of the others.
    w.exit(59, 0);
    for fd in 0..3_000 {
        open_many(&mut w, 11, 3..4);
        open(&mut w, 11, 11, &format!("{directory}/other/{fd}"), 3);
        w.events.clear();
    }
    assert_eq!(w.resolver.stats().fds_refused, 0);
    assert_eq!(behind(&mut w, 20, 20, 100), format!("{directory}/10/100"));
    open_many(&mut w, 20, 300..700);
    w.exit(20, 0);
    open_many(&mut w, 11, 3..600);
    let stats = w.resolver.stats();
    assert!(stats.fds_refused > 500 && stats.fd_bytes as usize <= MOST, "{stats:?}");
    assert_eq!(behind(&mut w, 21, 21, 100), "?");
    assert_eq!(behind(&mut w, 11, 11, 599), format!("{directory}/11/599"));
}

//! Paths that lead through the links of `/proc` to what a process has.

use ctrace_wire::record::{SHARED_FILES, SHARED_FS};

use super::world::World;
use crate::resolver::{Config, NoHost};

/// What is told of a name that a thread uses in a call without a descriptor.
#[track_caller]
pub(super) fn told_by(w: &mut World, (pid, tid): (u32, u32), call: &str, raw: &str) -> String {
    let seen = w.call(pid, call, 0, &[1]).text(0, raw).by(tid).go();
    let name = ["path", "filename", "name"]
        .into_iter()
        .find(|n| seen.args.contains_key(*n));
    let (resolved, kept) = seen.arg(name.expect("a path")).split_once(" <- ").expect("a path");
    assert_eq!(kept, raw, "what the caller wrote");
    resolved.to_owned()
}

/// The same of a file that the first thread of a process removes.
#[track_caller]
fn removed(w: &mut World, pid: u32, raw: &str) -> String {
    told_by(w, (pid, pid), "unlink", raw)
}

fn chdir(w: &mut World, pid: u32, to: &str) {
    w.call(pid, "chdir", 0, &[1]).text(0, to).go();
}

fn open_directory(w: &mut World, pid: u32, path: &str, fd: i64) {
    let call = w.call(pid, "openat", fd, &[-100, 1, 0]).text(1, path);
    call.directory(path).go();
}

#[test]
fn they_lead_to_what_the_caller_has() {
    let mut w = World::new();
    open_directory(&mut w, 10, "/srv", 3);
    w.plain(10, "eventfd2", 4, &[0, 0]);
    w.call(10, "symlink", 0, &[1, 2])
        .text(0, "/proc/self/fd/3")
        .text(1, "/tmp/link")
        .go();
    for (raw, want) in [
        ("/proc/self/cwd/x", "/home/u/x"),
        ("/proc/self/cwd/../x", "/home/x"),
        ("../../proc/./self//cwd/x", "/home/u/x"),
        ("/proc/thread-self/cwd/x", "/home/u/x"),
        ("/proc/thread-self/../../cwd/x", "/home/u/x"),
        ("/proc/self/task/10/cwd/x", "/home/u/x"),
        ("/proc/10/cwd/x", "/home/u/x"),
        ("/proc/self/fd/3/x", "/srv/x"),
        ("/proc/10/fd/3/a/../x", "/srv/x"),
        ("/dev/fd/3/x", "/srv/x"),
        ("/tmp/link/x", "/srv/x"),
        ("/proc/self/root/etc/x", "/etc/x"),
        ("/proc/self/root/proc/self/fd/3/x", "/srv/x"),
        // What is not known, has no path, or is meant itself is told as it was named.
        ("/proc/self/fd/9/x", "/proc/self/fd/9/x"),
        ("/dev/fd/9/x", "/dev/fd/9/x"),
        ("/proc/self/fd/4/x", "/proc/self/fd/4/x"),
        ("/proc/self/fd/3", "/proc/self/fd/3"),
        ("/proc/99/cwd/x", "/proc/99/cwd/x"),
        ("/proc/self/comm", "/proc/self/comm"),
        ("/proc/sys/x", "/proc/sys/x"),
        ("/dev/fd", "/dev/fd"),
        ("/dev/shm/x", "/dev/shm/x"),
    ] {
        assert_eq!(removed(&mut w, 10, raw), want, "{raw}");
    }
    for (raw, want) in [
        ("/proc/self/fd/3", "/srv"),
        ("/proc/self/root", "/"),
        ("/dev/stdin", "/dev/pts/0"),
        ("/dev/fd/4", "/dev/fd/4"),
    ] {
        assert_eq!(told_by(&mut w, (10, 10), "chmod", raw), want, "{raw}");
    }
    w.plain(10, "close", 0, &[3]);
    open_directory(&mut w, 10, "/opt", 3);
    assert_eq!(
        removed(&mut w, 10, "/proc/self/fd/3/x"),
        "/opt/x",
        "the number is another's now"
    );
    let shell = w.exec(10, "/bin/sh", "sh");
    assert_eq!(shell.image().exe_path, b"/bin/sh");
    assert_eq!(told_by(&mut w, (10, 10), "chmod", "/proc/self/exe"), "/bin/sh");
}

#[test]
fn a_directory_that_is_entered_by_them_is_another() {
    let mut w = World::new();
    open_directory(&mut w, 10, "/srv", 3);
    chdir(&mut w, 10, "/proc/self/fd/3");
    assert_eq!(w.image(10).cwd, b"/srv");
    assert_eq!(removed(&mut w, 10, "x"), "/srv/x");
    chdir(&mut w, 10, "/proc/self");
    assert_eq!(w.image(10).cwd, b"/proc/10");
    w.fork(10, 11);
    open_directory(&mut w, 11, "/opt", 3);
    assert_eq!(removed(&mut w, 11, "fd/3/x"), "/srv/x", "those of its maker");
    assert_eq!(removed(&mut w, 11, "/proc/self/fd/3/x"), "/opt/x");
}

#[test]
fn below_a_root_they_lead_out_of_it() {
    let mut w = World::new();
    w.call(10, "chroot", 0, &[1]).text(0, "/jail").go();
    assert_eq!(removed(&mut w, 10, "/proc/self/root/x"), "/jail/x");
    assert_eq!(removed(&mut w, 10, "/proc/self/cwd/x"), "/home/u/x");
    assert_eq!(removed(&mut w, 10, "/proc/self/cwd/../../../x"), "/x");
    assert_eq!(removed(&mut w, 10, "/proc/1/root/x"), "/x");
    assert_eq!(removed(&mut w, 1, "/proc/10/root/x"), "/jail/x");
    assert_eq!(removed(&mut w, 10, "/proc/self/fd/9/x"), "/jail/proc/self/fd/9/x");
}

#[test]
fn numbers_are_those_of_the_callers_namespace() {
    let mut w = World::new();
    (w.pid_ns, w.vpid) = (7, Some(1));
    w.fork(10, 20);
    w.vpid = Some(12);
    w.fork(20, 21);
    w.vpid = Some(21);
    w.fork(20, 22);
    for (pid, cwd) in [(20, "/first"), (21, "/second"), (22, "/first")] {
        chdir(&mut w, pid, cwd);
    }
    for (pid, raw, want) in [
        // It may be that of the host's `/proc`, in the same mount namespace.
        (20, "/proc/1/cwd/x", "/proc/1/cwd/x"),
        (20, "/proc/self/cwd/x", "/first/x"),
        (20, "/proc/thread-self/cwd/x", "/first/x"),
        (20, "/proc/12/cwd/x", "/second/x"),
        (20, "/proc/21/cwd/x", "/proc/21/cwd/x"),
        (22, "/proc/self/cwd/x", "/first/x"),
        (21, "/proc/self/cwd/x", "/second/x"),
        (10, "/proc/21/cwd/x", "/second/x"),
        (10, "/proc/1/cwd/x", "/x"),
    ] {
        assert_eq!(removed(&mut w, pid, raw), want, "{raw} of {pid}");
    }
    // With mounts of its own it does not see the host's.
    w.exec(10, "/bin/sh", "sh");
    w.vpid = Some(1);
    w.fork(10, 30);
    chdir(&mut w, 30, "/third");
    assert_eq!(removed(&mut w, 30, "/proc/1/cwd/x"), "/third/x");
}

#[test]
fn descriptors_that_nobody_follows_are_not_known() {
    let config = Config {
        sees_descriptors: false,
        ..Config::default()
    };
    let mut w = World::with(config, Box::new(NoHost));
    open_directory(&mut w, 10, "/srv", 3);
    assert_eq!(removed(&mut w, 10, "/proc/self/fd/3/x"), "/proc/self/fd/3/x");
    assert_eq!(removed(&mut w, 10, "/proc/self/cwd/x"), "/home/u/x");
}

#[test]
fn what_lies_in_another_mount_namespace_has_no_other_name() {
    let mut w = World::new();
    w.fork(10, 11);
    w.exec(11, "/bin/sh", "sh");
    let raw = "/proc/11/root/etc/shadow";
    assert_eq!(removed(&mut w, 10, raw), raw);
    assert_eq!(removed(&mut w, 11, raw), "/etc/shadow");
}

#[test]
fn what_is_mounted_nowhere_stays_there() {
    let mut w = World::new();
    let call = w.call(10, "openat", 3, &[-100, 1, 0]).text(1, "a/b");
    call.detached("/a/b", libc::S_IFDIR).go();
    assert_eq!(removed(&mut w, 10, "/proc/self/fd/3/x"), "(unreachable)/a/b/x");
    assert_eq!(removed(&mut w, 10, "/proc/self/fd/3/../../../../x"), "(unreachable)/x");
}

#[test]
fn threads_and_those_who_share_have_what_they_use() {
    let mut w = World::new();
    w.thread(10, 10, 12);
    w.call(10, "unshare", 0, &[i64::from(libc::CLONE_FS)]).by(12).go();
    w.call(10, "chdir", 0, &[1]).text(0, "/thread").by(12).go();
    for (raw, want) in [
        ("/proc/thread-self/cwd/x", "/thread/x"),
        ("/proc/12/cwd/x", "/thread/x"),
        ("/proc/self/task/12/cwd/x", "/thread/x"),
        ("/proc/self/cwd/x", "/home/u/x"),
        ("/proc/self/task/10/cwd/x", "/home/u/x"),
    ] {
        assert_eq!(told_by(&mut w, (10, 12), "unlink", raw), want, "{raw}");
    }
    let mut w = World::new();
    w.shared = SHARED_FS | SHARED_FILES;
    w.fork(10, 11);
    chdir(&mut w, 11, "/tmp");
    open_directory(&mut w, 11, "/srv", 7);
    assert_eq!(removed(&mut w, 1, "/proc/10/cwd/x"), "/tmp/x");
    assert_eq!(removed(&mut w, 1, "/proc/10/fd/7/x"), "/srv/x");
    assert_eq!(removed(&mut w, 10, "/proc/self/fd/7/x"), "/srv/x");
    assert_eq!(removed(&mut w, 1, "/proc/11/fd/7/x"), "/srv/x");
}

//! Paths and descriptors.

use super::magic::told_by;
use super::world::World;
use crate::resolver::{Config, Directories, Host, SnapshotFd, SnapshotProcess};
use ctrace_trace::event::EventType;
use ctrace_trace::fd::FdKind;
use ctrace_wire::section;

const BASE: [&str; 3] = ["0 /dev/pts/0", "1 /dev/pts/0", "2 /dev/pts/0"];

fn fds(more: &[&str]) -> Vec<String> {
    BASE.iter().chain(more).map(|s| (*s).to_owned()).collect()
}

#[test]
fn the_kernels_path_wins_and_what_was_asked_for_stays() {
    let mut w = World::new();
    let seen = w
        .call(10, "openat", 3, &[-100, 1, 0, 0o7777_7777])
        .text(1, "link")
        .file("/etc/shadow", 9)
        .go();
    assert_eq!(seen.arg("name"), "/etc/shadow <- link");
    let fd = seen.fd.as_ref().unwrap();
    assert_eq!(
        (&fd.name[..], &fd.name_raw[..], fd.ino, fd.dev),
        (&b"/etc/shadow"[..], &b"link"[..], 9, 0x801)
    );
    assert_eq!(
        (seen.fd_num, seen.arg("ino"), seen.arg("dev"), seen.arg("mode")),
        (Some(3), "9", "2049", "-")
    );
    let seen = w
        .call(10, "openat", -13, &[-100, 1, 0x41, 0o600])
        .text(1, "../v//x/./y")
        .go();
    assert_eq!(seen.arg("name"), "/home/v/x/y <- ../v//x/./y");
    assert_eq!((seen.fd_num, seen.arg("mode"), seen.arg("flags")), (None, "384", "65"));
}

#[test]
fn a_file_that_is_opened_again_is_the_same_and_others_are_not() {
    let mut w = World::new();
    w.fork(10, 11);
    let mut open = |pid, fd, (asked, path, ino, flags): (&str, &str, u64, i32)| {
        let call = w.call(pid, "openat", fd, &[-100, 1, i64::from(flags), 0]);
        let seen = call.text(1, asked).file(path, ino).go();
        assert_eq!(seen.arg("name"), format!("{path} <- {asked}"));
        assert_eq!((seen.arg("ino"), seen.arg("dev")), (&*ino.to_string(), "2049"));
        let entry = seen.fd.as_ref().unwrap();
        assert_eq!((&*entry.name, &*entry.name_raw), (path.as_bytes(), asked.as_bytes()));
        assert_eq!(i64::from(seen.fd_num.unwrap()), fd);
        entry.id
    };
    let first = ("link", "/etc/shadow", 9, libc::O_RDONLY);
    open(10, 3, first);
    let id = open(11, 5, first);
    assert_eq!(open(10, 4, first), id);
    for other in [
        ("other", "/etc/shadow", 9, libc::O_RDONLY),
        ("link", "/etc/shadow-", 9, libc::O_RDONLY),
        ("link", "/etc/shadow", 10, libc::O_RDONLY),
        ("link", "/etc/shadow", 9, libc::O_RDWR),
        ("link", "/etc/shadow", 9, libc::O_CLOEXEC),
    ] {
        let ids = [open(10, 6, other), open(11, 6, other), open(10, 6, other)];
        assert!(!ids.contains(&id) && ids[0] != ids[1] && ids[1] == ids[2], "{other:?}");
    }
    assert_eq!(w.plain(11, "close", 0, &[5]).fd_name(), "/etc/shadow");
    assert!(w.plain(11, "close", -9, &[5]).fd.is_none());
    w.exec(10, "/bin/true", "true");
    let (left, closed) = (w.fds(10), "6 /etc/shadow".to_owned());
    assert!(
        left.contains(&"3 /etc/shadow".to_owned()) && !left.contains(&closed),
        "{left:?}"
    );
}

#[test]
fn relative_paths_start_at_the_directory_descriptor() {
    let mut w = World::new();
    w.call(10, "openat", 3, &[-100, 1, i64::from(libc::O_DIRECTORY)])
        .text(1, "/srv")
        .directory("/srv")
        .go();
    let looked = w.call(10, "newfstatat", 0, &[3, 1, 0, 0x1000]).unnamed().go();
    assert_eq!(looked.arg("path"), "/srv <- ");
    for (name, args, strings, want) in [
        (
            "openat",
            vec![3, 1],
            vec![(1, "a/b")],
            vec![("name", "/srv/a/b <- a/b")],
        ),
        ("openat", vec![3, 1], vec![(1, "/abs")], vec![("name", "/abs <- /abs")]),
        ("unlinkat", vec![3, 1, 0], vec![(1, "x")], vec![("name", "/srv/x <- x")]),
        ("newfstatat", vec![3, 1, 0], vec![(1, "")], vec![("path", "/srv <- ")]),
        ("mkdir", vec![1], vec![(0, "new")], vec![("path", "/home/u/new <- new")]),
        (
            "renameat2",
            vec![3, 1, -100, 1, 0],
            vec![(1, "o"), (3, "n")],
            vec![("oldpath", "/srv/o <- o"), ("newpath", "/home/u/n <- n")],
        ),
        (
            "symlinkat",
            vec![1, 3, 1],
            vec![(0, "../t"), (2, "l")],
            vec![("target", "../t"), ("linkpath", "/srv/l <- l")],
        ),
        // The directory is not known: the path stays relative.
        (
            "openat",
            vec![99, 1],
            vec![(1, "./x//y")],
            vec![("name", "x/y <- ./x//y")],
        ),
        // The high half of a register that holds an `int` has no meaning.
        (
            "openat",
            vec![0x7fff_0000_0003, 1],
            vec![(1, "z")],
            vec![("name", "/srv/z <- z"), ("dirfd", "3")],
        ),
    ] {
        let mut call = w.call(10, name, -2, &args);
        for (arg, text) in strings {
            call = call.text(arg, text);
        }
        let seen = call.go();
        for (arg, value) in want {
            assert_eq!(seen.arg(arg), value, "{name} {args:?}");
        }
    }
}

#[test]
fn directories_follow_chdir_of_any_thread() {
    let mut w = World::new();
    w.fork(10, 11);
    w.thread(11, 11, 12);
    let before = w.image(11).id;
    w.call(11, "chdir", 0, &[1]).text(0, "../v").by(12).go();
    let image = w.image(11);
    assert_eq!((&image.cwd[..], image.id != before), (&b"/home/v"[..], true));
    assert_eq!(w.image(10).cwd, b"/home/u", "the parent's is its own");
    w.call(11, "chdir", -2, &[1]).text(0, "/none").go();
    w.call(11, "openat", 3, &[-100, 1]).text(1, "/d").directory("/d").go();
    assert_eq!(
        w.call(11, "mkdir", 0, &[1]).text(0, "x").go().arg("path"),
        "/home/v/x <- x"
    );
    w.plain(11, "fchdir", 0, &[3]);
    assert_eq!(w.image(11).cwd, b"/d");
}

fn at(cwd: &str, root: &str) -> Directories {
    Directories {
        cwd: cwd.into(),
        root: root.into(),
    }
}

/// Goes on after calls were not recorded, with the directories that the host told.
fn resume<const N: usize>(w: &mut World, told: [(u32, &str); N]) {
    let told = told.map(|(pid, cwd)| (pid, at(cwd, "")));
    w.resolver.resume(&told.into(), w.now);
}

/// What a thread makes that calls it `x`.
fn made(w: &mut World, pid: u32, tid: u32) -> String {
    let seen = w.call(pid, "mkdir", 0, &[1]).text(0, "x").by(tid).go();
    seen.arg("path").to_owned()
}

#[test]
fn after_a_loss_nothing_is_taken_for_what_it_was_before() {
    let mut w = World::new();
    w.fork(10, 11);
    w.open(10, "/before", 3, 0);
    resume(&mut w, [(10, "/elsewhere"), (99, "/gone")]);
    assert_eq!(w.plain(10, "fchmod", 0, &[3, 0o600]).fd_name(), "?");
    assert_eq!(made(&mut w, 10, 10), "/elsewhere/x <- x");
    assert_eq!(made(&mut w, 11, 11), "x <- x", "of this one nothing is told");
    w.call(11, "chdir", 0, &[1]).text(0, "sub").go();
    assert_eq!(made(&mut w, 11, 11), "x <- x");
    w.call(11, "chdir", 0, &[1]).text(0, "/known").go();
    assert_eq!(made(&mut w, 11, 11), "/known/x <- x");
    w.open(10, "/after", 3, 0);
    assert_eq!(w.plain(10, "fchmod", 0, &[3, 0o600]).fd_name(), "/after");
}

#[test]
fn after_a_loss_names_start_at_the_root_of_that_moment() {
    let mut w = World::new();
    w.fork(10, 11);
    w.call(10, "chroot", 0, &[1]).text(0, "/jail").go();
    let told = [(10, at("/other/sub", "/other")), (11, at("/", ""))];
    w.resolver.resume(&told.into(), w.now);
    let told = |w: &mut World, pid| told_by(w, (pid, pid), "mkdir", "/x");
    assert_eq!(
        (told(&mut w, 10), told(&mut w, 11)),
        ("/other/x".to_owned(), "/x".to_owned())
    );
    assert_eq!(made(&mut w, 10, 10), "/other/sub/x <- x");
}

#[test]
fn names_lead_on_from_where_the_kernel_has_their_directory() {
    let mut w = World::new();
    w.open(10, "/a/sub", 3, 0);
    w.call(10, "openat", 4, &[-100, 1])
        .text(1, "/a/sub")
        .directory("/a/sub")
        .go();
    w.call(10, "chdir", 0, &[1]).text(0, "/a/sub").cwd("/a/sub").go();
    // Somebody gave another name to `/a`.
    let seen = w.call(10, "unlink", 0, &[1]).text(0, "x").cwd("/b/sub").go();
    assert_eq!(seen.arg("path"), "/b/sub/x <- x");
    assert_eq!(seen.image().cwd, b"/b/sub");
    assert_eq!(
        w.call(10, "access", 0, &[1]).text(0, "x").go().arg("name"),
        "/b/sub/x <- x"
    );
    let unlinkat = |w: &mut World, raw: &str, base: Option<&str>| {
        let call = w.call(10, "unlinkat", 0, &[4, 1, 0]).text(1, raw);
        let call = base.into_iter().fold(call, |call, base| call.base(base));
        call.go().arg("name").to_owned()
    };
    assert_eq!(unlinkat(&mut w, "y", None), "/a/sub/y <- y");
    assert_eq!(unlinkat(&mut w, "y", Some("/b/sub")), "/b/sub/y <- y");
    assert_eq!(unlinkat(&mut w, "z", None), "/b/sub/z <- z", "it stays there");
    let seen = w
        .call(10, "renameat", 0, &[4, 1, 4, 2])
        .text(1, "p")
        .text(3, "q")
        .base("/c")
        .go();
    assert_eq!((seen.arg("oldpath"), seen.arg("newpath")), ("/c/p <- p", "/c/q <- q"));
    let both = w.call(10, "renameat", 0, &[4, 1, 4, 2]).text(1, "/p").text(3, "q");
    assert_eq!(both.base("/d").go().arg("newpath"), "/d/q <- q");
    // A descriptor that nothing is known of, and one that was another file's.
    let seen = w.call(10, "mkdirat", 0, &[9, 1]).text(1, "x").base("/nine").go();
    assert_eq!(seen.arg("path"), "/nine/x <- x");
    let seen = w.call(10, "mkdirat", 0, &[3, 1]).text(1, "x").base("/three").go();
    assert_eq!(seen.arg("path"), "/three/x <- x");
    assert_eq!(w.fds(10)[3..], ["3 /three", "4 /d", "9 /nine"]);
    // What is behind one means nothing where the name is absolute.
    let seen = w.call(10, "mkdirat", 0, &[9, 1]).text(1, "/x").base("pipe").go();
    assert_eq!((seen.arg("path"), &*w.fds(10)[5]), ("/x <- /x", "9 /nine"));
    // What a call does to the directory itself is not what it was before.
    w.call(10, "chdir", 0, &[1]).text(0, "/t/here").cwd("/t/here").go();
    let rename = |w: &mut World, old: &str, new: &str, cwd: &str| {
        let seen = w.call(10, "rename", 0, &[1, 2]).text(0, old).text(1, new).cwd(cwd).go();
        assert_eq!(seen.image().cwd, cwd.as_bytes());
        [seen.arg("oldpath"), seen.arg("newpath")].map(|path| path.split_once(" <- ").expect("a path").0.to_owned())
    };
    assert_eq!(
        rename(&mut w, "../here", "/etc/there", "/etc/there"),
        ["/t/here", "/etc/there"]
    );
    assert_eq!(
        rename(&mut w, "a", "b", "/moved/there"),
        ["/moved/there/a", "/moved/there/b"]
    );
    let exchange = w
        .call(10, "renameat2", 0, &[-100, 1, -100, 2, 2])
        .text(1, "/x")
        .text(3, "../there");
    assert_eq!(exchange.cwd("/x").go().arg("newpath"), "/moved/there <- ../there");
    let seen = w
        .call(10, "umount2", 0, &[1, 2])
        .text(0, ".")
        .cwd("(unreachable)/")
        .go();
    assert_eq!(seen.arg("name"), "/x <- .");
    // What is behind a descriptor without a name need not be a directory.
    let seen = w
        .call(10, "linkat", 0, &[9, 1, -100, 2, 0x1000])
        .text(1, "")
        .text(3, "/new")
        .base("pipe")
        .go();
    assert_eq!(seen.arg("oldpath"), "/nine <- ");
}

#[test]
fn a_root_directory_is_where_the_kernel_says() {
    let mut w = World::new();
    w.call(10, "chroot", 0, &[1]).text(0, "/link").root("/jail").go();
    assert_eq!(told_by(&mut w, (10, 10), "unlink", "/x"), "/jail/x");
    // A filter made the results up: one of a call that was not made, and one of a call that was.
    w.call(10, "chroot", 0, &[1]).text(0, "/none").root("/jail").go();
    assert_eq!(told_by(&mut w, (10, 10), "unlink", "/x"), "/jail/x");
    w.call(10, "chroot", -1, &[1]).text(0, "/").root("/").go();
    assert_eq!(told_by(&mut w, (10, 10), "unlink", "/x"), "/x");
}

#[test]
fn after_a_loss_it_is_not_known_who_was_where_apart_from_others() {
    let mut w = World::new();
    w.fork(10, 11);
    w.thread(11, 11, 12);
    w.call(11, "unshare", 0, &[i64::from(libc::CLONE_FS)]).by(12).go();
    w.call(11, "chdir", 0, &[1]).text(0, "/own").by(12).go();
    w.shared = ctrace_wire::record::SHARED_FS;
    w.fork(10, 20);
    resume(&mut w, [(10, "/a"), (11, "/b"), (20, "/c")]);
    let all = [(10, 10), (20, 20), (11, 11), (11, 12)];
    assert_eq!(all.map(|(pid, tid)| made(&mut w, pid, tid)), ["x <- x"; 4]);
    w.call(11, "chdir", 0, &[1]).text(0, "/own").by(12).go();
    w.call(10, "chdir", 0, &[1]).text(0, "/both").go();
    let told = ["/both/x <- x", "/both/x <- x", "x <- x", "/own/x <- x"];
    assert_eq!(all.map(|(pid, tid)| made(&mut w, pid, tid)), told);
    // Those that shared with one that ended are alone.
    w.exit(20, 0);
    resume(&mut w, [(10, "/a")]);
    assert_eq!(made(&mut w, 10, 10), "/a/x <- x");
}

#[test]
fn a_thread_may_leave_the_shared_directory() {
    let mut w = World::new();
    w.fork(10, 11);
    w.thread(11, 11, 12);
    w.call(11, "unshare", 0, &[i64::from(libc::CLONE_FS)]).by(12).go();
    w.call(11, "chdir", 0, &[1]).text(0, "/own").by(12).go();
    assert_eq!(
        w.call(11, "mkdir", 0, &[1]).text(0, "x").by(12).go().arg("path"),
        "/own/x <- x"
    );
    assert_eq!(
        w.call(11, "mkdir", 0, &[1]).text(0, "x").go().arg("path"),
        "/home/u/x <- x"
    );
    w.call(11, "chroot", 0, &[1]).text(0, "/jail").by(12).go();
    assert_eq!(
        w.call(11, "mkdir", 0, &[1]).text(0, "/x").by(12).go().arg("path"),
        "/jail/x <- /x"
    );
    assert_eq!(w.call(11, "mkdir", 0, &[1]).text(0, "/x").go().arg("path"), "/x <- /x");
    // A change of who the process is reaches both.
    w.call(11, "prctl", 0, &[15, 1]).text(1, "renamed").go();
    let of_thread = w.call(11, "read", 0, &[0]).by(12).go();
    assert_eq!(
        (&of_thread.image().name[..], &of_thread.image().cwd[..]),
        (&b"renamed"[..], &b"/own"[..])
    );
    assert_eq!(w.image(11).name, b"renamed");
}

#[test]
fn below_a_chroot_paths_are_those_of_the_mount_namespace() {
    let mut w = World::new();
    w.fork(10, 11);
    w.call(11, "chroot", 0, &[1]).text(0, "/jail").go();
    w.call(11, "chdir", 0, &[1]).text(0, "/").go();
    let seen = w.call(11, "openat", -2, &[-100, 1]).text(1, "../../etc/passwd").go();
    assert_eq!(seen.arg("name"), "/jail/etc/passwd <- ../../etc/passwd");
    w.fork(11, 12);
    assert_eq!(
        w.call(12, "rmdir", 0, &[1]).text(0, "/x").go().arg("path"),
        "/jail/x <- /x"
    );
    w.call(12, "pivot_root", 0, &[1, 2])
        .text(0, "/new")
        .text(1, "/new/old")
        .go();
    assert_eq!(w.call(12, "rmdir", 0, &[1]).text(0, "/x").go().arg("path"), "/x <- /x");
}

#[test]
fn descriptors_live_as_the_kernel_lets_them() {
    let mut w = World::new();
    w.fork(10, 11);
    w.open(11, "/a", 3, 0);
    w.open(11, "/b", 4, libc::O_CLOEXEC);
    for (name, ret, args) in [
        ("dup", 5, vec![4]),
        ("dup2", 6, vec![3, 6]),
        ("dup3", 7, vec![3, 7, i64::from(libc::O_CLOEXEC)]),
        ("fcntl", 8, vec![3, i64::from(libc::F_DUPFD), 8]),
        ("fcntl", 9, vec![3, i64::from(libc::F_DUPFD_CLOEXEC), 9]),
        ("fcntl", 0, vec![8, i64::from(libc::F_SETFD), 1]),
        ("dup2", 4, vec![4, 4]),
        ("dup2", -9, vec![77, 3]),
    ] {
        w.plain(11, name, ret, &args);
    }
    assert_eq!(
        w.fds(11),
        fds(&["3 /a", "4 /b", "5 /b", "6 /a", "7 /a", "8 /a", "9 /a"])
    );
    w.exec(11, "/bin/x", "x");
    assert_eq!(w.fds(11), fds(&["3 /a", "5 /b", "6 /a"]));
    let seen = w.plain(11, "close", 0, &[5]);
    assert_eq!(seen.fd_name(), "/b", "close shows what it closes");
    assert_eq!(w.plain(11, "close", -9, &[3]).fd_name(), "/a");
    assert_eq!(w.fds(11), fds(&["3 /a", "6 /a"]));
    assert_eq!(w.fds(10), BASE, "the parent has its own table");
    w.plain(11, "close_range", 0, &[3, 0xFFFF_FFFF, 4]);
    assert_eq!(w.fds(11), fds(&["3 /a", "6 /a"]));
    w.exec(11, "/bin/y", "y");
    assert_eq!(w.fds(11), BASE);
    w.plain(11, "close_range", 0, &[1, 0xFFFF_FFFF, 0]);
    assert_eq!(w.fds(11), ["0 /dev/pts/0"]);
}

#[test]
fn objects_without_a_file_have_their_kind() {
    let mut w = World::new();
    let cloexec = i64::from(libc::O_CLOEXEC);
    for (name, args, kind, text, closed) in [
        (
            "eventfd2",
            vec![0, cloexec],
            FdKind::Event,
            "anon_inode:[eventfd]",
            true,
        ),
        (
            "epoll_create1",
            vec![0],
            FdKind::EventPoll,
            "anon_inode:[eventpoll]",
            false,
        ),
        (
            "signalfd4",
            vec![-1, 0, 8, cloexec],
            FdKind::Signal,
            "anon_inode:[signalfd]",
            true,
        ),
        (
            "timerfd_create",
            vec![0, 0],
            FdKind::Timer,
            "anon_inode:[timerfd]",
            false,
        ),
        (
            "inotify_init1",
            vec![cloexec],
            FdKind::Inotify,
            "anon_inode:inotify",
            true,
        ),
        ("pidfd_open", vec![1, 0], FdKind::Pidfd, "anon_inode:[pidfd]", true),
        (
            "userfaultfd",
            vec![0],
            FdKind::UserFault,
            "anon_inode:[userfaultfd]",
            false,
        ),
        (
            "io_uring_setup",
            vec![8, 1],
            FdKind::IoUring,
            "anon_inode:[io_uring]",
            true,
        ),
        ("bpf", vec![0, 1, 2], FdKind::Bpf, "anon_inode:bpf", true),
    ] {
        w.fork(10, 11);
        w.plain(11, name, 9, &args);
        let seen = w.plain(11, "read", 0, &[9]);
        let fd = seen.fd.as_ref().unwrap_or_else(|| panic!("{name}"));
        assert_eq!(
            (fd.kind, String::from_utf8_lossy(&fd.name).as_ref()),
            (kind, text),
            "{name}"
        );
        w.exec(11, "/bin/x", "x");
        assert_eq!(w.fds(11).len() == 3, closed, "{name}");
        w.exit(11, 0);
    }
    w.call(10, "memfd_create", 3, &[1, 1]).text(0, "payload").go();
    assert_eq!(w.plain(10, "write", 1, &[3]).fd_name(), "memfd:payload");
    let seen = w.call(10, "pipe2", 0, &[1, cloexec]).pair(0, [5, 6]).go();
    assert_eq!((seen.arg("fd1"), seen.arg("fd2")), ("5", "6"));
    assert_eq!(w.plain(10, "read", 1, &[6]).fd.unwrap().kind, FdKind::Pipe);
    w.call(10, "socketpair", 0, &[1, 1, 0, 1]).pair(3, [7, 8]).go();
    assert_eq!(w.plain(10, "read", 1, &[8]).fd.unwrap().kind, FdKind::Unix);
    // Most commands of bpf give a number: 0 is not the standard input.
    let read = w.plain(10, "read", 1, &[3]).fd_name();
    w.plain(10, "bpf", 3, &[2, 1, 32]);
    assert_eq!(w.plain(10, "read", 1, &[3]).fd_name(), read);
    // A number that an unknown call gives out again no longer means what it did.
    w.plain(10, "pidfd_getfd", 7, &[3, 1, 0]);
    assert!(w.plain(10, "read", 1, &[7]).fd.is_none());
}

#[test]
fn flags_of_a_tree_are_not_those_of_a_file() {
    let mut w = World::new();
    // OPEN_TREE_CLONE and AT_RECURSIVE, which are O_WRONLY and O_LARGEFILE of an open; then with OPEN_TREE_CLOEXEC.
    let of_flags = [(0x8001, libc::O_PATH), (0x8_8001, libc::O_PATH | libc::O_CLOEXEC)];
    for (name, fds) in [("open_tree", [3, 4]), ("open_tree_attr", [5, 6])] {
        for (fd, (flags, kept)) in fds.into_iter().zip(of_flags) {
            let call = w.call(10, name, fd, &[-100, 1, flags]);
            let seen = call.text(1, "/mnt").file("/mnt", 2).go();
            assert_eq!(seen.arg("flags"), flags.to_string());
            assert_eq!(seen.fd_name(), "/mnt", "{name}");
            assert_eq!(seen.fd.unwrap().open_flags, kept as u32, "{name}");
        }
    }
}

#[test]
fn names_lead_on_from_what_is_mounted_nowhere() {
    let mut w = World::new();
    let tree = w.call(10, "open_tree", 3, &[-100, 1, 1]).text(1, "/etc");
    assert_eq!(tree.detached("/etc", libc::S_IFDIR).go().fd_name(), "(unreachable)/etc");
    // Twice and more: the short way of files that are opened again must not take the name that others have.
    w.open(10, "/etc/shadow", 4, 0);
    for fd in 5..9 {
        let call = w.call(10, "openat", fd, &[3, 1, 0]).text(1, "shadow");
        let seen = call.detached("/etc/shadow", libc::S_IFREG).go();
        assert_eq!(seen.fd_name(), "(unreachable)/etc/shadow");
        assert_eq!(seen.arg("name"), "(unreachable)/etc/shadow <- shadow");
        assert_eq!(w.open(10, "/etc/shadow", 4, 0).fd_name(), "/etc/shadow");
    }
    let removed = |w: &mut World, from: i64, name: &str| {
        let seen = w.call(10, "unlinkat", 0, &[from, 1, 0]).text(1, name).go();
        let (path, _) = seen.arg("name").split_once(" <- ").unwrap_or((seen.arg("name"), ""));
        path.to_owned()
    };
    assert_eq!(removed(&mut w, 3, "ssh/../x"), "(unreachable)/etc/x");
    w.plain(10, "fchdir", 0, &[3]);
    assert_eq!(removed(&mut w, -100, "x"), "(unreachable)/etc/x");
    w.call(10, "chdir", 0, &[1]).text(0, "../run").go();
    assert_eq!(removed(&mut w, -100, "x"), "(unreachable)/run/x");
    assert_eq!(removed(&mut w, -100, "/x"), "/x");
    w.call(10, "chroot", 0, &[1]).text(0, ".").go();
    assert_eq!(removed(&mut w, -100, "/x"), "(unreachable)/run/x");
}

#[test]
fn a_working_directory_is_where_the_kernel_says() {
    let mut w = World::new();
    let removed = |w: &mut World| {
        let seen = w.call(10, "unlink", 0, &[1]).text(0, "x").go();
        let (path, _) = seen.arg("path").split_once(" <- ").expect("what was written, too");
        path.to_owned()
    };
    // By a link, by a magic link, by a descriptor that nobody saw, into another namespace.
    w.call(10, "chdir", 0, &[1]).text(0, "/link").cwd("/real").go();
    assert_eq!(removed(&mut w), "/real/x");
    w.call(10, "chdir", 0, &[1]).text(0, "/proc/self/fd/9").cwd("/var").go();
    assert_eq!(removed(&mut w), "/var/x");
    w.call(10, "fchdir", 0, &[33]).cwd("/srv").go();
    assert_eq!(removed(&mut w), "/srv/x");
    let mounts = i64::from(libc::CLONE_NEWNS);
    w.call(10, "setns", 0, &[3, mounts]).cwd("/merged").go();
    assert_eq!(removed(&mut w), "/merged/x");
    // A result that a filter made up, and a call that failed where its caller was taken to be elsewhere.
    w.call(10, "chdir", 0, &[1]).text(0, "/fake").cwd("/merged").go();
    assert_eq!(removed(&mut w), "/merged/x");
    w.call(10, "chdir", -2, &[1]).text(0, "/missing").cwd("/moved").go();
    assert_eq!(removed(&mut w), "/moved/x");
}

#[test]
fn what_was_opened_by_its_handle_has_a_path_or_none_but_no_other_s() {
    let mut w = World::new();
    w.call(10, "rename", 0, &[1, 2]).text(0, "/old").text(1, "/new").go();
    let name = "open_by_handle_at";
    assert_eq!(
        w.call(10, name, 5, &[4, 1, 0]).disconnected(7).go().fd_name(),
        "(unreachable)"
    );
    let known = w.plain(10, "read", 1, &[5]).fd.unwrap();
    assert_eq!((known.kind, known.ino), (FdKind::File, 7));
    assert_eq!(
        w.call(10, name, 5, &[4, 1, 0]).file("/etc/shadow", 8).go().fd_name(),
        "/etc/shadow"
    );
    assert!(
        w.call(10, name, 5, &[4, 1, 0]).go().fd.is_none(),
        "nothing was captured of it"
    );
}

#[test]
fn structures_give_what_stands_in_no_register() {
    let mut w = World::new();
    let how = [0x8_0000u64, 0o600, 8].map(u64::to_ne_bytes).concat();
    let call = w.call(10, "openat2", 3, &[-100, 1, 2, 24]).text(1, "x");
    let seen = call.part(section::STRUCT, 2, &how).file("/home/u/x", 4).go();
    assert_eq!(
        ["flags", "mode", "resolve"].map(|a| seen.arg(a)),
        ["524288", "384", "8"]
    );
    assert_eq!(seen.fd.unwrap().open_flags, 0x8_0000);
    w.exec(10, "/bin/x", "x");
    assert_eq!(w.fds(10), BASE, "its flags held O_CLOEXEC");
    let seen = w.plain(10, "clone3", 11, &[1, 88]);
    assert_eq!(seen.arg("flags"), "-");
}

#[test]
fn the_same_file_opened_again_is_the_same_entry() {
    let mut w = World::new();
    let ids: Vec<u64> = (3..6)
        .map(|fd| w.open(10, "/lib/libc.so.6", fd, 0).fd.unwrap().id)
        .collect();
    assert_eq!(ids[1], ids[2], "what is opened once is not kept");
    assert_ne!(w.open(10, "/lib/libc.so.6", 6, 1).fd.unwrap().id, ids[2], "other flags");
}

#[test]
fn unknown_and_compat_calls_keep_their_numbers() {
    let mut w = World::new();
    let seen = w.call(10, "read", -38, &[1, 2, 3, 4, 5, 6]).nr(900).go();
    assert_eq!(
        (seen.name.as_str(), seen.arg("nr"), seen.arg("arg5")),
        ("unknown", "900", "6")
    );
    assert_eq!(seen.kind, EventType::UNKNOWN_SYSCALL);
    let seen = w.call(10, "read", -38, &[1]).compat(900).go();
    assert_eq!((seen.name.as_str(), seen.arg("nr")), ("unknown", "900"));
    assert_eq!(seen.kind, EventType::UNKNOWN_COMPAT_SYSCALL);
    w.open(10, "/a", 3, 0);
    let seen = w.call(10, "read", 0, &[3]).compat(6).go();
    assert_eq!((seen.name.as_str(), seen.fd_name().as_str()), ("close", "/a"));
    assert_eq!(w.fds(10), BASE);
}

#[test]
fn old_32_bit_calls_take_16_bits_of_users_and_groups() {
    let mut w = World::new();
    for (nr, uid, gid) in [(182, "4294967295", "3"), (212, "65535", "327683")] {
        let seen = w
            .call(10, "chown", 0, &[1, 0xFFFF, 0x5_0003])
            .text(0, "/a")
            .compat(nr)
            .go();
        assert_eq!(
            (seen.name.as_str(), seen.arg("uid"), seen.arg("gid")),
            ("chown", uid, gid)
        );
    }
    let seen = w.call(10, "setuid", 0, &[0x1_0000]).compat(23).go();
    assert_eq!((seen.name.as_str(), seen.arg("uid")), ("setuid", "0"));
}

/// A host that knows one descriptor and counts what it is asked.
struct OneFd(std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl Host for OneFd {
    fn process(&mut self, _: u32) -> Option<SnapshotProcess> {
        None
    }
    fn fd(&mut self, _: u32, fd: i32) -> Option<SnapshotFd> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        (fd == 7).then(|| SnapshotFd {
            fd,
            entry: crate::resolver::files::named(FdKind::File, b"/received"),
            cloexec: true,
            born_ns: 0,
        })
    }
    fn cgroup(&mut self, _: u32) -> Option<Vec<u8>> {
        None
    }
}

#[test]
fn the_host_is_asked_once_for_a_descriptor_that_came_from_elsewhere() {
    for (per_second, want) in [(2000, 2), (1, 1), (0, 0)] {
        let asked = std::sync::Arc::default();
        let config = Config {
            lookups_per_s: per_second,
            ..Config::default()
        };
        let mut w = World::with(config, Box::new(OneFd(std::sync::Arc::clone(&asked))));
        for _ in 0..5 {
            let seen = w.plain(10, "read", 1, &[7]);
            assert_eq!(seen.fd_name(), if per_second > 0 { "/received" } else { "?" });
            w.plain(10, "read", 1, &[8]);
            w.plain(10, "read", -9, &[9]);
        }
        assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), want);
    }
}

#[test]
fn a_failed_open_shows_what_was_asked_for() {
    let mut w = World::new();
    let seen = w.call(10, "openat", -2, &[-100, 1, 0]).text(1, "../none").go();
    let fd = seen.fd.as_ref().expect("the path that was asked for");
    assert_eq!((&fd.name[..], &fd.name_raw[..]), (&b"/home/none"[..], &b"../none"[..]));
    assert_eq!((seen.fd_num, fd.kind.type_char()), (None, b'f'));
    assert_eq!(w.fds(10).len(), 3, "nothing was opened");
    let unread = section::ARG_FAULT | 1;
    let seen = w
        .call(10, "openat", -1, &[-100, 1, 0])
        .part(section::STRING, unread, b"")
        .go();
    assert!(seen.fd.is_none(), "the string could not be read");
    assert_eq!(seen.arg("name"), "-");
    let seen = w.call(10, "openat", -2, &[-100, 1, 0]).text(1, "").go();
    assert!(seen.arg("name").ends_with(" <- "), "an empty one was read");
}

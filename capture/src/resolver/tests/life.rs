//! Fork, exec, exit; reuse of ids; records that come late or not at all.

use super::world::{OFFSET, Seen, World, bytes, process};
use crate::resolver::image::{MAX_CHAIN, chain_len};
use crate::resolver::{Config, Host, NoHost, SnapshotFd, SnapshotProcess};
use ctrace_wire::record::{self, Exec, Fork};
use ctrace_wire::section;

fn name(seen: &Seen) -> String {
    String::from_utf8_lossy(&seen.image().name).into_owned()
}

/// The exec of `cat a b` whose command line and environment have so many bytes more than the record.
fn cut_exec(w: &mut World, lacks: u32) -> Seen {
    w.fork(10, 11);
    let mut record = w.exec_record(11, 11, "/usr/bin/cat", "cat a b");
    let mut at = size_of::<Exec>();
    while let [kind, _, len @ ..] = &record[at..] {
        let (kind, len) = (*kind, u16::from_ne_bytes([len[0], len[1]]));
        if matches!(kind, section::EXEC_ARGV | section::EXEC_ENV) {
            record[at + 1] |= section::ARG_TRUNCATED;
            record[at + 4..at + 8].copy_from_slice(&(u32::from(len) + lacks).to_ne_bytes());
        }
        at += 8 + section::padded(usize::from(len));
    }
    w.feed(&record).pop().expect("an event")
}

#[test]
fn what_is_cut_says_so() {
    let seen = cut_exec(&mut World::new(), 2);
    assert_eq!(seen.image().argv, b"cat\0a\0b...");
    assert_eq!(seen.image().env, b"LD_PRELOAD=/x.so\0...");
    assert_eq!(
        cut_exec(&mut World::new(), 1).image().argv,
        b"cat\0a\0b",
        "its last NUL is no loss"
    );
}

#[test]
fn a_child_is_its_parent_until_it_executes() {
    let mut w = World::new();
    w.fork(10, 11);
    let child = w.image(11);
    assert_eq!(
        (child.pid, child.ppid, &child.name[..], &child.cwd[..]),
        (11, 10, &b"sh"[..], &b"/home/u"[..])
    );
    assert_eq!(child.parent.as_ref().unwrap().id, w.image(10).id);
    assert_eq!(child.exec_ts, 0);
    assert_eq!(w.fds(11), ["0 /dev/pts/0", "1 /dev/pts/0", "2 /dev/pts/0"]);

    let seen = w.exec(11, "/usr/bin/cat", "cat /etc/passwd");
    assert_eq!((seen.name.as_str(), seen.ret, seen.tid), ("execve", Some(0), 11));
    assert_eq!(seen.arg("filename"), "/usr/bin/cat <- /usr/bin/cat");
    let image = seen.image();
    assert_eq!(image.argv, b"cat\0/etc/passwd");
    assert_eq!(image.exe_path, b"/usr/bin/cat");
    assert_eq!(image.env, b"LD_PRELOAD=/x.so");
    assert_eq!(image.ppid, 10, "the recorded parent, not the one the record names");
    assert_eq!((image.exe_ino, image.exe_ctime), (77, 5_000_000_000));
    assert_eq!(image.exec_ts, w.now + OFFSET as u64);
    assert_eq!((&image.user[..], &image.login_user[..]), (&b"root"[..], &b"u"[..]));
    assert_eq!(image.parent.as_ref().unwrap().name, b"sh");
    assert!(image.id != child.id && image.id != w.image(10).id);
    // The return of the call that the exec record told already.
    assert_eq!(w.call(11, "execve", 0, &[]).feed().len(), 0);
    // The next exec is another one.
    w.exec(11, "/usr/bin/id", "id");
    assert_eq!(w.call(11, "execve", 0, &[]).feed().len(), 0);
    assert_eq!(w.events.iter().filter(|e| e.name == "execve").count(), 2);
}

#[test]
fn a_program_is_the_same_whether_or_not_what_its_process_was_is_shown() {
    let [shown, unseen] = [true, false].map(|is_shown| {
        let mut w = World::new();
        w.fork(10, 11);
        let before = is_shown.then(|| w.image(11));
        let image = w.exec(11, "/usr/bin/cat", "cat a").image().clone();
        if let Some(before) = before {
            assert_eq!((&before.name[..], before.exec_ts), (&b"sh"[..], 0));
        }
        image
    });
    assert_eq!(shown, unseen);
}

#[test]
fn an_exec_that_fails_is_told_when_it_returns() {
    let mut w = World::new();
    let seen = w.call(10, "execve", -2, &[1, 2, 3]).text(0, "bin/none").go();
    assert_eq!(
        (seen.ret, seen.arg("filename")),
        (Some(-2), "/home/u/bin/none <- bin/none")
    );
    // Where the string is read at entry only.
    w.call(10, "execve", 0, &[1]).text(0, "gone").entering().feed();
    let seen = w.call(10, "execve", -13, &[1]).go();
    assert_eq!((seen.ret, seen.arg("filename")), (Some(-13), "/home/u/gone <- gone"));
    assert_eq!(name(&seen), "sh");
}

#[test]
fn a_name_that_was_written_to_comm_is_known_from_the_next_fork_or_the_end() {
    let mut w = World::new();
    w.fork(10, 11);
    let mut fork = w.fork_record(11, 12);
    let at = std::mem::offset_of!(Fork, comm);
    fork[at..at + 6].copy_from_slice(b"sshd\0\0");
    w.feed(&fork);
    assert_eq!([11, 12].map(|pid| w.image(pid).name.clone()), [b"sshd", b"sshd"]);
    assert_eq!(w.image(10).name, b"sh");
    // That of another thread is not the process's.
    w.thread(11, 11, 21);
    let mut fork = w.fork_record_by(11, 21, 13);
    fork[at..at + 6].copy_from_slice(b"worker");
    w.feed(&fork);
    assert_eq!([11, 13].map(|pid| w.image(pid).name.clone()), [&b"sshd"[..], b"worker"]);
    let ended = w.exit_named(13, "other");
    assert_eq!(
        (ended[0].name.as_str(), &ended[0].image().name[..]),
        ("procexit", &b"other"[..])
    );
}

#[test]
fn an_exec_that_fails_tells_what_it_was_given() {
    let mut w = World::new();
    let mut given = |argv: &[u8], truncated: u8| {
        let call = w.call(10, "execve", -13, &[1, 2]).text(0, "/bin/su");
        let seen = call.part(section::STRING_ARRAY, 1 | truncated, argv).go();
        (seen.arg("exe").to_owned(), seen.arg("args").to_owned())
    };
    let told = |exe: &str, args: &str| (exe.to_owned(), args.to_owned());
    assert_eq!(given(b"su\0-\0\0root\0", 0), told("su", "-\0\0root\0"));
    assert_eq!(given(b"su\0", 0), told("su", ""));
    assert_eq!(given(b"", 0), told("", ""));
    let cut = section::ARG_TRUNCATED;
    assert_eq!(given(b"su\0a\0", cut), told("su", "a\0..."));
    // What could not be read is nobody's.
    assert_eq!(given(b"", cut), told("-", "-"));
    assert_eq!(given(b"", section::ARG_FAULT), told("-", "-"));
    // Longer ones than the kernel side keeps.
    let long = "x".repeat(section::STRING_MAX - 1);
    let both = format!("{long}\0a\0{long}\0");
    assert_eq!(
        given(both.as_bytes(), 0),
        told(&format!("{long}..."), &format!("a\0{long}...\0"))
    );
    let seen = w.call(10, "execveat", -13, &[-100, 1, 2]).text(1, "x");
    let seen = seen.part(section::STRING_ARRAY, 2, b"x\0y\0").go();
    assert_eq!((seen.arg("exe"), seen.arg("args")), ("x", "y\0"));
    assert_eq!(w.exec(10, "/bin/x", "x y").arg("exe"), "-");
}

#[test]
fn execveat_is_known_by_its_entry_or_where_none_comes_by_its_file_name() {
    let mut w = World::new();
    w.fork(10, 11);
    w.call(11, "execveat", 0, &[7, 1, 0, 0, 0x1000])
        .text(1, "")
        .entering()
        .feed();
    let seen = w.exec(11, "/dev/fd/7", "x");
    assert_eq!(
        (seen.name.as_str(), seen.arg("dirfd"), seen.arg("at_flags")),
        ("execveat", "7", "4096")
    );
    // A caller may write the name that the kernel makes.
    w.fork(10, 12);
    assert_eq!(w.exec(12, "/dev/fd/3", "x").name, "execve");
    let config = Config {
        hears_calls: false,
        ..Config::default()
    };
    let mut w = World::with(config, Box::new(NoHost));
    w.fork(10, 12);
    assert_eq!(w.exec(12, "/dev/fd/3", "x").name, "execveat");
    assert_eq!(w.exec(12, "/bin/x", "x").name, "execve");
}

#[test]
fn a_script_behind_a_descriptor_is_told_by_its_path() {
    let mut w = World::new();
    let mut told = |filename: &str| {
        w.fork(10, 11);
        w.call(11, "openat", 3, &[-100, 0, 0]).text(1, "/srv/tool").go();
        w.call(11, "open", 4, &[0]).text(0, "/srv").directory("/srv").go();
        w.call(11, "memfd_create", 5, &[0, 0]).text(0, "evil").go();
        w.call(11, "socket", 6, &[2, 1, 0]).go();
        let seen = w.script(11, filename);
        assert_eq!(seen.image().exe_path, b"/bin/sh");
        w.exit(11, 0);
        seen.arg("filename").to_owned()
    };
    for (filename, path) in [
        ("./x", "/home/u/x"),
        ("/dev/fd/3", "/srv/tool"),
        ("/proc/self/fd/3", "/srv/tool"),
        ("/dev/fd/4/bin/tool", "/srv/bin/tool"),
        ("/dev/fd/4/../etc/tool", "/etc/tool"),
        ("/dev/fd/5", "memfd:evil"),
        // What is behind another one is not known.
        ("/dev/fd/6", "/dev/fd/6"),
        ("/dev/fd/9", "/dev/fd/9"),
        ("/dev/fd/x", "/dev/fd/x"),
        ("/dev/fd/99999999999", "/dev/fd/99999999999"),
        ("/dev/fd/", "/dev/fd"),
    ] {
        assert_eq!(told(filename), format!("{path} <- {filename}"));
    }
}

#[test]
fn an_exec_by_another_call_tells_of_itself_just_before() {
    let mut w = World::new();
    w.fork(10, 11);
    // The registers alone: what they point to is gone.
    w.call(11, "execveat", 0, &[-100, 1, 2, 3, 0x100]).entering().feed();
    let seen = w.exec(11, "/bin/x", "x");
    assert_eq!(
        (seen.name.as_str(), seen.arg("dirfd"), seen.arg("at_flags")),
        ("execveat", "-100", "256")
    );
    assert_eq!(seen.arg("filename"), "/bin/x <- /bin/x");
    assert!(!seen.kind.is_compat());
    // The kernel makes an `execve` of the call.
    assert!(w.call(11, "execve", 0, &[]).feed().is_empty());
    for (nr, name) in [(11, "execve"), (358, "execveat")] {
        w.fork(10, 12);
        w.call(12, "execve", 0, &[7, 1, 2, 3, 4]).compat(nr).entering().feed();
        let seen = w.exec(12, "/bin/x", "x");
        assert_eq!((seen.name.as_str(), seen.kind.is_compat()), (name, true));
        assert_eq!(seen.arg("filename"), "/bin/x <- /bin/x");
        if name == "execveat" {
            assert_eq!((seen.arg("dirfd"), seen.arg("at_flags")), ("7", "4"));
        }
        assert!(w.call(12, "execve", 0, &[]).compat(11).feed().is_empty());
        w.exit(12, 0);
    }
    // By a thread, which has become the only one by then.
    w.fork(10, 13);
    w.thread(13, 13, 14);
    w.call(13, "execveat", 0, &[5, 1, 2, 3, 0]).entering().feed();
    let exec = w.exec_record(13, 14, "/bin/x", "x");
    let seen = w.feed(&exec).remove(0);
    assert_eq!((seen.name.as_str(), seen.arg("dirfd")), ("execveat", "5"));
    // The next one is the usual one.
    assert_eq!(w.exec(13, "/bin/y", "y").name, "execve");
    assert!(w.call(13, "execve", 0, &[]).feed().is_empty());
    // The record of the start was lost.
    w.call(13, "execveat", 0, &[6, 1, 2, 3, 0]).entering().feed();
    let seen = w.call(13, "execve", 0, &[]).go();
    assert_eq!((seen.name.as_str(), seen.arg("dirfd")), ("execveat", "6"));
}

#[test]
fn exit_tells_how_the_process_ended() {
    for (status, group, want) in [
        (0, 0, ["0", "0", "0", "0"]),
        (3 << 8, 3 << 8, ["768", "3", "0", "0"]),
        (9, 9, ["9", "-1", "9", "0"]),
        (11 | 0x80, 0, ["139", "-1", "11", "1"]),
    ] {
        let mut w = World::new();
        w.fork(10, 11);
        let seen = w.exit_thread(11, 11, status, 0, group).remove(0);
        assert_eq!(seen.name, "procexit");
        assert_eq!(["status", "ret", "sig", "core"].map(|a| seen.arg(a)), want);
        assert_eq!(seen.image().ppid, 10);
    }
}

#[test]
fn a_process_ends_with_its_last_thread() {
    let mut w = World::new();
    w.fork(10, 11);
    w.thread(11, 11, 12);
    w.thread(11, 12, 13);
    assert!(w.exit_thread(11, 11, 7 << 8, 2, 0).is_empty(), "the leader went first");
    assert_eq!(w.call(11, "read", 1, &[0]).by(12).go().image().pid, 11);
    assert!(w.exit_thread(11, 12, 0, 0, 0).len() == 1);
    let last = w.events.last().unwrap();
    assert_eq!(
        (last.arg("status"), last.arg("threads")),
        ("1792", "3"),
        "the leader's status counts"
    );
    assert!(
        w.exit_thread(11, 13, 0, 0, 0).is_empty(),
        "two saw themselves as the last"
    );
}

#[test]
fn exec_by_another_thread_makes_it_the_leader() {
    let mut w = World::new();
    w.fork(10, 11);
    w.thread(11, 11, 12);
    w.call(11, "execve", 0, &[1]).text(0, "x").by(12).entering().feed();
    w.exit_thread(11, 11, 0, 1, 0);
    let exec = w.exec_record(11, 12, "/bin/x", "x");
    let seen = w.feed(&exec).remove(0);
    assert_eq!(
        (seen.tid, seen.arg("filename"), name(&seen)),
        (11, "/bin/x <- x", "x".to_owned())
    );
    assert!(w.call(11, "execve", 0, &[]).feed().is_empty());
    let seen = w.exit(11, 0).remove(0);
    assert_eq!(seen.arg("threads"), "1");
}

#[test]
fn a_reused_id_is_a_new_process_and_late_records_find_the_old_one() {
    let mut w = World::new();
    w.fork(10, 11);
    w.exec(11, "/bin/first", "first");
    w.open(11, "/etc/passwd", 3, 0);
    let late = w.now + 1;
    w.exit(11, 0);
    let seen = w.call(11, "read", 0, &[3]).at(late).go();
    assert_eq!(
        (name(&seen).as_str(), seen.fd),
        ("first", None),
        "its descriptors are gone"
    );
    w.fork(10, 11);
    w.exec(11, "/bin/second", "second");
    assert_eq!(name(&w.plain(11, "read", 0, &[0])), "second");
    assert_eq!(name(&w.call(11, "read", 0, &[0]).at(late).go()), "first");
    assert_eq!(name(&w.plain(11, "read", 0, &[0])), "second");
}

#[test]
fn a_reused_id_without_fork_and_exit_is_seen_at_exec() {
    let mut w = World::new();
    w.fork(10, 11);
    w.open(11, "/secret", 3, 0);
    let mut exec = w.exec_record(11, 11, "/bin/other", "other");
    // Its start: behind the header and two 32-bit ids.
    exec[40..48].copy_from_slice(&(w.now - 1).to_ne_bytes());
    let seen = w.feed(&exec).remove(0);
    assert_eq!((name(&seen).as_str(), seen.image().ppid), ("other", 1));
    assert!(w.fds(11).is_empty(), "the other's descriptors");
}

#[test]
fn a_record_after_the_end_is_of_an_unannounced_process() {
    let mut w = World::new();
    w.fork(10, 11);
    w.exec(11, "/bin/first", "first");
    w.exit(11, 0);
    w.now += 1_000_000_000;
    assert_eq!(name(&w.plain(11, "read", 0, &[0])), "");
    assert_eq!(w.resolver.stats().unannounced, 1);
}

#[test]
fn a_fork_that_comes_after_the_childs_records_gives_it_its_lineage() {
    let mut w = World::new();
    w.open(10, "/log", 5, 0);
    let fork = w.fork_record(10, 11);
    let seen = w.open(11, "/data", 3, 0);
    assert_eq!((seen.image().ppid, seen.fd_name().as_str()), (0, "/data"));
    w.feed(&fork);
    let image = w.image(11);
    assert_eq!(
        (image.ppid, &image.name[..], &image.cwd[..]),
        (10, &b"sh"[..], &b"/home/u"[..])
    );
    assert_eq!(
        w.fds(11),
        ["0 /dev/pts/0", "1 /dev/pts/0", "2 /dev/pts/0", "3 /data", "5 /log"]
    );
}

#[test]
fn a_fork_that_comes_after_the_childs_exec_keeps_the_program() {
    let mut w = World::new();
    w.open(10, "/log", 5, 0);
    w.open(10, "/tmp/x", 6, libc::O_CLOEXEC);
    let fork = w.fork_record(10, 11);
    w.exec(11, "/bin/cat", "cat x");
    w.feed(&fork);
    let image = w.image(11);
    assert_eq!(
        (image.ppid, &image.name[..], &image.argv[..]),
        (10, &b"cat"[..], &b"cat\0x"[..])
    );
    assert_eq!(image.parent.as_ref().unwrap().name, b"sh");
    assert_eq!(w.fds(11), ["0 /dev/pts/0", "1 /dev/pts/0", "2 /dev/pts/0", "5 /log"]);
    assert!(w.call(11, "execve", 0, &[]).feed().is_empty());
}

#[test]
fn lineage_outlives_the_parents() {
    let mut w = World::new();
    w.fork(10, 11);
    w.exec(11, "/bin/parent", "parent");
    w.fork(11, 12);
    w.exit(11, 0);
    w.now += 10_000_000_000;
    let seen = w.exec(12, "/bin/child", "child");
    let parent = seen.image().parent.clone().expect("the parent is remembered");
    assert_eq!(
        (&parent.name[..], parent.pid, seen.image().ppid),
        (&b"parent"[..], 11, 11)
    );
    assert_eq!(parent.parent.as_ref().unwrap().name, b"sh");
}

#[test]
fn a_cloned_sibling_belongs_to_the_forkers_parent() {
    let mut w = World::new();
    w.fork(10, 11);
    let header = w.header(11, 11);
    let fork = Fork {
        child_tgid: 12,
        child_tid: 12,
        child_start: header.ts,
        child_cgroup: w.cgroup,
        child_ppid: 10,
        header,
        ..Fork::default()
    };
    w.feed(&bytes(record::KIND_FORK, &fork, &[]));
    let image = w.image(12);
    assert_eq!((image.ppid, image.parent.as_ref().unwrap().pid), (10, 10));
}

#[test]
fn chains_of_parents_stay_short() {
    let mut w = World::new();
    let mut ids = std::collections::HashSet::new();
    for pid in 11..300 {
        w.fork(pid - 1, pid);
        let image = w.image(pid);
        assert!(chain_len(&image) <= MAX_CHAIN);
        assert!(ids.insert(image.id), "an id was given out twice");
        assert_eq!(image.parent.as_ref().unwrap().pid, pid - 1);
    }
    // Many children of a process at the end of a long chain share what was cut once.
    let deep = w.image(299).pid;
    for child in 1000..1010 {
        w.fork(deep, child);
    }
    let first = w.image(1000).parent.as_ref().unwrap().id;
    assert!((1000..1010).all(|c| w.image(c).parent.as_ref().unwrap().id == first));
}

#[test]
fn ended_processes_are_freed_and_living_ones_are_bounded() {
    let config = Config {
        max_processes: 50,
        ..Config::default()
    };
    let mut w = World::with(config, Box::new(crate::resolver::NoHost));
    for pid in 100..1100 {
        w.fork(10, pid);
        w.plain(10, "read", 0, &[0]);
    }
    let stats = w.resolver.stats();
    assert!(stats.processes <= 50 && stats.evicted >= 950, "{stats:?}");
    assert_eq!(w.image(10).name, b"sh", "a process in use stays");
    for pid in 1051..1100 {
        w.exit(pid, 0);
    }
    w.now += 3_000_000_000;
    w.plain(10, "read", 0, &[0]);
    assert!(w.resolver.stats().processes < 5);
}

#[test]
fn calls_that_return_nothing_are_told() {
    let mut w = World::new();
    w.fork(10, 11);
    let seen = w.leave(11, 259);
    let names: Vec<_> = seen.iter().map(|e| (&*e.name, e.ret)).collect();
    assert_eq!(names, [("exit_group", None), ("procexit", None)]);
    assert_eq!((seen[0].arg("status"), seen[1].arg("ret")), ("259", "3"));
    assert!(w.call(10, "getpid", 0, &[]).entering().feed().is_empty());
    // Its register is gone when it returns.
    assert_eq!(w.call(10, "read", 42, &[]).nr(-1).go().name, "rt_sigreturn");
    assert_eq!(w.call(10, "read", -38, &[]).nr(-1).go().arg("nr"), "-1");
    // 15 is another call in the 32-bit table.
    assert_eq!(w.call(10, "read", 42, &[]).compat(-1).go().name, "rt_sigreturn");
    // Where its entries are recorded, another one is what a tracer took back.
    assert!(w.call(10, "rt_sigreturn", 0, &[]).entering().feed().is_empty());
    assert_eq!(w.call(10, "read", 42, &[]).nr(-1).go().name, "rt_sigreturn");
    assert_eq!(w.call(10, "read", 42, &[]).nr(-1).go().name, "unknown");
}

#[test]
fn threads_that_end_after_their_process_still_belong_to_it() {
    let mut w = World::new();
    w.fork(10, 11);
    w.thread(11, 11, 12);
    w.leave(11, 0);
    // It was counted out before the one above, but comes to its record later, after a pause at that.
    w.now += 500_000_000;
    let seen = w.leave_by(11, 12, 0);
    let names: Vec<_> = seen.iter().map(|e| (&*e.name, name(e))).collect();
    assert_eq!(names, [("exit_group", "sh".to_owned())], "no second end of the process");
}

#[test]
fn a_process_that_nobody_introduced_is_named_by_its_fork_or_its_end() {
    let mut w = World::new();
    assert_eq!(name(&w.plain(50, "read", 0, &[0])), "");
    w.fork(50, 51);
    assert_eq!(name(&w.plain(50, "read", 0, &[0])), "sh");
    assert_eq!(name(&w.plain(51, "read", 0, &[0])), "sh");
    let names: Vec<_> = w.leave(60, 0).iter().map(name).collect();
    assert_eq!(names, ["leaver", "leaver"]);
    assert_eq!(name(&w.leave(51, 0)[0]), "sh", "a known name stays");
}

/// A host on which every process is called `asked` and began at a time of the boot clock, 0 if that is not told, and that
/// knows no descriptors.
struct Named {
    start: u64,
}

impl Host for Named {
    fn process(&mut self, pid: u32) -> Option<SnapshotProcess> {
        let mut found = process(pid, 1, "asked", "/");
        found.image.start_ts = OFFSET as u64;
        found.start = self.start;
        Some(found)
    }
    fn fd(&mut self, _: u32, _: i32) -> Option<SnapshotFd> {
        None
    }
    fn cgroup(&mut self, _: u32) -> Option<Vec<u8>> {
        None
    }
}

#[test]
fn too_many_questions_do_not_leave_a_process_without_a_name_for_ever() {
    let config = Config {
        lookups_per_s: 2,
        ..Config::default()
    };
    let mut w = World::with(config, Box::new(Named { start: 0 }));
    w.now += 2_000_000_000;
    for fd in 100..200 {
        w.plain(10, "read", 0, &[fd]);
    }
    let names: Vec<_> = (50..53).map(|pid| name(&w.plain(pid, "read", 0, &[0]))).collect();
    assert_eq!(names, ["asked", "asked", ""], "descriptors have questions of their own");
    let refused = w.resolver.stats().lookups_refused;
    w.now += 1_000_000_000;
    let seen = w.plain(52, "read", 0, &[0]);
    assert_eq!((name(&seen), seen.image().ppid), ("asked".to_owned(), 1));
    assert_eq!(&*seen.image().cgroup, b"/user.slice");
    assert!(refused > 0 && w.resolver.stats().unannounced == 3);
}

#[test]
fn late_records_are_not_those_of_a_new_owner_of_their_id_whose_fork_was_lost() {
    let mut w = World::new();
    w.fork(10, 11);
    w.exec(11, "/bin/first", "first");
    let late = w.now + 1;
    w.exit(11, 0);
    w.plain(11, "read", 0, &[0]);
    // Its start, as its exec tells it.
    let start = w.now - 1;
    assert_eq!(name(&w.call(11, "read", 0, &[0]).at(late).go()), "first");
    let mut exec = w.exec_record(11, 11, "/bin/second", "second");
    exec[40..48].copy_from_slice(&start.to_ne_bytes());
    w.feed(&exec);
    assert_eq!(name(&w.call(11, "read", 0, &[0]).at(late).go()), "first");
    assert_eq!(name(&w.plain(11, "read", 0, &[0])), "second");
    // It is forgotten: whose the record is nobody knows.
    w.now += 3_000_000_000;
    w.plain(10, "read", 0, &[0]);
    assert!(w.call(11, "read", 0, &[0]).at(late).go().image.is_none());
    assert_eq!(name(&w.plain(11, "read", 0, &[0])), "second");
    assert_eq!(w.resolver.stats().unannounced, 1);
}

#[test]
fn where_the_host_tells_when_a_process_began_what_is_older_is_not_its() {
    let start = 1_005_000;
    let mut w = World::with(Config::default(), Box::new(Named { start }));
    // The host speaks of one that began later and has the id by now.
    assert_eq!(name(&w.plain(50, "read", 0, &[0])), "");
    w.now = start;
    assert_eq!(name(&w.plain(51, "read", 0, &[0])), "asked");
    assert!(w.call(51, "read", 0, &[0]).at(start - 1).go().image.is_none());
    assert_eq!(name(&w.call(51, "read", 0, &[0]).at(start).go()), "asked");
    // The tick before is no other start than the one that its exec tells.
    let mut exec = w.exec_record(51, 51, "/bin/x", "x");
    exec[40..48].copy_from_slice(&(start + 500).to_ne_bytes());
    let seen = w.feed(&exec).remove(0);
    assert_eq!((name(&seen), seen.image().start_ts), ("x".to_owned(), OFFSET as u64));
    assert_eq!(w.resolver.stats().unannounced, 2);
}

#[test]
fn a_process_keeps_the_start_that_was_told_first() {
    let mut w = World::new();
    w.fork(10, 11);
    let start = w.image(11).start_ts;
    assert!(start > 0);
    for _ in 0..2 {
        let mut exec = w.exec_record(11, 11, "/bin/x", "x");
        // Its start, as `replace_if_other` finds it to be the same, by a clock that was measured anew.
        exec[40..48].copy_from_slice(&(start - OFFSET as u64).to_ne_bytes());
        let seen = w.feed_at(&exec, OFFSET + 3).remove(0);
        assert_eq!(seen.image().start_ts, start);
    }
}

#[test]
fn a_process_that_was_read_before_its_fork_is_told_keeps_its_start() {
    let mut w = World::with(Config::default(), Box::new(Named { start: 0 }));
    w.plain(50, "read", 0, &[0]);
    let read = w.image(50).start_ts;
    w.now += 5_000_000;
    w.fork(10, 50);
    assert_eq!(w.image(50).start_ts, read);
    w.plain(51, "read", 0, &[0]);
    w.now += 500_000_000;
    w.fork(10, 51);
    assert!(w.image(51).start_ts > read, "another process");
}

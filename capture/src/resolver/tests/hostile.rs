//! Records that no kernel would make: nothing panics, nothing grows without bound.

use ctrace_wire::record::{Exit, KIND_EXIT, NO_CALL};

use super::world::{World, bytes};
use crate::resolver::{Clock, Config, NoHost};
use crate::syscall::Record;

/// Numbers that repeat from run to run (a linear congruential generator, Knuth's constants).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 16
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

#[test]
fn damaged_records_never_panic() {
    let config = Config {
        max_processes: 64,
        max_fds: 4096,
        ..Config::default()
    };
    let mut w = World::with(config, Box::new(NoHost));
    let mut numbers = Numbers(7);
    let mut seeds = vec![
        w.fork_record(10, 11),
        w.exec_record(11, 11, "/bin/cat", "cat a b c"),
        w.call(10, "openat", 3, &[-100, 1, 0])
            .text(1, "a/../b")
            .file("/b", 1)
            .record(),
        w.call(10, "connect", 0, &[3, 1, 16])
            .part(2, 1, &[2, 0, 0, 80, 1, 2, 3, 4])
            .record(),
        w.call(10, "pipe2", 0, &[1, 0]).pair(0, [5, i32::MAX]).record(),
        w.call(10, "renameat2", 0, &[5, 1, 6, 2])
            .text(1, "x")
            .text(3, "y")
            .record(),
        w.call(10, "dup2", 9, &[3, 9]).record(),
        w.call(10, "close_range", 0, &[0, 100]).record(),
        w.call(10, "chdir", 0, &[1]).text(0, "deep").record(),
        w.call(10, "setresuid", 0, &[1, 2, 3]).record(),
        w.call(10, "execve", 0, &[1]).text(0, "x").entering().record(),
        w.call(10, "close_range", 0, &[50, 60, 2]).record(),
    ];
    for what in [libc::CLONE_FS, libc::CLONE_FILES] {
        seeds.push(w.call(10, "unshare", 0, &[i64::from(what)]).record());
    }
    // Processes and threads that share some, all or nothing, and end.
    for shared in 0..4 {
        w.shared = shared;
        seeds.extend([(10, 11), (11, 12), (10, 10), (11, 11)].map(|(parent, child)| w.fork_record(parent, child)));
        let end = Exit {
            header: w.header(10, 10),
            threads_left: shared & 1,
            call: NO_CALL,
            ..Exit::default()
        };
        seeds.push(bytes(KIND_EXIT, &end, &[]));
    }
    // All calls on all kinds of arguments.
    for nr in 0..480 {
        seeds.push(
            w.call(10, "read", 1, &[3, -1, i64::MAX, i64::MIN, 7, 1])
                .nr(nr)
                .text(0, "p")
                .record(),
        );
    }
    let clock = Clock { offset_ns: -5 };
    let mut events = 0u64;
    for round in 0..200_000u64 {
        let pick = numbers.below(seeds.len() as u64) as usize;
        let mut bytes = seeds[pick].clone();
        for _ in 0..numbers.below(4) {
            let at = 4 + numbers.below(bytes.len() as u64 - 4) as usize;
            bytes[at] = numbers.next() as u8;
        }
        if round % 3 == 0 {
            // Within a few processes and in time order, so that state builds up.
            let pid = (numbers.below(6) as u32 + 10).to_ne_bytes();
            bytes[16..20].copy_from_slice(&pid);
            bytes[8..16].copy_from_slice(&(1_000_000 + round * 1000).to_ne_bytes());
        }
        if let Ok(record) = Record::parse(&bytes) {
            w.resolver.record(&record, &clock, &mut |_| events += 1);
        }
    }
    let stats = w.resolver.stats();
    assert!(events > 100_000, "{events}");
    assert!(stats.processes <= 64 + 256, "{stats:?}");
    assert!(w.resolver.snapshot().len() <= 64);
}

/// As long as a command line can be.
fn long_line(marks: u32) -> String {
    format!("x {marks} {}", "y".repeat(65_000))
}

#[test]
fn a_long_command_line_is_kept_once_for_all_who_have_it() {
    let mut w = World::new();
    w.exec(10, "/bin/x", &long_line(0));
    for pid in 100..4_100 {
        w.fork(10, pid);
    }
    let stats = w.resolver.stats();
    assert!(stats.image_bytes < 8 << 20 && stats.images_cut == 0, "{stats:?}");
    assert_eq!(w.image(4_099).argv.len(), long_line(0).len());
}

#[test]
fn what_images_take_is_bounded_and_the_newest_are_whole() {
    const MOST: usize = 16 << 20;
    let config = Config {
        max_image_bytes: MOST,
        ..Config::default()
    };
    let mut w = World::with(config, Box::new(NoHost));
    for pid in 100..1_100 {
        w.fork(10, pid);
        let seen = w.exec(pid, "/bin/x", &long_line(pid));
        assert_eq!(seen.image().argv.len(), long_line(pid).len());
        assert!(w.resolver.stats().image_bytes as usize <= MOST + 128 * 1024);
        w.events.clear();
    }
    let stats = w.resolver.stats();
    assert!(stats.images_cut > 800 && stats.evicted == 0, "{stats:?}");
    let first = w.image(100);
    assert!(first.argv.starts_with(b"x\x00100\0y") && first.argv.ends_with(b"y..."));
    assert_eq!(
        (first.argv.len(), first.pid, &first.cwd[..]),
        (1024, 100, &b"/home/u"[..])
    );
    let children: usize = (100..1_100).map(|pid| w.image(pid).argv.room()).sum();
    assert!(children <= MOST, "{children}");
    // Those of ancestors too: each generation has ended but for its children.
    for pid in 1_100..3_100 {
        w.fork(pid - 1, pid);
        w.exec(pid, "/bin/x", &long_line(pid));
        w.exit(pid - 1, 0);
        assert!(w.resolver.stats().image_bytes as usize <= MOST + 128 * 1024);
        w.events.clear();
    }
    let living = w.resolver.living();
    assert_eq!((living.len(), living[2].pid, living[1_001].pid), (1_002, 100, 3_099));
}

#[test]
fn where_even_short_texts_are_too_much_processes_are_forgotten() {
    let config = Config {
        max_image_bytes: 1 << 20,
        ..Config::default()
    };
    let mut w = World::with(config, Box::new(NoHost));
    for pid in 100..5_100 {
        w.fork(10, pid);
        assert!(w.resolver.stats().image_bytes <= (1 << 20) + 4096);
    }
    let stats = w.resolver.stats();
    assert!(stats.evicted > 2_000 && stats.processes > 300, "{stats:?}");
    assert_eq!(w.image(5_099).pid, 5_099);
}

#[test]
fn what_descriptors_take_is_bounded_and_who_has_most_loses_first() {
    const MOST: usize = 4 << 20;
    let config = Config {
        max_fd_bytes: MOST,
        ..Config::default()
    };
    let mut w = World::with(config, Box::new(NoHost));
    w.fork(10, 11);
    let open = |w: &mut World, pid, fd: u32, name: &str| {
        let call = w.call(pid, "openat", i64::from(fd), &[-100, 1, 0]);
        let record = call.text(1, name).file(name, u64::from(fd)).record();
        let seen = w.feed(&record);
        w.events.clear();
        seen
    };
    open(&mut w, 11, 3, "/of/another");
    let directory = "/0123456789abcdef".repeat(200);
    for fd in 3..3_000 {
        let name = format!("{directory}/{fd}");
        let seen = open(&mut w, 10, fd, &name);
        assert_eq!(seen[0].fd_name(), name);
        assert!(w.resolver.stats().fd_bytes as usize <= MOST + 16 * 1024);
    }
    let stats = w.resolver.stats();
    assert!(stats.fds_refused > 1_000, "{stats:?}");
    let kept: Vec<_> = w.resolver.snapshot();
    let of = |pid| {
        kept.iter()
            .find(|p| p.image.pid == pid)
            .map(|p| &p.fds)
            .expect("it lives")
    };
    assert!(of(11).iter().any(|(_, entry)| entry.name == b"/of/another"));
    let bytes: usize = of(10).iter().map(|(_, entry)| entry.name.len()).sum();
    assert!(bytes > 0 && bytes <= MOST, "{bytes}");
}

#[test]
fn children_of_one_with_many_descriptors_are_bounded() {
    const MOST: usize = 4 << 20;
    let config = Config {
        max_fd_bytes: MOST,
        ..Config::default()
    };
    let mut w = World::with(config, Box::new(NoHost));
    for fd in 3..5_000 {
        w.open(10, "/f", fd, 0);
    }
    for pid in 100..3_100 {
        w.fork(10, pid);
        w.plain(pid, "close_range", 0, &[3, 100_000, 4]);
        assert!(w.resolver.stats().fd_bytes as usize <= MOST + 100 * 1024);
        w.events.clear();
    }
    let all = w.resolver.snapshot();
    let with_all = all.iter().filter(|process| process.fds.len() > 4_000).count();
    assert!((10..=MOST / 50_000).contains(&with_all), "{with_all}");
    assert!(w.resolver.stats().fds_refused > 1_000_000);
}

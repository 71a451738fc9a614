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

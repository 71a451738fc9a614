//! Measures what resolving a record costs: `cargo run --release -p ctrace-capture --example resolver_cost`.
//!
//! Needs no privilege: the records are made here, in the kernel's layout.
#![allow(missing_docs, reason = "a measuring program, not an interface")]

use std::hint::black_box;
use std::time::Instant;

use ctrace_capture::resolver::{Clock, Config, NoHost, Resolver, Snapshot};
use ctrace_capture::syscall::Record;
use ctrace_wire::Pod;
use ctrace_wire::record::{Exec, Fork, Header, KIND_EXEC, KIND_FORK, KIND_SYSCALL, Syscall};
use ctrace_wire::section::{EXEC_ARGV, EXEC_FILENAME, FILE, FILE_PATH, File, STRING, padded};

const PROCESSES: u32 = 200;
const RECORDS: u32 = 2_000_000;
const ROUNDS: u32 = 5;

fn main() {
    let mut bench = Bench::new();
    let ordinary = |name, nr, args| (name, move |i: u32| call(i, nr, args, 0, &[]));
    for (name, make) in [
        ordinary("getppid", libc::SYS_getppid, [0; 6]),
        ordinary("read", libc::SYS_read, [3, 0, 4096, 0, 0, 0]),
        ordinary("fstat", libc::SYS_fstat, [4, 0, 0, 0, 0, 0]),
        ordinary("mmap", libc::SYS_mmap, [0, 4096, 3, 2, 5, 0]),
    ] {
        bench.measure(name, 1, |i, out| out.push(make(i)));
    }
    bench.measure("close of an unknown descriptor", 1, |i, out| {
        out.push(call(i, libc::SYS_close, [90, 0, 0, 0, 0, 0], 0, &[]));
    });
    bench.measure("openat + close", 2, |i, out| {
        out.extend(open_close(i, b"/usr/lib/x86_64-linux-gnu/libc.so.6"))
    });
    bench.measure("openat + close, each of another file", 2, |i, out| {
        out.extend(open_close(
            i,
            format!("/home/user/project/src/module/file{i}.rs").as_bytes(),
        ));
    });
    bench.measure("newfstatat", 1, |i, out| {
        let path = section(STRING, 1, b"src/main.rs");
        out.push(call(
            i,
            libc::SYS_newfstatat,
            [-100i64 as u64, 1, 2, 0, 0, 0],
            -2,
            &[path],
        ));
    });
    bench.measure("fork + exec", 2, |i, out| out.extend(fork_exec(i)));
}

struct Bench {
    resolver: Resolver,
}

impl Bench {
    /// Many processes with a few descriptors each.
    fn new() -> Bench {
        let mut bench = Bench {
            resolver: Resolver::new(Config::default(), Snapshot::default(), Box::new(NoHost)),
        };
        for i in 0..PROCESSES * 3 {
            let file = section(FILE, 0, raw(&File::default()));
            let path = section(FILE_PATH, 0, b"data\0home\0");
            let fd = 3 + u64::from(i / PROCESSES);
            let parts = [section(STRING, 1, b"/home/data"), file, path];
            bench.feed(&call(
                i,
                libc::SYS_openat,
                [-100i64 as u64, 1, 0, 0, 0, 0],
                fd as i64,
                &parts,
            ));
        }
        bench
    }

    fn feed(&mut self, bytes: &[u8]) {
        if let Ok(record) = Record::parse(bytes) {
            self.resolver.record(&record, &Clock::default(), &mut |event| {
                black_box(event);
            });
        }
    }

    /// Makes some thousand records, feeds them again and again, and prints the best round.
    fn measure(&mut self, name: &str, per_call: u32, make: impl Fn(u32, &mut Vec<Vec<u8>>)) {
        let mut records = Vec::new();
        for i in 0..4096 {
            make(i, &mut records);
        }
        let count = RECORDS / per_call;
        let mut best = f64::MAX;
        for _ in 0..ROUNDS {
            let started = Instant::now();
            for record in records.iter().cycle().take(count as usize) {
                self.feed(record);
            }
            best = best.min(started.elapsed().as_nanos() as f64 / f64::from(count));
        }
        println!("{name:40} {best:6.1} ns a record");
    }
}

fn open_close(i: u32, path: &[u8]) -> Vec<Vec<u8>> {
    let components: Vec<u8> = path.rsplit(|b| *b == b'/').flat_map(|c| [c, b"\0"].concat()).collect();
    let parts = [
        section(STRING, 1, path),
        section(FILE, 0, raw(&File::default())),
        section(FILE_PATH, 0, &components),
    ];
    let open = call(i, libc::SYS_openat, [-100i64 as u64, 1, 0o2000000, 0, 0, 0], 9, &parts);
    vec![open, call(i, libc::SYS_close, [9, 0, 0, 0, 0, 0], 0, &[])]
}

fn fork_exec(i: u32) -> Vec<Vec<u8>> {
    let child = 100_000 + i;
    let fork = Fork {
        header: header(i),
        child_tgid: child,
        child_tid: child,
        child_ppid: header(i).tgid,
        ..Fork::default()
    };
    let exec = Exec {
        header: Header {
            tgid: child,
            tid: child,
            ..header(i)
        },
        old_tid: child,
        ..Exec::default()
    };
    let parts = [
        section(EXEC_FILENAME, 0, b"/usr/bin/cat"),
        section(EXEC_ARGV, 0, b"cat\0/etc/passwd\0"),
        section(FILE, 0, raw(&File::default())),
        section(FILE_PATH, 0, b"cat\0bin\0usr\0"),
    ];
    vec![record(KIND_FORK, &fork, &[]), record(KIND_EXEC, &exec, &parts)]
}

fn header(i: u32) -> Header {
    Header {
        ts: 1_000_000,
        tgid: 1000 + i % PROCESSES,
        tid: 1000 + i % PROCESSES,
        cgroup: 0,
        ..Header::default()
    }
}

fn call(i: u32, nr: i64, args: [u64; 6], ret: i64, parts: &[Vec<u8>]) -> Vec<u8> {
    let call = Syscall {
        header: header(i),
        nr: nr as i32,
        reserved: 0,
        ret,
        args,
    };
    record(KIND_SYSCALL + args.len() as u8, &call, parts)
}

fn section(kind: u8, arg: u8, data: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, arg];
    out.extend((data.len() as u16).to_ne_bytes());
    out.extend((data.len() as u32).to_ne_bytes());
    out.extend(data);
    out.resize(padded(out.len()), 0);
    out
}

fn raw<T: Pod>(value: &T) -> &[u8] {
    // SAFETY: Pod types have no padding, so that all their bytes are initialised; the slice lives as long as the value.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// A whole record: length and kind filled in, then the sections.
fn record<T: Pod>(kind: u8, fixed: &T, parts: &[Vec<u8>]) -> Vec<u8> {
    let bytes = [raw(fixed).to_vec(), parts.concat()].concat();
    let len = bytes.len() as u32;
    let head = [&len.to_ne_bytes()[..], &[kind]].concat();
    [&head[..], bytes.get(head.len()..).unwrap_or_default()].concat()
}

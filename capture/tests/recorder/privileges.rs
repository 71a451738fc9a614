//! What the recorder may still do while it records, and what the command that it observes may.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::case::{closed, rows};
use crate::run::{PATIENCE, folder, recording};
use ctrace_skip::is_root;

// linux/capability.h
const DAC_OVERRIDE: u32 = 1;
const DAC_READ_SEARCH: u32 = 2;
const SYS_PTRACE: u32 = 19;
const AUDIT_CONTROL: u32 = 30;
const BPF: u32 = 39;

fn number(status: &str, name: &str) -> u64 {
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .expect("is there");
    u64::from_str_radix(value.trim_start_matches(':').trim(), 16).expect("hexadecimal")
}

/// Name and status of each thread.
fn threads(pid: u32) -> Vec<(String, String)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let read = |path: &Path, name: &str| fs::read_to_string(path.join(name)).unwrap_or_default();
    let all = tasks.flatten().map(|task| {
        let path = task.path();
        (read(&path, "comm").trim().to_owned(), read(&path, "status"))
    });
    all.filter(|(_, status)| !status.is_empty()).collect()
}

#[test]
fn every_thread_gives_up_what_it_does_not_need_and_the_command_keeps_all_as_root() {
    if !is_root("every_thread_gives_up_what_it_does_not_need_and_the_command_keeps_all_as_root") {
        return;
    }
    let dir = folder();
    let case = dir.path().join("case");
    let seen = dir.path().join("seen");
    // It goes on until the threads were looked at, without work: it has the recorder's priority.
    let script = format!(
        "cat /proc/self/status >{0}.part; mv {0}.part {0}; until [ -e {0}.done ]; do sleep 0.1; done",
        seen.display()
    );
    let running = recording(&case, &["--snaplen", "16", "--", "timeout", "300", "sh", "-c", &script]);
    let begun = Instant::now();
    let allowed: u64 = [DAC_OVERRIDE, DAC_READ_SEARCH, SYS_PTRACE, AUDIT_CONTROL, BPF]
        .iter()
        .map(|bit| 1 << bit)
        .sum();
    let left = loop {
        let threads = threads(running.pid());
        let given_up = |(_, status): &(String, String)| {
            number(status, "CapPrm") & !allowed == 0 && number(status, "NoNewPrivs") == 1
        };
        if seen.exists() && threads.iter().all(given_up) {
            break threads;
        }
        assert!(begun.elapsed() < PATIENCE, "{threads:?}");
        std::thread::sleep(Duration::from_millis(10));
    };
    fs::write(seen.with_extension("done"), "").expect("own folder");
    for (name, status) in &left {
        assert_eq!(number(status, "CapEff"), number(status, "CapPrm"), "{name}");
        assert_eq!(number(status, "CapInh"), 0, "{name}");
        assert_eq!(number(status, "CapBnd") & !allowed, 0, "{name}");
    }
    let (_, main) = left
        .iter()
        .find(|(name, _)| name.starts_with("ctrace-recorde"))
        .expect("the main thread");
    let expected = 1 << SYS_PTRACE | 1 << DAC_READ_SEARCH;
    assert_eq!(number(main, "CapEff") & expected, expected);
    assert_eq!(number(main, "CapEff") & 1 << DAC_OVERRIDE, 0, "the case is its own");
    assert_eq!(
        number(main, "CapEff") & 1 << AUDIT_CONTROL,
        0,
        "there are no rules to undo"
    );
    let (own, of_command) = (
        fs::read_to_string("/proc/self/status").expect("Linux"),
        fs::read_to_string(&seen).expect("written"),
    );
    for what in ["CapPrm", "CapEff", "CapBnd", "NoNewPrivs"] {
        assert_eq!(number(&of_command, what), number(&own, what), "{what} of the command");
    }
    // It can still do all that it has to.
    running.signal(libc::SIGTERM).expect(0);
    closed(&case);
    assert!(rows(&case).iter().any(|row| row.kind == "openat" && row.name == "cat"));
}

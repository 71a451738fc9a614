//! All sources in one order of time, on a busy host too; and what cannot be, because the kernel tells of it later.

use std::process::Command;

use crate::case::{Row, closed, open, rows};
use crate::run::{Load, folder, ordinary, record, start};
use ctrace_skip::{is_root, variable};

/// Stamps of audit records are so coarse.
const TICK_NS: u64 = 10_000_000;

/// More than the CPUs can run at once.
const BUSY: usize = 3;

/// Joins the audited login uid, and does what the kernel, programs and the engine tell of.
const SCRIPT: &str = "echo $1 >/proc/self/loginuid; auditctl -m ctrace-order >/dev/null; \
    for i in 1 2 3; do docker -H $2 run --rm --pull never ctrace-lab/busybox sh -c 'cat /etc/shadow; exit 0'; \
    auditctl -m ctrace-order >/dev/null; done";

/// Whether a call that audit tells of may have taken longer than the recorder waits: its process did nothing else meanwhile.
fn took_long(told: &Row, rows: &[Row]) -> bool {
    const NEARLY_A_WAIT_NS: u64 = 200_000_000;
    if told.kind != "audit" || !told.arg("types").starts_with("SYSCALL") {
        return false;
    }
    let others = rows.iter().filter(|r| r.pid == told.pid && r.ts > told.ts);
    let next = others.filter(|r| r.kind != "audit" && r.kind != told.arg("syscall"));
    let next = next.map(|r| r.ts).min();
    next.is_none_or(|next| next - told.ts >= NEARLY_A_WAIT_NS)
}

#[test]
fn on_a_busy_host_three_sources_are_one_order_of_time_as_root() {
    let test = "on_a_busy_host_three_sources_are_one_order_of_time_as_root";
    if !is_root(test) {
        return;
    }
    let (Some(docker), Some(auid)) = (variable(test, "CTRACE_TEST_DOCKER"), variable(test, "CTRACE_TEST_AUID")) else {
        return;
    };
    let dir = folder();
    let case = dir.path().join("case");
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get());
    let load: Vec<Load> = (0..cpus * BUSY).map(|_| Load::ordinary(":")).collect();
    let args = ["--docker-host", &docker, "--", "sh", "-c", SCRIPT, "sh", &auid, &docker];
    let ended = start(ordinary(&case, &args)).wait();
    drop(load);
    ended.expect(0).saying("recording syscalls, docker, audit");
    closed(&case);
    let rows = rows(&case);
    // The kernel tells of an audited call when that ends, with the time at which it began. One that took longer than the
    // recorder waits, as to load BPF programs does and any call of a process that does not get its turn, may stand behind
    // newer events, and is counted. Nothing else does.
    let mut newest = 0;
    let behind = rows.iter().filter(|r| {
        newest = newest.max(r.ts);
        r.ts < newest
    });
    let loads = |r: &Row| r.kind == "audit" && r.arg("types").starts_with("BPF,");
    let (behind, others): (Vec<&Row>, Vec<&Row>) = behind.partition(|r| loads(r) || took_long(r, &rows));
    assert!(others.is_empty(), "{others:?}");
    let (late, problems) = open(&case).late();
    assert_eq!(late.iter().map(|l| l.count).sum::<u64>(), behind.len() as u64);
    assert_eq!(problems, []);
    let of = |kind: &'static str| rows.iter().filter(move |r| r.kind == kind);
    assert_eq!(of("docker").filter(|r| r.arg("action") == "start").count(), 3);
    assert!(of("audit").filter(|r| r.arg("types").contains("EXECVE")).count() > 10);
    // These end without a record that says so.
    let said = of("audit").filter(|r| r.arg("types") == "USER" && r.arg("raw").contains("ctrace-order"));
    assert_eq!(said.count(), 4);
}

/// A rule of the kernel's, removed when dropped.
struct Rule(String);

impl Rule {
    fn add(rule: String) -> Rule {
        Rule::auditctl("-a", &rule);
        Rule(rule)
    }

    fn auditctl(action: &str, rule: &str) {
        let done = Command::new("auditctl").arg(action).args(rule.split(' ')).status();
        assert!(done.is_ok_and(|s| s.success()), "auditctl {action} {rule}");
    }
}

impl Drop for Rule {
    fn drop(&mut self) {
        Rule::auditctl("-d", &self.0);
    }
}

#[test]
fn what_the_kernel_tells_late_is_recorded_with_its_time_and_counted_as_root() {
    let test = "what_the_kernel_tells_late_is_recorded_with_its_time_and_counted_as_root";
    if !is_root(test) {
        return;
    }
    let Some(auid) = variable(test, "CTRACE_TEST_AUID") else {
        return;
    };
    let dir = folder();
    let case = dir.path().join("case");
    // The stamp is the time at which a call began, the records come at its end.
    let _rule = Rule::add(format!(
        "always,exit -F arch=b64 -S clock_nanosleep -F auid={auid} -k ctrace-late"
    ));
    // The first sleep is nobody's business: it lets the recorder get under way.
    let script = "sleep 0.5; echo $1 >/proc/self/loginuid; sleep 2.9; sleep 2.6";
    let ended = record(
        &case,
        &["--sources", "syscalls,audit", "--", "sh", "-c", script, "sh", &auid],
    );
    ended.expect(0).saying(" 0 lost, ").saying(" out of order");
    let found = closed(&case);
    assert!(found.totals.lost.is_empty(), "late is not lost");
    let rows = rows(&case);
    let (mut newest, mut behind) = (0, Vec::new());
    for row in &rows {
        if row.ts < newest {
            behind.push((row, newest - row.ts));
        }
        newest = newest.max(row.ts);
    }
    let slept: Vec<_> = behind.iter().filter(|(r, _)| r.arg("key") == "ctrace-late").collect();
    assert_eq!(slept.len(), 2, "{behind:?}");
    // Others on this host sleep too.
    let shell = rows.iter().find(|r| r.kind == "execve" && r.ppid == ended.pid);
    let shell = shell.expect("the command").pid;
    let calls: Vec<_> = rows
        .iter()
        .enumerate()
        .filter(|(_, r)| r.kind == "clock_nanosleep" && r.ppid == shell)
        .collect();
    assert_eq!(calls.len(), 3);
    for ((audit, delay), ((at, call), slept_ms)) in slept.iter().zip(calls.iter().skip(1).zip([2900, 2600])) {
        // Its own time is after the sleeper's call before it, and a sleep's length before its end.
        let earlier = |r: &&Row| r.pid == call.pid && r.kind != "audit";
        let before = rows[..*at].iter().rev().find(earlier).expect("its start");
        assert!(audit.ts + TICK_NS >= before.ts, "{audit:?} is before {before:?}");
        let ms = (call.ts - audit.ts) / 1_000_000;
        assert!(ms >= slept_ms, "its own time: {ms} ms before the end");
        // It stands where the recorder was when it came: so far behind, less what it holds.
        assert!((300..ms + 300).contains(&(delay / 1_000_000)), "{delay} ns of {ms} ms");
    }
    let (late, problems) = open(&case).late();
    assert_eq!(problems, []);
    assert_eq!(late.iter().map(|l| l.count).sum::<u64>(), behind.len() as u64);
    let audit = late.iter().find(|l| l.source == "audit").expect("a note");
    assert_eq!(audit.delay_ns, behind.iter().map(|(_, d)| *d).max().unwrap_or(0));
}

//! All sources in one order of time, on a busy host too; and what cannot be, because the kernel tells of it later.

use std::process::Command;

use crate::case::{closed, open, rows};
use crate::run::{Load, folder, record};
use ctrace_skip::{is_root, variable};

/// More than the CPUs can run at once.
const BUSY: usize = 3;

/// Joins the audited login uid, and does what the kernel, programs and the engine tell of.
const SCRIPT: &str = "echo $1 >/proc/self/loginuid; auditctl -m ctrace-order >/dev/null; \
    for i in 1 2 3; do docker -H $2 run --rm --pull never ctrace-lab/busybox sh -c 'cat /etc/shadow; exit 0'; \
    auditctl -m ctrace-order >/dev/null; done";

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
    let load: Vec<Load> = (0..cpus * BUSY).map(|_| Load::shell(":")).collect();
    let ended = record(
        &case,
        &["--docker-host", &docker, "--", "sh", "-c", SCRIPT, "sh", &auid, &docker],
    );
    drop(load);
    ended.expect(0).saying("recording syscalls, docker, audit");
    closed(&case);
    let rows = rows(&case);
    let backwards = rows.windows(2).find(|pair| pair[0].ts > pair[1].ts);
    assert!(backwards.is_none(), "{backwards:?}");
    assert_eq!(open(&case).late(), (vec![], vec![]));
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
    let script = "sleep 0.5; echo $1 >/proc/self/loginuid; sleep 0.9; sleep 0.6";
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
    // Each stands where the recorder was when it came: a sleep's length behind, less what it holds.
    for ((_, delay), slept_ms) in slept.iter().zip([900, 600]) {
        assert!((300..slept_ms + 300).contains(&(delay / 1_000_000)), "{delay} ns");
    }
    let calls: Vec<_> = rows
        .iter()
        .filter(|r| r.kind == "clock_nanosleep" && r.name == "sleep")
        .collect();
    assert_eq!(calls.len(), 3);
    for ((audit, _), (call, slept_ms)) in slept.iter().zip(calls.iter().skip(1).zip([900, 600])) {
        let before = (call.ts - audit.ts) / 1_000_000;
        assert!(
            (slept_ms..slept_ms + 100).contains(&before),
            "its own time: {before} ms before the end"
        );
    }
    let (late, problems) = open(&case).late();
    assert_eq!(problems, []);
    assert_eq!(late.iter().map(|l| l.count).sum::<u64>(), behind.len() as u64);
    let audit = late.iter().find(|l| l.source == "audit").expect("a note");
    assert_eq!(audit.delay_ns, behind.iter().map(|(_, d)| *d).max().unwrap_or(0));
}

//! What can be done to a machine that is the test's own only: it is suspended, its clock is set, and its audit rules are
//! locked until a reboot. `tests/kernels` boots one and sets `CTRACE_TEST_MACHINE`; who runs it wakes it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::audit::{AUDIT, changes, listing, setting, text};
use crate::case::{Row, closed, open, rows, until_written};
use crate::run::{Running, folder, output, record, recording};
use ctrace_skip::variable;

fn clock(id: libc::clockid_t) -> Duration {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of this frame.
    assert_eq!(unsafe { libc::clock_gettime(id, &mut ts) }, 0);
    let part = |n: i64| u64::try_from(n).expect("not negative");
    Duration::from_secs(part(ts.tv_sec)) + Duration::from_nanos(part(ts.tv_nsec))
}

/// How long this machine has slept since it was booted.
fn slept() -> Duration {
    clock(libc::CLOCK_BOOTTIME).saturating_sub(clock(libc::CLOCK_MONOTONIC))
}

#[test]
fn a_machine_that_sleeps_is_recorded_and_goes_on_as_root() {
    if variable(
        "a_machine_that_sleeps_is_recorded_and_goes_on_as_root",
        "CTRACE_TEST_MACHINE",
    )
    .is_none()
    {
        return;
    }
    let dir = folder();
    let case = dir.path().join("case");
    let running = recording(&case, &["--sources", "syscalls"]);
    fs::read("/etc/hostname").expect("readable");
    let before = slept();
    // Returns when the machine was woken.
    fs::write("/sys/power/state", "mem").expect("this machine can be suspended");
    let slept = slept() - before;
    let woken = clock(libc::CLOCK_REALTIME).as_nanos();
    fs::read("/etc/hostname").expect("readable");
    until_written(&case, "that the machine slept", |rows| {
        rows.iter().any(|r| r.kind == "suspend")
    });
    running.signal(libc::SIGINT).expect(0).saying(", 0 lost");
    closed(&case);
    let rows = rows(&case);
    let told: Vec<&Row> = rows.iter().filter(|r| r.kind == "suspend").collect();
    let [told] = told[..] else { panic!("{told:?}") };
    let ns: u64 = told.arg("slept_ns").parse().expect("a number");
    let difference = Duration::from_nanos(ns).abs_diff(slept);
    assert!(
        slept > Duration::from_secs(1) && difference < Duration::from_millis(100),
        "{slept:?}, recorded {ns} ns"
    );
    // The call that put it to sleep, and the same work before and after it, at its true time.
    let own = rows.iter().filter(|r| r.pid == std::process::id());
    let times = |kind: &str, path: &str| {
        let of_it = |r: &&Row| r.kind == kind && (r.arg("name") == path || r.fd == path);
        own.clone().filter(of_it).map(|r| u128::from(r.ts)).collect::<Vec<_>>()
    };
    let asleep = woken - slept.as_nanos();
    let (opened, wrote) = (times("openat", "/etc/hostname"), times("write", "/sys/power/state"));
    let [first, second] = opened[..] else {
        panic!("{opened:?}")
    };
    assert!(first < asleep && second > woken, "{first} {asleep} {woken} {second}");
    assert!(matches!(wrote[..], [ts] if ts <= woken && ts > asleep), "{wrote:?}");
    assert!(rows.windows(2).all(|w| w[0].ts <= w[1].ts), "in order of time");
    assert!(!rows.iter().any(|r| r.kind == "gap"), "nothing was lost");
}

/// Sets the wall clock.
fn set_clock(to: Duration) {
    let ts = libc::timespec {
        tv_sec: i64::try_from(to.as_secs()).expect("a time"),
        tv_nsec: to.subsec_nanos().into(),
    };
    // SAFETY: the pointer is to a timespec of this frame.
    assert_eq!(unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &ts) }, 0);
}

#[test]
fn a_clock_that_is_set_is_recorded_as_root() {
    if variable("a_clock_that_is_set_is_recorded_as_root", "CTRACE_TEST_MACHINE").is_none() {
        return;
    }
    const HOUR: Duration = Duration::from_hours(1);
    let dir = folder();
    let case = dir.path().join("case");
    let running = recording(&case, &["--sources", "syscalls"]);
    let opens = || fs::read("/etc/hostname").expect("readable");
    let steps = |wanted| {
        until_written(&case, "that the clock was set", |rows| {
            rows.iter().filter(|r| r.kind == "clock_step").count() == wanted
        });
    };
    opens();
    set_clock(clock(libc::CLOCK_REALTIME) + HOUR);
    steps(1);
    opens();
    set_clock(clock(libc::CLOCK_REALTIME) - HOUR);
    steps(2);
    opens();
    running.signal(libc::SIGINT).expect(0).saying(", 0 lost");
    closed(&case);
    let rows = rows(&case);
    let deltas = rows.iter().filter(|r| r.kind == "clock_step");
    let deltas: Vec<i64> = deltas.map(|r| r.arg("delta_ns").parse().expect("a number")).collect();
    let hour = i64::try_from(HOUR.as_nanos()).expect("small");
    // Between reading the clock and setting it time passes.
    let near = |delta: i64, wanted: i64| (delta - wanted).abs() < 1_000_000_000;
    assert!(
        matches!(deltas[..], [on, back] if near(on, hour) && near(back, -hour)),
        "{deltas:?}"
    );
    let own = |r: &&Row| r.pid == std::process::id() && r.kind == "openat" && r.arg("name") == "/etc/hostname";
    let opened: Vec<i64> = rows
        .iter()
        .filter(own)
        .map(|r| r.ts.try_into().expect("a time"))
        .collect();
    let [first, second, third] = opened[..] else {
        panic!("{opened:?}")
    };
    assert!(second - first >= hour && third - first < hour, "{opened:?}");
    assert!(
        !rows.iter().any(|r| r.kind == "gap" || r.kind == "late"),
        "nothing was lost, nothing late"
    );
}

fn audited(case: &Path, more: &[&str]) -> Running {
    recording(case, &[&AUDIT[..], more].concat())
}

/// Another recorder is the kernel's daemon for a while.
fn daemon_comes_and_goes(dir: &Path, case: &Path) {
    let daemon = audited(&dir.join("daemon"), &["--audit-mode", "unicast"]);
    let pid = daemon.pid();
    let told = |pid: u32| {
        let status = format!("enabled=1 pid={pid} ");
        until_written(case, &status, |rows| {
            let last = rows.iter().rfind(|r| r.kind == "source_found");
            last.is_some_and(|r| r.arg("detail").starts_with(&status))
        });
    };
    told(pid);
    daemon.signal(libc::SIGINT).expect(0);
    told(0);
}

/// One after another, since there is no way back: switched off and on, then locked while rules are loaded, then locked
/// when a recording begins.
#[test]
fn auditing_that_is_switched_off_and_locked_is_recorded_as_root() {
    if variable(
        "auditing_that_is_switched_off_and_locked_is_recorded_as_root",
        "CTRACE_TEST_MACHINE",
    )
    .is_none()
    {
        return;
    }
    let dir = folder();
    let (rules, case) = (dir.path().join("test.rules"), dir.path().join("case"));
    fs::write(&rules, "-w /etc/hostname -p r -k test-loaded\n").expect("room");
    output("auditctl", &["-e", "1"]);
    output("auditctl", &["-w", "/etc/passwd", "-p", "r", "-k", "test-own"]);
    let own = listing();
    let running = audited(&case, &["--audit-mode", "multicast", "--audit-rules", text(&rules)]);
    daemon_comes_and_goes(dir.path(), &case);
    // Each change is seen by the question that is asked each second, too.
    let switched = |value: &str, words: &[&str]| {
        output("auditctl", &["-e", value]);
        let status = format!("enabled={value} ");
        until_written(&case, &status, |rows| {
            let found = |r: &Row| r.kind == "source_found" && r.arg("detail").starts_with(&status);
            rows.iter().any(found) && changes(rows, words) > 0
        });
    };
    switched("0", &["op=set", "audit_enabled=0 old=1", "res=1"]);
    // While it is off the kernel says nothing, not even of this.
    switched("1", &[]);
    switched("2", &["op=set", "audit_enabled=2 old=1", "res=1"]);
    assert_eq!(setting("enabled"), "2");
    let both = listing();
    assert_eq!(both.lines().count(), own.lines().count() + 1);
    let locked = "audit rules and settings are locked until a reboot (auditctl -e 2)";
    // What was loaded cannot be undone: that is said, and in the case.
    let said = format!("not undone: 1 changes of audit rules and settings: {locked}");
    running.signal(libc::SIGINT).expect(0).saying(&said);
    closed(&case);
    let of_rules = |rows: &[Row]| {
        let lost = rows
            .iter()
            .find(|r| r.kind == "source_lost" && r.arg("source") == "audit rules");
        lost.map(|r| r.arg("reason").to_owned())
    };
    assert_eq!(of_rules(&rows(&case)).as_deref(), Some(&*said));
    assert_eq!(listing(), both);

    let case = dir.path().join("locked");
    let args = [&AUDIT[..], &["--audit-rules", text(&rules), "--", "cat", "/etc/passwd"]];
    record(&case, &args.concat())
        .expect(0)
        .saying(&format!("not recorded: audit rules: {locked}"));
    closed(&case);
    let rows = rows(&case);
    assert_eq!(of_rules(&rows).as_deref(), Some(locked));
    let recorded = |r: &Row| r.kind == "audit" && r.arg("key") == "test-own" && r.arg("exe").ends_with("/cat");
    assert!(rows.iter().any(recorded), "what the host's own rules ask for");
    let opened = open(&case);
    let state = opened.segments()[0].snapshot().expect("readable").expect("a snapshot");
    let audit = state.audit.as_ref().expect("auditing");
    assert_eq!((audit.enabled, audit.rules.join("\n")), (2, both));
}

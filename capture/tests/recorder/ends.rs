//! How a recording ends when all goes well, and how it does not begin.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::case::{closed, open, rows};
use crate::run::{RECORDER, Running, folder, own, record, recorder, recording, start};
use ctrace_skip::{is_root, skip};

const SYSCALLS: [&str; 2] = ["--sources", "syscalls"];

/// Ends a recording and checks that it is closed, with a beginning, an end and its reason.
fn ends_in_order(reason: &str, args: &[&str], end: impl FnOnce(Running) -> crate::run::Ended) {
    let dir = folder();
    let case = dir.path().join("case");
    let own = own();
    let running = recording(&case, &[&SYSCALLS[..], &["--scope", &own], args].concat());
    fs::read("/etc/hostname").expect("readable");
    end(running).expect(0).saying(", 0 lost");
    let found = closed(&case);
    assert_eq!(found.segments.len(), 1);
    let rows = rows(&case);
    assert_eq!(rows.first().map(|r| r.kind.as_str()), Some("capture_start"));
    let last = rows.last().expect("events");
    assert_eq!((last.kind.as_str(), last.arg("reason")), ("capture_stop", reason));
    assert_eq!(found.totals.events, rows.len() as u64);
}

#[test]
fn signals_close_the_case_as_root() {
    if is_root("signals_close_the_case_as_root") {
        for signal in [libc::SIGINT, libc::SIGTERM] {
            ends_in_order("signal", &[], |running| {
                thread::sleep(Duration::from_millis(300));
                running.signal(signal)
            });
        }
    }
}

#[test]
fn the_duration_closes_the_case_as_root() {
    if is_root("the_duration_closes_the_case_as_root") {
        let begun = Instant::now();
        ends_in_order("duration", &["--duration", "1s"], Running::wait);
        assert!(begun.elapsed() >= Duration::from_secs(1));
    }
}

#[test]
fn the_end_of_the_command_closes_the_case_and_its_status_is_told_as_root() {
    if is_root("the_end_of_the_command_closes_the_case_and_its_status_is_told_as_root") {
        ends_in_order("command", &["--", "sleep", "0.3"], Running::wait);
        ends_in_order("command", &["--", "sh", "-c", "sleep 0.3; exit 3"], |running| {
            let ended = running.wait();
            ended.saying("the command ended with exit status: 3");
            ended
        });
    }
}

#[test]
fn a_command_that_cannot_be_run_is_named_as_root() {
    if is_root("a_command_that_cannot_be_run_is_named_as_root") {
        let dir = folder();
        let case = dir.path().join("case");
        for (command, said) in [
            ("/nowhere/at-all", "/nowhere/at-all: No such file or directory"),
            ("no-such-command", "no-such-command: "),
            ("/etc/passwd", "/etc/passwd: Permission denied"),
        ] {
            let ended = record(&case, &["--sources", "syscalls", "--", command]);
            ended.expect(4).saying(said);
            assert!(!case.exists(), "the next try finds no case that was begun for this one");
        }
    }
}

#[test]
fn an_existing_case_is_left_alone_as_root() {
    if !is_root("an_existing_case_is_left_alone_as_root") {
        return;
    }
    let dir = folder();
    let case = dir.path().join("case");
    let again = ["--sources", "syscalls", "--", "true"];
    record(&case, &again).expect(0);
    let before = fs::read(case.join("000001.ctrace")).expect("a segment");
    record(&case, &again).expect(2).saying("the folder is not empty");
    assert_eq!(fs::read(case.join("000001.ctrace")).expect("a segment"), before);
    assert_eq!(fs::read_dir(&case).expect("a folder").count(), 1);
    // Nor is a file taken for a case, or for the folder that it is to lie in.
    let file = dir.path().join("file");
    fs::write(&file, "mine").expect("room");
    for place in [file.clone(), file.join("case")] {
        record(&place, &again).expect(2).saying("a case is a folder");
    }
    assert_eq!(fs::read(&file).expect("still there"), b"mine");
}

#[test]
fn wrong_arguments_are_exit_code_2() {
    let dir = folder();
    for (args, said) in [
        (
            &["--scope", "pods"][..],
            "must be host, containers, container=ID-or-name, cgroup=PATH, pid=N or comm=NAME",
        ),
        (&["--syscalls", "net,opneat"], "the nearest is \"openat\""),
        (&["--buffer", "1KiB"], "must be at least 1MiB"),
        (&["--buffer", "1TiB"], "must be at most 2GiB"),
        (&["--buffer", "3MiB"], "must be a power of two, as 4MiB"),
        (&["--rotate-every", "100ms"], "must be at least 1s"),
        (&["--duration", "0s"], "must be longer than nothing"),
        (&["--scope", "pid=99999999"], "there is no such process"),
        (&["--scope", "cgroup=/nowhere"], "has no such cgroup"),
        (&["--keep", "0"], "must keep at least one segment"),
        (&["--snaplen", "5000"], "at most 4096"),
        (&["--snaplen", "16:tea"], "files, net, unix, pipes"),
        (&["--env", "HOME,LANG=C"], "names of variables"),
        (&["--sources", "tea"], "tea"),
    ] {
        start(recorder(&dir.path().join("case"), args))
            .wait()
            .expect(2)
            .saying(said);
    }
    assert!(!dir.path().join("case").exists());
}

#[test]
fn without_a_source_nothing_is_recorded_and_what_is_missing_is_named() {
    let dir = folder();
    let case = dir.path().join("case");
    let ended = record(
        &case,
        &["--sources", "docker", "--docker-host", "unix:///nowhere/docker.sock"],
    );
    ended
        .expect(4)
        .saying("nothing to record")
        .saying("docker: ")
        .saying("/nowhere/docker.sock");
    assert!(!case.exists());
}

#[test]
fn without_privileges_nothing_is_recorded_and_what_is_missing_is_named_as_root() {
    let name = "without_privileges_nothing_is_recorded_and_what_is_missing_is_named_as_root";
    if !is_root(name) {
        return;
    }
    if Command::new("setpriv").arg("--version").output().is_err() {
        return skip(name, "setpriv is not installed");
    }
    let dir = folder();
    // The folder of the build need not be open to nobody.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).expect("own folder");
    let copy = dir.path().join("recorder");
    fs::copy(RECORDER, &copy).expect("room for a copy");
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy)
        .arg("-o");
    command.arg(dir.path().join("case"));
    command.args(["--docker-host", "unix:///nowhere/docker.sock", "--", "true"]);
    let ended = start(command).wait();
    ended.expect(4).saying("nothing to record");
    for missing in ["syscalls: ", "CAP_", "docker: ", "audit: "] {
        ended.saying(missing);
    }
    assert!(!dir.path().join("case").exists());
}

#[test]
fn a_source_that_is_absent_is_recorded_and_others_go_on_as_root() {
    if !is_root("a_source_that_is_absent_is_recorded_and_others_go_on_as_root") {
        return;
    }
    let dir = folder();
    let case = dir.path().join("case");
    let host = "unix:///nowhere/docker.sock";
    let args = [
        "--sources",
        "syscalls,docker",
        "--docker-host",
        host,
        "--",
        "cat",
        "/etc/hostname",
    ];
    record(&case, &args)
        .expect(0)
        .saying("not recorded: docker: ")
        .saying("recording syscalls\n");
    closed(&case);
    let rows = rows(&case);
    let lost: Vec<_> = rows.iter().filter(|r| r.kind == "source_lost").collect();
    assert_eq!(lost.len(), 1);
    assert!(
        lost[0].arg("source") == "docker" && lost[0].arg("reason").contains("/nowhere/docker.sock"),
        "{lost:?}"
    );
    assert!(
        rows.iter()
            .any(|r| r.kind == "openat" && r.arg("name") == "/etc/hostname" && r.name == "cat")
    );
    let capture = open(&case).segments()[0].header().about.capture.clone();
    assert_eq!(capture.sources, ["syscalls", "docker"]);
    assert!(
        capture.missing.iter().any(|(what, _)| what == "docker"),
        "{:?}",
        capture.missing
    );
}

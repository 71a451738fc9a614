//! `ctrace info`.

use std::ffi::OsStr;
use std::path::Path;

use serde_json::Value;

use crate::cases::{self, Writing, sample};
use crate::run::{Ran, ctrace, folder};

fn info(case: &Path) -> Ran {
    ctrace([OsStr::new("info"), case.as_os_str()])
}

fn json(case: &Path) -> (i32, Value) {
    let ran = ctrace([OsStr::new("info"), OsStr::new("--json"), case.as_os_str()]);
    (ran.code, serde_json::from_str(&ran.out).expect("one JSON object"))
}

#[test]
fn the_sample_is_described() {
    let text = info(sample()).code(0).silent();
    for wanted in [
        "host ",
        "kernel ",
        "boot id ",
        "events ",
        "syscall",
        "docker",
        "audit",
        "web-1",
        "losses     none",
        "bytes per event",
        "000001.ctrace",
        "openat",
    ] {
        assert!(text.contains(wanted), "{wanted:?} in\n{text}");
    }
}

#[test]
fn json_says_the_same_and_adds_up() {
    let (code, info) = json(sample());
    assert_eq!(code, 0);
    let sum = |key: &str| -> u64 {
        info[key]
            .as_object()
            .expect("an object")
            .values()
            .filter_map(Value::as_u64)
            .sum()
    };
    let events = info["events"].as_u64().expect("a number");
    assert!(events > 1000);
    assert_eq!((sum("events_by_source"), sum("events_by_type")), (events, events));
    assert_eq!(info["containers"][0]["name"].as_str().map(str::is_empty), Some(false));
    let bytes = info["bytes"].as_u64().expect("a number");
    let files: u64 = info["segments"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|s| s["bytes"].as_u64())
        .sum();
    assert_eq!(files, bytes);
    assert!((info["bytes_per_event"].as_f64().expect("a number") - bytes as f64 / events as f64).abs() < 1e-9);
    let lines = ctrace([OsStr::new("read"), sample().as_os_str()])
        .code(0)
        .silent()
        .lines()
        .count();
    assert_eq!(lines as u64, events);
}

#[test]
fn a_case_without_events_is_a_case() {
    let folder = folder();
    Writing::begin(&folder.path().join("case")).finish();
    let text = info(&folder.path().join("case")).code(0).silent();
    assert!(text.contains("events     0"), "{text}");
    assert_eq!(json(&folder.path().join("case")).1["from"], Value::Null);
}

#[test]
fn an_unfinished_case_says_so_and_is_no_damage() {
    let folder = folder();
    let mut case = Writing::begin(folder.path().join("case").as_path());
    case.open(b"cat", b"/etc/passwd").flush();
    case.abandon();
    let ran = info(&folder.path().join("case")).code(0);
    assert!(
        ran.out.contains("events     1") && ran.out.contains("unfinished"),
        "{}",
        ran.out
    );
    assert!(ran.err.contains("000001.ctrace.open: unfinished"), "{}", ran.err);
}

#[test]
fn losses_are_counted() {
    let folder = folder();
    let mut case = Writing::begin(folder.path().join("case").as_path());
    case.open(b"cat", b"/etc/passwd").gap(17).gap(3);
    case.finish();
    let text = info(&folder.path().join("case")).code(0).silent();
    assert!(text.contains("20 events in 2 gaps"), "{text}");
    assert_eq!(json(&folder.path().join("case")).1["losses"][0]["count"], 17);
}

#[test]
fn names_do_not_drive_the_terminal() {
    let folder = folder();
    cases::hostile(&folder.path().join("case"));
    let text = info(&folder.path().join("case")).code(0).silent();
    assert!(text.contains("lab\\x1b[31m") && text.contains("web\\x1b[1m"), "{text}");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
}

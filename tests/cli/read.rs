//! `ctrace read`: filters, formats, JSON.

use std::ffi::OsStr;
use std::path::Path;

use ctrace_trace::escape;
use serde_json::Value;

use crate::cases::{self, HOSTILE, sample};
use crate::run::{Ran, ctrace, folder};

fn read(case: &Path, args: &[&str]) -> Ran {
    let command = [OsStr::new("read"), case.as_os_str()];
    ctrace(command.into_iter().chain(args.iter().map(OsStr::new)))
}

fn lines(args: &[&str]) -> Vec<String> {
    read(sample(), args)
        .code(0)
        .silent()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_filter_selects_and_its_negation_the_rest() {
    let all = lines(&["-p", "%evt.num"]);
    let condition = "evt.type in (openat, connect) and container.name = web-1";
    let mut some = lines(&["-p", "%evt.num", condition]);
    assert!(!some.is_empty());
    some.extend(lines(&["-p", "%evt.num", &format!("not ({condition})")]));
    some.sort_by_key(|n| n.parse::<u64>().expect("a number"));
    assert_eq!(some, all);
}

#[test]
fn the_theft_is_found_with_its_process_parent_and_container() {
    let format = "%proc.name|%proc.pname|%container.name|%fd.name|%evt.type";
    let found = lines(&["-p", format, "fd.name=/etc/shadow", "and", "evt.type=openat"]);
    assert_eq!(found, ["cat|sh|web-1|/etc/shadow|openat"]);
}

#[test]
fn a_limit_limits_and_blocks_without_it_are_not_shown() {
    assert_eq!(lines(&["-n", "3"]), lines(&[])[..3]);
    assert_eq!(lines(&["-n", "0"]).len(), 0);
    let condition = "evt.type=openat";
    assert_eq!(lines(&["-n", "2", condition]), lines(&[condition])[..2]);
}

#[test]
fn a_format_keeps_its_own_text_and_pads_fields() {
    assert_eq!(
        lines(&["-n", "1", "-p", "a\t%6evt.num|%3evt.type|"]),
        ["a\t0     |cap|"]
    );
    assert_eq!(lines(&["-n", "1", "-p", "%proc.name"]), ["<NA>"]);
}

#[test]
fn times_are_utc_whatever_the_zone() {
    let json = lines(&["-n", "1", "--json"]);
    let event: Value = serde_json::from_str(&json[0]).expect("JSON");
    let text = event["evt.time.iso8601"].as_str().expect("a text");
    assert!(text.ends_with('Z') && lines(&["-n", "1"])[0].contains(text));
}

#[test]
fn json_is_typed_and_whole() {
    let ran = read(sample(), &["--json"]).code(0);
    let objects = ran.objects();
    let one = |want: &dyn Fn(&Value) -> bool| objects.iter().find(|o| want(o)).expect("an event");
    let theft = one(&|o| o["evt.type"] == "openat" && o["fd.name"] == "/etc/shadow");
    assert!(theft["evt.rawtime"].is_u64() && theft["proc.pid"].is_number() && theft["fd.num"].is_number());
    assert_eq!(theft["evt.failed"], false);
    assert_eq!(theft["proc.aname"][0], "sh");
    assert_eq!(theft["evt.args"]["dirfd"], -100);
    assert_eq!(theft["container.name"], "web-1");
    let docker = one(&|o| o["evt.source"] == "docker" && o["docker.action"] == "start");
    let raw = docker["docker.raw"].as_str().expect("what the engine said");
    assert_eq!(
        serde_json::from_str::<Value>(raw).expect("JSON in JSON")["Action"],
        "start"
    );
    let audit = one(&|o| o["evt.source"] == "audit");
    assert!(audit["audit.serial"].is_u64() && audit["audit.raw"].as_str().is_some_and(|r| r.contains("type=")));
    // Absent is absent, not null.
    assert!(
        objects
            .iter()
            .all(|o| o.as_object().expect("an object").values().all(|v| !v.is_null()))
    );
    let numbers: Vec<u64> = objects.iter().filter_map(|o| o["evt.num"].as_u64()).collect();
    assert!(numbers.is_sorted() && numbers.len() == objects.len());
}

#[test]
fn hostile_names_are_shown_and_not_obeyed() {
    let folder = folder();
    let case = folder.path().join("case");
    cases::hostile(&case);
    let shown = read(&case, &["-p", "%proc.name"]).code(0).silent();
    let expected: Vec<String> = HOSTILE.iter().map(|name| escape::bytes(name)).collect();
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
    for args in [
        &[][..],
        &["--json"],
        &["-p", "%evt.args %proc.cmdline %fs.path.name %container.name"],
    ] {
        let ran = read(&case, args).code(0);
        let bad = |c: char| c != '\n' && (c.is_control() || escape::misleads(c));
        assert_eq!(ran.out.chars().find(|c| bad(*c)), None, "{args:?}");
        assert_eq!(ran.out.lines().count(), HOSTILE.len(), "{args:?}");
    }
    // What can be told in JSON is told whole.
    let objects = read(&case, &["--json"]).code(0).objects();
    assert_eq!(objects[2]["proc.name"], "exe\u{202e}gpj.");
    assert_eq!(objects[4]["proc.name"], "\\xff\\xfe");
}

#[test]
fn a_wrong_filter_or_format_is_shown_with_its_place() {
    let wrong = |args: &[&str]| read(sample(), args).code(2).nothing();
    assert_eq!(
        wrong(&["evt.type=openat and proc.nmae=cat"]),
        "filter:1:21: error: unknown field 'proc.nmae'; did you mean 'proc.name'?\n    \
         evt.type=openat and proc.nmae=cat\n                        ^\n"
    );
    assert!(wrong(&["evt.type=opennat"]).contains("did you mean 'openat'?"));
    assert!(wrong(&["proc.name contians x"]).contains("did you mean 'contains'?"));
    assert!(wrong(&["proc.name=cat and"]).contains("found the end"));
    assert!(wrong(&["-p", "%proc.nam"]).starts_with("format:1:2: error: unknown field 'proc.nam'"));
    assert!(wrong(&["-p", ""]).contains("empty"));
    // The filter is looked at before the case.
    assert!(
        read(Path::new("/no/such"), &["nonsense"])
            .code(2)
            .nothing()
            .starts_with("filter:1:1")
    );
}

#[test]
fn one_segment_can_be_read_alone() {
    let segment = sample().join("000001.ctrace");
    assert_eq!(
        read(&segment, &[]).code(0).silent(),
        read(sample(), &[]).code(0).silent()
    );
}

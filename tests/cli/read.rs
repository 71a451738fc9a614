//! `ctrace read`: filters, formats, JSON.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use ctrace_trace::escape;
use serde_json::Value;

use crate::cases::{self, HOSTILE, sample};
use crate::run::{CTRACE, Ran, ctrace, folder};

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

/// Numbers of the events that are shown.
fn numbers(args: &[&str]) -> Vec<String> {
    lines(&[&["-p", "%evt.num"], args].concat())
}

#[test]
fn questions_are_conditions() {
    for (question, condition) in [
        (
            &["--audit-type", "SYSCALL", "--audit-type=EXECVE"][..],
            "audit.type in (SYSCALL, EXECVE)",
        ),
        (&["--audit-type=SYSCALL,EXECVE"], "audit.type in (SYSCALL, EXECVE)"),
        (&["--audit-type=ALL"], "evt.type=audit"),
        (&["--key=watch"], "audit.key=watch"),
        (&["--success=no"], "evt.failed=true or audit.success=no"),
        (&["--success=yes"], "evt.failed=false or audit.success=yes"),
        (&["--user=root"], "user.name=root"),
        (&["--user=0"], "user.uid=0"),
        (&["--loginuid=-1"], "user.loginuid=-1 or audit.auid=-1"),
        (&["--container=web-1"], "container.name=web-1 or docker.name=web-1"),
        (
            &["--filter=type=container", "--filter=event=start"],
            "docker.type=container and docker.action=start",
        ),
        (
            &["--filter=event=start", "--filter=event=die"],
            "docker.action in (start, die)",
        ),
        (&["--filter=event=exec_create"], "docker.action startswith exec_create"),
        (
            &["--filter=image=ctrace-lab/hosttools"],
            "docker.image startswith ctrace-lab/hosttools",
        ),
        (&["--filter=container=we"], "docker.name startswith we"),
        (&["--filter=label=exitCode=0"], "docker.attributes[exitCode]=0"),
        (&["--filter=network=backnet"], "docker.name=backnet"),
        (
            &["--file=/etc/shadow"],
            // Not where it is only an argument of a command.
            "fd.name contains /etc/shadow or fs.path.name contains /etc/shadow or audit.raw contains 'name=\"/etc/shadow'",
        ),
    ] {
        let found = numbers(question);
        assert!(!found.is_empty(), "{question:?}");
        assert_eq!(found, numbers(&[condition]), "{question:?}");
        // With a filter, both must hold.
        let both = [question, &["evt.num > 500 or evt.num < 10"]].concat();
        let expected = numbers(&[&format!("({condition}) and (evt.num > 500 or evt.num < 10)")]);
        assert_eq!(numbers(&both), expected, "{question:?}");
    }
    assert_eq!(numbers(&["--key=a\" or evt.num >= 0 or audit.key=\"\\"]).len(), 0);
    assert!(
        read(sample(), &["--filter=colour=x"])
            .code(2)
            .nothing()
            .contains("type, event")
    );
    assert!(
        read(sample(), &["--filter=label=x]y"])
            .code(2)
            .nothing()
            .contains("label=NAME")
    );
    let serial = &lines(&["-p", "%audit.serial", "-n1", "evt.type=audit"])[0];
    assert_eq!(
        numbers(&["--audit-event", &format!("{serial},999999999")]),
        numbers(&[&format!("audit.serial={serial}")])
    );
}

#[test]
fn times_cut_both_ends() {
    let all = lines(&["-p", "%evt.num %evt.rawtime"]);
    let time = |line: &String| {
        line.split_once(' ')
            .and_then(|(_, t)| t.parse::<u64>().ok())
            .expect("a time")
    };
    let (from, to) = (time(&all[all.len() / 3]), time(&all[all.len() / 2]));
    let text = |ns: u64| format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000);
    let between = |from: u64, to: u64| -> Vec<String> {
        all.iter().filter(|l| (from..=to).contains(&time(l))).cloned().collect()
    };
    let shown = |args: &[&str]| lines(&[&["-p", "%evt.num %evt.rawtime"], args].concat());
    assert_eq!(
        shown(&["--since", &text(from), "--until", &text(to)]),
        between(from, to)
    );
    let end = all.iter().map(time).max().expect("events");
    assert_eq!(shown(&["--last=500ms"]), between(end - 500_000_000, end));
    assert!(!between(from, to).is_empty() && between(end - 500_000_000, end).len() < all.len());
    // Times and a filter, and the limit counts what is shown.
    let filtered = shown(&["--since", &text(from), "-n", "2", "evt.type=openat"]);
    assert_eq!(
        filtered,
        shown(&["evt.type=openat"])
            .into_iter()
            .filter(|l| time(l) >= from)
            .take(2)
            .collect::<Vec<_>>()
    );
}

#[test]
fn a_tail_is_the_end_and_relative_times_begin_at_zero() {
    let condition = "evt.type=openat";
    let all = lines(&[condition]);
    assert_eq!(lines(&["--tail=3", condition]), all[all.len() - 3..]);
    assert_eq!(lines(&["--tail=0", condition]).len(), 0);
    assert_eq!(lines(&["--tail=999999", condition]), all);
    let relative = lines(&["--relative", "-n1", "-p", "%evt.num"]);
    assert_eq!(relative, ["+0.000000000 0"]);
}

#[test]
fn colour_is_for_terminals_or_when_asked_for() {
    let failed = "evt.type=openat and evt.failed=true";
    assert!(lines(&[failed]).iter().all(|l| !l.contains('\x1b')));
    let coloured = lines(&["--color=always", failed]);
    assert!(!coloured.is_empty());
    assert!(
        coloured
            .iter()
            .all(|l| l.starts_with("\x1b[31m") && l.ends_with("\x1b[0m")),
        "{coloured:?}"
    );
}

#[test]
fn a_case_is_followed_until_it_is_closed() {
    let folder = folder();
    let path = folder.path().join("case");
    let mut case = cases::Writing::begin(&path);
    case.open(b"first", b"/1").flush();
    let out = fs::File::create(folder.path().join("out")).expect("a file");
    let mut child = Command::new(CTRACE)
        .args([
            OsStr::new("read"),
            path.as_os_str(),
            OsStr::new("-f"),
            OsStr::new("-p"),
            OsStr::new("%proc.name"),
        ])
        .stdout(out)
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let shown = || fs::read_to_string(folder.path().join("out")).expect("reads");
    let wait = |text: &str| {
        for _ in 0..6000 {
            if shown() == text {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("{} is not {text}", shown());
    };
    wait("first\n");
    case.open(b"second", b"/2").flush();
    wait("first\nsecond\n");
    case.open(b"third", b"/3");
    case.finish();
    assert!(child.wait().expect("it ends").success());
    assert_eq!(shown(), "first\nsecond\nthird\n");
}

#[test]
fn audit_records_are_shown_with_what_their_fields_mean() {
    let folder = folder();
    let log = folder.path().join("audit.log");
    let line = "type=USER_CMD msg=audit(1795216874.890:3177): pid=18345 uid=0 auid=1000 ses=4294967295 \
                msg='cwd=\"/srv\" cmd=6964202D6E exe=\"/usr/bin/sudo\" terminal=? res=success'\x1dUID=\"root\" AUID=\"ada\"";
    fs::write(&log, format!("{line}\n")).expect("written");
    let case = folder.path().join("case");
    let output = [OsStr::new("-o"), case.as_os_str()];
    ctrace([OsStr::new("import"), log.as_os_str()].into_iter().chain(output)).code(0);
    let shown = read(&case, &["--audit-type", "USER_CMD", "--interpret"]);
    let expected = "----\ntype=USER_CMD msg=audit(2026-11-20T23:21:14.890000000Z:3177) : pid=18345 uid=root auid=ada ses=unset \
                    msg='cwd=/srv cmd=id -n exe=/usr/bin/sudo terminal=? res=success'\n";
    assert_eq!(shown.code(0).silent(), expected);
    let json = read(&case, &["--audit-type", "USER_CMD", "--json"]);
    let event: Value = serde_json::from_str(&json.code(0).silent()).expect("JSON");
    let record = &event["audit.records"][0];
    assert_eq!(record["type"], "USER_CMD");
    let fields = record["fields"].as_array().expect("fields");
    let cmd = fields.iter().find(|f| f["name"] == "cmd").expect("the command");
    assert_eq!((&cmd["raw"], &cmd["value"]), (&"6964202D6E".into(), &"id -n".into()));
}

//! The audit parser on a real log of 40 record types, against what `ausearch` says about the same log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use ctrace_capture::audit::{AuditEvent, Grouper, Record, RecordType, fields};

use ctrace_skip::{shared, skip};

const LOG: &str = "data/audit/audit-scoped.log";

/// Time and serial.
type Id = (u64, u64);

fn group(log: &[u8]) -> Vec<Box<AuditEvent>> {
    let (mut grouper, mut events, mut now) = (Grouper::default(), Vec::new(), 0);
    for line in log.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        let record = Record::parse_line(line).expect("every line of a log is a record");
        now = record.stamp.ts_ns.max(now);
        grouper.push(&record, line, now, &mut events);
        grouper.expire(now, &mut events);
    }
    grouper.finish(&mut events);
    events
}

fn events(test: &str) -> Option<(std::path::PathBuf, Vec<Box<AuditEvent>>)> {
    let path = shared(test, LOG)?;
    let events = group(&std::fs::read(&path).expect("readable"));
    Some((path, events))
}

fn id(event: &AuditEvent) -> Id {
    (event.ts_ns, event.serial)
}

/// The lines of each event in text that has them together.
fn together(text: &[u8]) -> BTreeMap<Id, Vec<&[u8]>> {
    let mut events: BTreeMap<Id, Vec<&[u8]>> = BTreeMap::new();
    for line in text.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        let stamp = Record::parse_line(line).expect("record").stamp;
        events.entry((stamp.ts_ns, stamp.serial)).or_default().push(line);
    }
    events
}

fn ids_in(log: &Path, query: &str) -> BTreeSet<Id> {
    let path = log.with_file_name(format!("ausearch/{query}.raw"));
    together(&std::fs::read(path).expect("readable")).into_keys().collect()
}

#[test]
fn events_are_those_of_ausearch() {
    let test = "events_are_those_of_ausearch";
    let Some((path, events)) = events(test) else { return };
    assert_eq!(events.len(), 1208);
    assert_eq!(
        events.iter().map(|e| e.types.len()).sum::<usize>(),
        5132,
        "no record is lost"
    );
    let Ok(ausearch) = Command::new("ausearch").arg("-if").arg(&path).arg("-r").output() else {
        return skip(test, "ausearch is not installed; only the counts were compared");
    };
    let theirs = together(&ausearch.stdout);
    assert_eq!(theirs.len(), events.len());
    for event in &events {
        let mut ours: Vec<&[u8]> = event.raw.split(|b| *b == b'\n').collect();
        // ausearch ends a record that was not enriched with the separator.
        let same = theirs.get(&id(event)).expect("the same event").iter();
        let mut same: Vec<&[u8]> = same.map(|l| l.strip_suffix(b"\x1d").unwrap_or(l)).collect();
        ours.sort_unstable();
        same.sort_unstable();
        assert_eq!(ours, same, "event {}", event.serial);
    }
}

#[test]
fn keys_and_types_select_what_ausearch_selects() {
    let Some((path, events)) = events("keys_and_types_select_what_ausearch_selects") else {
        return;
    };
    let select =
        |keep: &dyn Fn(&AuditEvent) -> bool| events.iter().filter(|e| keep(e)).map(id).collect::<BTreeSet<_>>();
    for key in ["docker-daemon", "delete"] {
        let ours = select(&|e| e.keys.iter().any(|k| k == key.as_bytes()));
        assert_eq!(ours, ids_in(&path, &format!("k-{key}")), "key {key}");
    }
    for name in ["CONFIG_CHANGE", "SECCOMP", "USER_CMD"] {
        let kind = RecordType::from_name(name.as_bytes()).expect("known");
        assert_eq!(
            select(&|e| e.types.contains(&kind)),
            ids_in(&path, &format!("m-{name}")),
            "type {name}"
        );
    }
}

/// `(time, serial)` → the cells of a line of ausearch's CSV.
fn csv(log: &Path, query: &str) -> Vec<BTreeMap<String, String>> {
    let path = log.with_file_name(format!("ausearch/{query}.csv"));
    let text = String::from_utf8_lossy(&std::fs::read(path).expect("readable")).into_owned();
    let mut lines = text
        .lines()
        .map(|l| l.split(',').map(str::to_owned).collect::<Vec<_>>());
    let names = lines.next().expect("heading");
    lines.map(|cells| names.iter().cloned().zip(cells).collect()).collect()
}

#[test]
fn results_are_those_of_ausearch() {
    let Some((path, events)) = events("results_are_those_of_ausearch") else {
        return;
    };
    let mut compared = 0;
    for query in ["k-delete", "k-docker-daemon", "m-USER_CMD"] {
        for row in csv(&path, query) {
            let serial: u64 = row["SERIAL_NUM"].parse().expect("number");
            let event = events.iter().find(|e| e.serial == serial).expect("the same event");
            let expected = match row["RESULT"].as_str() {
                "success" => Some(true),
                "failed" => Some(false),
                other => panic!("{other}"),
            };
            assert_eq!(event.success, expected, "event {serial}");
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared}");
}

/// ausearch's interpretation of a record, after its stamp.
fn interpreted(log: &Path, query: &str, kind: &str) -> Vec<(u64, String)> {
    let path = log.with_file_name(format!("ausearch/{query}.i"));
    let text = String::from_utf8_lossy(&std::fs::read(path).expect("readable")).into_owned();
    let prefix = format!("type={kind} ");
    let of_kind = text.lines().filter(|l| l.starts_with(&prefix));
    let parts = of_kind.map(|line| {
        let (stamp, body) = line.split_once(") : ").expect("stamp");
        let serial = stamp.rsplit(':').next().expect("serial").parse().expect("number");
        (serial, body.trim_end().to_owned())
    });
    parts.collect()
}

#[test]
fn hex_coded_text_is_decoded_as_ausearch_does() {
    let Some((path, events)) = events("hex_coded_text_is_decoded_as_ausearch_does") else {
        return;
    };
    let event = |serial: u64| events.iter().find(|e| e.serial == serial).expect("the same event");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut compared = 0;
    for query in ["k-delete", "k-docker-daemon", "f-shadow"] {
        for (serial, theirs) in interpreted(&path, query, "EXECVE") {
            let args = event(serial).exec_args();
            let ours: Vec<String> = args
                .iter()
                .enumerate()
                .map(|(n, a)| format!("a{n}={}", text(a)))
                .collect();
            assert_eq!(
                format!("argc={} {}", args.len(), ours.join(" ")).trim_end(),
                theirs,
                "event {serial}"
            );
            compared += 1;
        }
        for (serial, theirs) in interpreted(&path, query, "PROCTITLE") {
            let title = event(serial)
                .records()
                .find(|r| r.kind == RecordType(1327))
                .expect("a title");
            let title = fields(title.body).next().expect("a field").value.decoded().into_owned();
            let ours = text(&title).replace('\0', " ");
            assert_eq!(format!("proctitle={}", ours.trim_end()), theirs, "event {serial}");
            compared += 1;
        }
        for (serial, theirs) in interpreted(&path, query, "SYSCALL") {
            let exe = text(&event(serial).exe);
            assert!(
                theirs.contains(&format!(" exe={exe} ")),
                "event {serial}: {exe} in {theirs}"
            );
            let name = event(serial)
                .syscall
                .as_ref()
                .and_then(|s| s.name.clone())
                .expect("enriched");
            assert!(
                theirs.contains(&format!(" syscall={name} ")),
                "event {serial}: {name} in {theirs}"
            );
            compared += 1;
        }
    }
    assert!(compared > 300, "{compared}");
}

#[test]
fn long_arguments_are_put_together() {
    let Some(path) = shared(
        "long_arguments_are_put_together",
        "data/audit/others/record-execve-long.txt",
    ) else {
        return;
    };
    let events = group(&std::fs::read(path).expect("readable"));
    let args = events[0].exec_args();
    assert_eq!((events.len(), args.len()), (1, 2));
    assert_eq!((args[0].as_slice(), args[1].len()), (&b"/bin/echo"[..], 16384 / 2));
}

//! Audit logs against what `ausearch` says of the same logs, and against the grouping of a live capture.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use ctrace_capture::audit::{Grouper, Record};

use crate::imported::{Imported, Row, import_file, import_files};
use ctrace_skip::{shared, skip};

/// Time, serial.
type Id = (u64, u64);
type Records = Vec<Vec<u8>>;

fn audit(imported: &Imported) -> impl Iterator<Item = &Row> {
    imported.rows.iter().filter(|r| r.kind == "audit")
}

/// The records of every event, sorted.
fn events(imported: &Imported) -> BTreeMap<Id, Records> {
    let mut events = BTreeMap::new();
    for row in audit(imported) {
        let mut records: Records = row.arg("raw").split('\n').map(|l| l.as_bytes().to_vec()).collect();
        records.sort();
        let id = (row.ts, row.arg("serial").parse().expect("a number"));
        assert!(events.insert(id, records).is_none(), "event {id:?} is in two pieces");
    }
    events
}

/// The records of every event in a text that has any order.
fn together(text: &[u8]) -> BTreeMap<Id, Records> {
    let mut events: BTreeMap<Id, Records> = BTreeMap::new();
    for line in text.split(|b| *b == b'\n') {
        let Ok(record) = Record::parse_line(line) else { continue };
        // ausearch ends a record that was not enriched with the separator.
        let line = line.strip_suffix(b"\x1d").unwrap_or(line);
        let id = (record.stamp.ts_ns, record.stamp.serial);
        events.entry(id).or_default().push(line.to_vec());
    }
    events.values_mut().for_each(|records| records.sort());
    events
}

#[test]
fn logs_are_what_ausearch_reads_in_them() {
    let test = "logs_are_what_ausearch_reads_in_them";
    for (file, count) in [("audit-scoped.log", 1208), ("audit-raw-format.log", 158)] {
        let Some(path) = shared(test, &format!("data/audit/{file}")) else {
            return;
        };
        let imported = import_file(&path);
        let report = &imported.outcome.files[0];
        assert_eq!((report.bad, report.unknown), (0, 0), "{file}");
        let ours = events(&imported);
        assert_eq!(ours, together(&std::fs::read(&path).expect("readable")), "{file}");
        assert_eq!(ours.len(), count, "{file}");
        match Command::new("ausearch").arg("-if").arg(&path).arg("-r").output() {
            Ok(ausearch) => assert_eq!(ours, together(&ausearch.stdout), "{file}"),
            Err(_) => skip(test, "ausearch is not installed; compared with the file alone"),
        }
    }
}

/// Queries that ausearch answered on the same log.
#[test]
fn selections_are_those_of_ausearch() {
    let Some(path) = shared("selections_are_those_of_ausearch", "data/audit/audit-scoped.log") else {
        return;
    };
    let imported = import_file(&path);
    let answer = |query: &str| {
        let text = std::fs::read(path.with_file_name(format!("ausearch/{query}.raw"))).expect("readable");
        together(&text).into_keys().collect::<Vec<Id>>()
    };
    let select = |keep: &dyn Fn(&Row) -> bool| {
        let mut ids: Vec<Id> = audit(&imported)
            .filter(|r| keep(r))
            .map(|r| (r.ts, r.arg("serial").parse().expect("a number")))
            .collect();
        ids.sort_unstable();
        ids
    };
    let has = |list: &str, value: &str| list.split(',').any(|v| v == value);
    for key in ["docker-daemon", "delete"] {
        assert_eq!(select(&|r| has(r.arg("key"), key)), answer(&format!("k-{key}")));
    }
    for kind in ["CONFIG_CHANGE", "SECCOMP", "USER_CMD"] {
        assert_eq!(select(&|r| has(r.arg("types"), kind)), answer(&format!("m-{kind}")));
    }
}

/// What a live capture makes of records is what an import makes of them; the order is that of time.
#[test]
fn events_are_those_of_a_live_capture() {
    let test = "events_are_those_of_a_live_capture";
    let Some(path) = shared(test, "data/audit/audit-scoped.log") else {
        return;
    };
    let (mut grouper, mut live) = (Grouper::default(), Vec::new());
    let log = std::fs::read(&path).expect("readable");
    for line in log.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        grouper.push(&Record::parse_line(line).expect("a record"), line, 0, &mut live);
    }
    grouper.finish(&mut live);
    live.sort_by_key(|e| (e.ts_ns, e.serial));
    let imported = import_file(&path);
    let mut rows: Vec<&Row> = audit(&imported).collect();
    assert!(rows.is_sorted_by_key(|r| r.ts), "in the order of time");
    rows.sort_by_key(|r| (r.ts, r.arg("serial").parse::<u64>().expect("a number")));
    assert_eq!(rows.len(), live.len());
    for (row, event) in rows.into_iter().zip(&live) {
        assert_eq!(
            (row.ts, row.arg("serial")),
            (event.ts_ns, event.serial.to_string().as_str())
        );
        assert_eq!(row.arg("raw").as_bytes(), event.raw);
        assert_eq!(row.arg("types"), event.type_names().join(","));
        assert_eq!(row.arg("exe").as_bytes(), event.exe);
        assert_eq!(row.tid, event.pid.unwrap_or(0));
        let success = event.success.map_or("", |ok| if ok { "yes" } else { "no" });
        assert_eq!(row.arg("success"), success);
    }
}

#[test]
fn the_log_of_a_kernel_without_auditd() {
    let test = "the_log_of_a_kernel_without_auditd";
    let Some(path) = shared(test, "data/audit/dmesg-audit-no-auditd.txt") else {
        return;
    };
    let imported = import_file(&path);
    let text = std::fs::read(&path).expect("readable");
    assert_eq!(events(&imported), together(&text));
    let report = &imported.outcome.files[0];
    assert_eq!(report.bad, 0);
    let others = text
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty() && Record::parse_line(l).is_err());
    assert_eq!(report.unknown, others.count() as u64);
}

/// A log cut into a rotated set anywhere, named in the shell's order and partly compressed, is the whole log.
#[test]
fn a_rotated_set_is_one_log() {
    let Some(path) = shared("a_rotated_set_is_one_log", "data/audit/audit-raw-format.log") else {
        return;
    };
    let text = std::fs::read(&path).expect("readable");
    let lines: Vec<&[u8]> = text.split_inclusive(|b| *b == b'\n').collect();
    let whole = events(&import_file(&path));
    let folder = tempfile::tempdir().expect("a folder");
    for (a, b) in [(100, 200), (301, 420), (47, 512)] {
        let write = |name: &str, lines: &[&[u8]]| {
            let path = folder.path().join(name);
            std::fs::write(&path, lines.concat()).expect("written");
            path
        };
        let files = [
            write("audit.log", &lines[b..]),
            write("audit.log.1", &lines[a..b]),
            gzip(&folder.path().join("audit.log.2.gz"), &lines[..a].concat()),
        ];
        let imported = import_files(&files);
        assert_eq!(events(&imported), whole, "cut at {a} and {b}");
        let names: Vec<_> = imported.outcome.files.iter().map(|f| f.path.file_name()).collect();
        let order = ["audit.log.2.gz", "audit.log.1", "audit.log"];
        assert_eq!(names, order.map(|n| Some(n.as_ref())));
    }
}

fn gzip(path: &Path, bytes: &[u8]) -> std::path::PathBuf {
    let file = std::fs::File::create(path).expect("made");
    let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::default());
    gzip.write_all(bytes)
        .and_then(|()| gzip.finish().map(drop))
        .expect("compressed");
    path.to_owned()
}

//! Real captures, event by event as `sysdig -r` reads them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::imported::{Row, import_file};
use ctrace_skip::{shared, skip};

const CAPTURES: [&str; 7] = [
    "falco_cat_write",
    "falco_connect_localhost",
    "falco_empty",
    "falco_syscall",
    "libs_curl_google",
    "libs_sample",
    "libs_single_ipv6_conn",
];

/// What is told at once and not at the end of a call: calls that end a thread have none.
const INSTANT: [&str; 7] = [
    "procexit",
    "switch",
    "signaldeliver",
    "page_fault",
    "container",
    "exit",
    "exit_group",
];

/// Time, thread, type, process, descriptor, result, latency.
type Line = (u64, u32, String, String, String, Option<i64>, Option<u64>);

/// What sysdig says; `None` where it is not there.
fn theirs(path: &Path) -> Option<Vec<Line>> {
    let fields = "*%evt.rawtime|%thread.tid|%evt.type|%proc.name|%fd.name|%evt.rawres|%evt.latency";
    let filter = format!("evt.dir=< or evt.type in ({})", INSTANT.join(","));
    let out = Command::new("sysdig")
        .arg("-r")
        .arg(path)
        .args(["-p", fields, &filter])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&out.stdout);
    let lines = text.lines().map(|line| {
        let parts: Vec<&str> = line.split('|').collect();
        let [ts, tid, kind, name, fd, res, latency] = parts[..] else {
            panic!("{line}")
        };
        let absent = |s: &str| if s == "<NA>" { String::new() } else { s.to_owned() };
        (
            ts.parse().expect("a time"),
            tid.parse().expect("a thread"),
            kind.to_owned(),
            absent(name),
            socket_path(&absent(fd)).to_owned(),
            res.parse().ok(),
            latency.parse().ok(),
        )
    });
    Some(lines.collect())
}

/// sysdig puts addresses of kernel structures before the path of a unix socket.
fn socket_path(name: &str) -> &str {
    match name.split_once("->") {
        Some((_, rest)) if !name.contains('.') && !name.contains("::") => rest.split_once(' ').map_or("", |(_, p)| p),
        _ => name,
    }
}

fn ours(row: &Row) -> Line {
    let fd = match row.kind.as_str() {
        // sysdig shows at the end of a call what was told there; of `mmap` the descriptor was not.
        "mmap" => "",
        // A failed open has no descriptor here; sysdig takes the name from its parameter.
        "open" | "openat" if row.ret.is_some_and(|r| r < 0) => row.arg("name"),
        // A socket without ends has no name there, and that of its unspecified end here.
        _ if row.fd == "0.0.0.0:0" || row.fd == ":::0" => "",
        _ => &row.fd,
    };
    (
        row.ts,
        row.tid,
        row.kind.clone(),
        row.name.clone(),
        fd.to_owned(),
        row.ret,
        row.latency,
    )
}

/// Compares event by event; how many there are, and of how many it is known how long they took.
fn compare(capture: &str, path: &Path, theirs: &[Line]) -> (usize, usize) {
    let imported = import_file(path);
    let own = ["imported", "import_raw"];
    let rows = imported.rows.iter().filter(|r| !own.contains(&r.kind.as_str()));
    let ours: Vec<Line> = rows.map(ours).collect();
    let counts = |lines: &[Line]| {
        let mut counts = BTreeMap::new();
        lines.iter().for_each(|l| *counts.entry(l.2.clone()).or_insert(0) += 1);
        counts
    };
    assert_eq!(
        ours.len(),
        theirs.len(),
        "{capture}: {:?} {:?}",
        counts(&ours),
        counts(theirs)
    );
    let mut took = 0;
    for (mine, other) in ours.iter().zip(theirs) {
        let mut mine = mine.clone();
        // Calls of which sysdig's own table has no name, and results that it does not show.
        if other.2 == "<unknown>" {
            mine.2 = other.2.clone();
        }
        if other.5.is_none() {
            mine.5 = None;
        }
        if INSTANT.contains(&mine.2.as_str()) {
            // sysdig shows what the thread's call before took.
            assert_eq!(mine.6, None, "{capture}: {mine:?}");
            mine.6 = other.6;
        } else {
            // What is not known is 0 there.
            took += usize::from(mine.6.is_some());
            mine.6 = mine.6.or(Some(0));
        }
        assert_eq!(&mine, other, "{capture}");
    }
    (ours.len(), took)
}

#[test]
fn the_same_events_as_sysdig() {
    let mut compared = (0, 0);
    for capture in CAPTURES {
        let Some(path) = shared("the_same_events_as_sysdig", &format!("data/scap/{capture}.scap")) else {
            return;
        };
        let Some(theirs) = theirs(&path) else {
            return skip("the_same_events_as_sysdig", "sysdig is not installed");
        };
        let (events, took) = compare(capture, &path, &theirs);
        compared = (compared.0 + events, compared.1 + took);
    }
    assert_eq!(compared, (1009, 739), "of all captures together");
}

/// The same numbers without sysdig: what it counted, type by type.
#[test]
fn as_many_events_as_sysdig_counted() {
    let Some(path) = shared("as_many_events_as_sysdig_counted", "data/scap/libs_curl_google.scap") else {
        return;
    };
    let imported = import_file(&path);
    let count = |kind: &str| imported.rows.iter().filter(|r| r.kind == kind).count();
    let expected = [
        ("mmap", 110),
        ("clock_gettime", 94),
        ("open", 48),
        ("switch", 25),
        ("connect", 4),
        ("clone", 2),
    ];
    for (kind, n) in expected {
        assert_eq!(count(kind), n, "{kind}");
    }
}

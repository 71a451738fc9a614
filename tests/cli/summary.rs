//! `ctrace summary`: its counts are those of the events, and those of `strace -c`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use ctrace_trace::escape;
use serde_json::{Value, json};

use crate::cases::{self, HOSTILE, sample};
use crate::run::{Ran, command, ctrace, file, folder, run};
use ctrace_skip::{is_root, shared, skip};

fn summary(case: &Path, args: &[&str]) -> Ran {
    let command = [OsStr::new("summary"), case.as_os_str()];
    ctrace(command.into_iter().chain(args.iter().map(OsStr::new)))
}

/// Rows of one table.
fn rows(case: &Path, table: &str, args: &[&str]) -> Vec<Value> {
    let all = [args, &["--json", "--limit=0"]].concat();
    let object = summary(case, &all).code(0).object();
    object[table].as_array().expect("a list").clone()
}

fn read(args: &[&str]) -> Vec<String> {
    let command = [OsStr::new("read"), sample().as_os_str()];
    let ran = ctrace(command.into_iter().chain(args.iter().map(OsStr::new))).code(0);
    ran.silent().lines().map(str::to_owned).collect()
}

/// Calls and errors by name.
type Counts = BTreeMap<String, (u64, u64)>;

fn counts(rows: &[Value]) -> Counts {
    let mut counts = Counts::new();
    for row in rows {
        let n = |name: &str| row[name].as_u64().expect("a number");
        let count = counts
            .entry(row["syscall"].as_str().expect("a name").to_owned())
            .or_default();
        *count = (count.0 + n("calls"), count.1 + n("errors"));
    }
    counts
}

#[test]
fn system_calls_are_counted_as_they_are_read() {
    let mut expected = Counts::new();
    for line in read(&["-p", "%syscall.type %evt.failed", "syscall.type exists"]) {
        let (name, failed) = line.split_once(' ').expect("two words");
        let count = expected.entry(name.to_owned()).or_default();
        *count = (count.0 + 1, count.1 + u64::from(failed == "true"));
    }
    assert!(expected.len() > 20 && expected.values().any(|c| c.1 > 0));
    for by in [&[][..], &["--by=process"], &["--by=container"], &["--by=host"]] {
        assert_eq!(counts(&rows(sample(), "syscalls", by)), expected, "{by:?}");
    }
    // The most frequent first.
    let calls: Vec<u64> = rows(sample(), "syscalls", &[])
        .iter()
        .filter_map(|r| r["calls"].as_u64())
        .collect();
    assert!(calls.iter().rev().is_sorted());
}

#[test]
fn groups_are_those_of_the_filter() {
    let container = rows(sample(), "syscalls", &["--by=container"]);
    let of_web: Vec<Value> = container.into_iter().filter(|r| r["container"] == "web-1").collect();
    let sum: u64 = counts(&of_web).values().map(|c| c.0).sum();
    let lines = read(&["-p", "%evt.num", "container.name=web-1 and syscall.type exists"]).len();
    assert!(lines > 0);
    assert_eq!(sum, lines as u64);
    let condition = "container_name = 'web-1' -- and no more";
    assert_eq!(
        counts(&rows(sample(), "syscalls", &["--where", condition])),
        counts(&of_web)
    );
}

#[test]
fn audit_is_counted_as_its_records_say() {
    let raw = read(&["-p", "%audit.raw", "evt.source=audit"]);
    let records: Vec<&str> = raw
        .iter()
        .flat_map(|l| l.split("\\n"))
        .filter(|r| !r.is_empty())
        .collect();
    let types = rows(sample(), "audit_types", &["--audit=types"]);
    assert!(types.len() > 5);
    for row in &types {
        let name = format!("type={} ", row["type"].as_str().expect("a type"));
        let found = records.iter().filter(|r| r.starts_with(&name)).count();
        assert_eq!(row["records"], found, "{row}");
    }
    let total: u64 = types.iter().filter_map(|r| r["records"].as_u64()).sum();
    assert_eq!(total, records.len() as u64);

    let count = |filter: &str| read(&["-p", "%evt.num", filter]).len();
    let keys = rows(sample(), "audit_keys", &["--audit=keys"]);
    assert_eq!((keys.len(), &keys[0]["key"]), (1, &Value::from("watch")));
    assert_eq!(keys[0]["events"], count("audit.key=watch"));
    assert_eq!(keys[0]["failed"], count("audit.key=watch and audit.success=no"));
    let failures = rows(sample(), "audit_failures", &["--audit=failures"]);
    let failed: u64 = failures.iter().filter_map(|r| r["events"].as_u64()).sum();
    assert_eq!(failed, count("audit.success=no") as u64);
    let executables = rows(sample(), "audit_executables", &["--audit=executables"]);
    for row in &executables {
        let exe = row["executable"].as_str().expect("a path");
        assert_eq!(row["events"], count(&format!("audit.exe='{exe}'")), "{exe}");
    }
    let paths = rows(sample(), "audit_files", &["--audit=files"]);
    let loader = "/lib64/ld-linux-x86-64.so.2";
    let named = records
        .iter()
        .filter(|r| r.starts_with("type=PATH") && r.contains(&format!("name=\"{loader}\"")));
    let row = paths.iter().find(|r| r["path"] == loader).expect("the loader");
    assert_eq!(row["records"], named.count());
}

#[test]
fn docker_and_network_are_told() {
    let containers = rows(sample(), "docker_containers", &["--docker"]);
    let web = containers.iter().find(|r| r["name"] == "web-1").expect("the container");
    assert_eq!((&web["started"], &web["execs"]), (&Value::from(1), &Value::from(2)));
    let lines = read(&["-p", "%evt.num", "docker.type=container and docker.name=web-1"]).len();
    assert_eq!(web["events"], lines);
    let talkers = rows(sample(), "talkers", &["--talkers"]);
    assert!(
        talkers
            .iter()
            .any(|r| r["process"] == ".x" && r["server_port"] == 4444 && r["bytes_out"] == 26)
    );
    // Every summary that was asked for, and no other.
    let keys = |args: &[&str]| -> Vec<String> {
        let object = summary(sample(), &[args, &["--json"]].concat()).code(0).object();
        object.as_object().expect("an object").keys().cloned().collect()
    };
    assert_eq!(keys(&[]), ["syscalls"]);
    assert_eq!(keys(&["--talkers", "--by=host"]).len(), 2);
    assert_eq!(keys(&["--audit"]).len(), 24);
}

#[test]
fn a_limit_is_told_and_hostile_names_are_escaped() {
    let limited = summary(sample(), &["-n", "2"]).code(0).silent();
    assert!(limited.contains("(2 rows)\nat most 2 rows are shown"), "{limited}");
    let folder = folder();
    let case = folder.path().join("case");
    cases::hostile(&case);
    let ran = summary(&case, &["--by=process"]).code(0);
    for name in HOSTILE {
        assert!(ran.out.contains(&escape::bytes(name)), "{}", ran.out);
    }
    for ran in [ran, summary(&case, &["--by=process", "--json"]).code(0)] {
        let bad = |c: char| c != '\n' && (c.is_control() || escape::misleads(c));
        assert_eq!(ran.out.chars().find(|c| bad(*c)), None);
    }
}

#[test]
fn wrong_use_is_told() {
    let told = |args: &[&str]| summary(sample(), args).code(2).nothing();
    assert!(told(&["--audit", "--where", "true"]).contains("give --by"));
    assert!(told(&["--where", "proc_nmae = 'x'"]).contains("proc_nmae"));
    assert!(told(&["--audit=keis"]).contains("keys"));
}

/// Nanoseconds by name.
type Times = BTreeMap<String, u64>;

/// What the rows say, which are in the order of their times.
fn times(rows: &[Value]) -> Times {
    let mut all = Times::new();
    let whole: f64 = rows.iter().filter_map(|r| r["seconds"].as_f64()).sum();
    let mut before = f64::INFINITY;
    for row in rows.iter().filter(|r| !r["seconds"].is_null()) {
        let seconds = row["seconds"].as_f64().expect("a number");
        assert!(seconds <= before, "{row}");
        before = seconds;
        let percent = row["% time"].as_f64().expect("a number");
        assert!((percent - 100.0 * seconds / whole).abs() < 0.006, "{row}");
        let name = row["syscall"].as_str().expect("a name");
        all.insert(name.to_owned(), (seconds * 1e9).round() as u64);
    }
    all
}

#[test]
fn a_recording_without_entry_times_has_no_time_columns() {
    for row in rows(sample(), "syscalls", &["--by=process"]) {
        assert_eq!((row.get("seconds"), row.get("% time")), (None, None), "{row}");
    }
    assert!(!summary(sample(), &[]).code(0).silent().contains("usecs/call"));
}

#[test]
fn times_are_the_sums_of_strace() {
    const LOG: &str = "\
900 1795300000.000100 openat(AT_FDCWD, \"/a\", O_RDONLY) = 3 <0.000021>
900 1795300000.000200 openat(AT_FDCWD, \"/none\", O_RDONLY) = -1 ENOENT (No such file or directory) <0.000040>
900 1795300000.000300 read(3,  <unfinished ...>
901 1795300000.000400 openat(AT_FDCWD, \"/c\", O_RDONLY) = 3 <0.000002>
900 1795300001.000500 <... read resumed>\"x\", 1) = 1 <1.000203>
901 1795300001.000600 close(3) = 0
901 1795300001.000700 read(3, \"\", 1) = -1 EBADF (Bad file descriptor)
";
    let folder = folder();
    let case = folder.path().join("case");
    let log = file(folder.path(), "log", LOG);
    ctrace([
        OsStr::new("import"),
        log.as_os_str(),
        OsStr::new("-o"),
        case.as_os_str(),
    ])
    .code(0);
    let found = rows(&case, "syscalls", &[]);
    let row = |name: &str| found.iter().find(|r| r["syscall"] == name).expect(name).clone();
    // Of one `read` it is known, of `close` of none.
    let columns = ["seconds", "usecs/call", "calls", "errors"];
    let told = |name: &str| Value::from(columns.map(|c| row(name)[c].clone()).to_vec());
    assert_eq!(told("read"), json!([1.000203, 1_000_203, 2, 1]));
    assert_eq!(told("openat"), json!([0.000063, 21, 3, 1]));
    assert_eq!(told("close"), json!([null, null, 1, 0]));
    let names: Vec<&str> = found.iter().filter_map(|r| r["syscall"].as_str()).collect();
    assert_eq!(names, ["read", "openat", "close"]);
    times(&found);
    // Shares are those of a group.
    let second = rows(&case, "syscalls", &["--by=host", "--where=thread_tid = 901"]);
    let shares: Vec<Option<f64>> = second.iter().map(|r| r["% time"].as_f64()).collect();
    assert_eq!(shares, [Some(100.0), None, None]);
    // What has no times, though others have.
    for row in rows(&case, "syscalls", &["--where=evt_type = 'close'"]) {
        assert_eq!(row["seconds"], Value::Null);
    }
    let text = summary(&case, &[]).code(0).silent();
    assert!(
        text.contains(" % time | ") && text.contains(" seconds | usecs/call | calls | errors | "),
        "{text}"
    );
    let read = [OsStr::new("read"), case.as_os_str()];
    let format = [
        "-p",
        "%evt.type %evt.latency %evt.latency.human",
        "evt.latency >= 40000",
    ];
    let lines = ctrace(read.into_iter().chain(format.iter().map(OsStr::new)))
        .code(0)
        .silent();
    assert_eq!(lines, "openat 40000 40us\nread 1000203000 1.00s\n");
}

#[test]
fn times_are_the_sums_of_sysdig() {
    const TEST: &str = "times_are_the_sums_of_sysdig";
    let Some(capture) = shared(TEST, "data/scap/libs_curl_google.scap") else {
        return;
    };
    let fields = ["-p", "%evt.type %evt.latency", "evt.dir=< and syscall.type exists"];
    let Ok(ran) = Command::new("sysdig").arg("-r").arg(&capture).args(fields).output() else {
        return skip(TEST, "sysdig is not installed");
    };
    let mut expected = Times::new();
    for line in String::from_utf8_lossy(&ran.stdout).lines() {
        let (name, ns) = line.split_once(' ').expect("two words");
        *expected.entry(name.to_owned()).or_default() += ns.parse::<u64>().expect("a number");
    }
    let folder = folder();
    let case = folder.path().join("case");
    ctrace([
        OsStr::new("import"),
        capture.as_os_str(),
        OsStr::new("-o"),
        case.as_os_str(),
    ])
    .code(0);
    let found = times(&rows(&case, "syscalls", &[]));
    // Types of which no entry is there have 0 with sysdig.
    expected.retain(|_, ns| *ns > 0);
    assert!(expected.len() > 20);
    assert_eq!(found, expected);
}

/// What strace counts of a command.
fn strace(folder: &Path, script: &str, secret: &str) -> Option<Counts> {
    let log = folder.join("strace");
    let mut command = Command::new("strace");
    command
        .args(["-c", "-o"])
        .arg(&log)
        .args(["sh", "-ec", script, "sh", secret]);
    let status = command.stdout(std::process::Stdio::null()).status().ok()?;
    assert!(status.success());
    let text = fs::read_to_string(log).expect("strace's table");
    let mut counts = Counts::new();
    for line in text.lines().skip(2) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, _, _, calls, errors @ .., name] = words.as_slice() else {
            continue;
        };
        if let (Ok(calls), true) = (calls.parse(), *name != "total") {
            let errors = errors.first().map_or(0, |e| e.parse().expect("a number"));
            // Two are called as Falco calls them.
            let name = match *name {
                "pread64" => "pread",
                "prlimit64" => "prlimit",
                name => name,
            };
            counts.insert(name.to_owned(), (calls, errors));
        }
    }
    Some(counts)
}

#[test]
fn live_calls_are_counted_as_strace_counts_them_needs_root() {
    const TEST: &str = "live_calls_are_counted_as_strace_counts_them_needs_root";
    const SCRIPT: &str = "test -e \"$1.none\" || exec cat \"$1\" >/dev/null";
    if !is_root(TEST) {
        return;
    }
    let folder = folder();
    let secret = file(folder.path(), "secret", "x");
    let secret = secret.to_str().expect("UTF-8");
    let Some(mut expected) = strace(folder.path(), SCRIPT, secret) else {
        return skip(TEST, "strace is missing");
    };
    let case = folder.path().join("case");
    let mut command = command(["record", "--sources=syscalls", "--syscalls=all", "-o"]);
    command.arg(&case).args(["--", "sh", "-ec", SCRIPT, "sh", secret]);
    run(command).code(0);
    // The one process in which both programs ran, from its first program on.
    let condition = format!(
        "proc_name IN ('sh', 'cat') AND proc_pid IN (SELECT proc_pid FROM events WHERE fd_name = '{secret}' AND \
         proc_name = 'cat')"
    );
    let mut found = counts(&rows(&case, "syscalls", &["--where", &condition]));
    // What never returns is no call to strace.
    assert_eq!(found.remove("exit_group"), Some((1, 0)));
    // How often a shell asks for signals, if at all, depends on which of them its parent ignores.
    for counted in [&mut found, &mut expected] {
        counted.remove("rt_sigaction");
    }
    assert!(
        expected.len() > 10 && expected.values().any(|c| c.1 > 0),
        "{expected:?}"
    );
    assert_eq!(found, expected);
}

//! The recorder against strace on the same loop: every call is there, with who made it and on what.

use std::collections::BTreeMap;
use std::process::Command;

use crate::case::{Row, closed, rows};
use crate::run::{folder, output, own, record};
use ctrace_skip::{is_root, skip};

/// How often the loop runs `cat`; 10000 is the project's measure, a tenth of it is enough to find a defect.
fn rounds() -> usize {
    let asked = std::env::var("CTRACE_TEST_ROUNDS").ok();
    asked.map_or(1000, |n| n.parse().expect("CTRACE_TEST_ROUNDS must be a number"))
}

fn the_loop(rounds: usize) -> String {
    format!("i=0; while [ $i -lt {rounds} ]; do cat /etc/passwd; i=$((i+1)); done >/dev/null")
}

#[test]
fn a_loop_of_cats_is_recorded_as_strace_counts_it_as_root() {
    let name = "a_loop_of_cats_is_recorded_as_strace_counts_it_as_root";
    if !is_root(name) {
        return;
    }
    if Command::new("strace").arg("-V").output().is_err() {
        return skip(name, "strace is not installed");
    }
    let rounds = rounds();
    let dir = folder();
    let case = dir.path().join("case");
    let script = the_loop(rounds);
    let args = ["--sources", "syscalls", "--scope", &own(), "--", "sh", "-c", &script];
    let ended = record(&case, &args);
    ended.expect(0).saying(", 0 lost");
    closed(&case);
    let all = rows(&case);
    // Before it is the shell, the process is a copy of the recorder that looks for the shell.
    let is_start = |r: &Row| r.kind == "execve" && r.name == "sh" && r.ret == Some(0) && r.ppid == ended.pid;
    let start = all.iter().position(is_start).expect("the shell started");
    let shell = all[start].pid;
    let of_family = |r: &&Row| r.pid == shell || r.ppid == shell;
    let family: Vec<&Row> = all[start..].iter().filter(of_family).collect();
    every_cat_is_complete(&family, rounds);
    let table = dir.path().join("strace");
    let table_path = table.to_str().expect("plain characters");
    output("strace", &["-f", "-c", "-o", table_path, "sh", "-c", &script]);
    let counted = strace_table(&std::fs::read_to_string(&table).expect("strace wrote it"));
    assert!(
        counted.len() > 10 && counted["execve"] == rounds as u64 + 1,
        "{counted:?}"
    );
    let mut recorded = BTreeMap::new();
    for row in family.iter().filter(|r| !begins_in_child(r)) {
        *recorded.entry(row.kind.clone()).or_insert(0_u64) += 1;
    }
    for (syscall, count) in &counted {
        assert_eq!(
            recorded.get(syscall),
            Some(count),
            "{syscall}: strace {counted:?}, recorded {recorded:?}"
        );
    }
}

/// The return of `clone` in the child, which strace does not count: it follows the child from its first own call.
fn begins_in_child(row: &Row) -> bool {
    matches!(row.kind.as_str(), "clone" | "clone3" | "fork" | "vfork") && row.ret == Some(0)
}

fn every_cat_is_complete(family: &[&Row], rounds: usize) {
    let of_cat = |kind: &str| {
        family
            .iter()
            .filter(|r| r.kind == kind && r.name == "cat")
            .collect::<Vec<_>>()
    };
    let execs = of_cat("execve");
    assert_eq!(execs.len(), rounds);
    let opens: Vec<_> = of_cat("openat")
        .into_iter()
        .filter(|r| r.arg("name") == "/etc/passwd")
        .collect();
    assert_eq!(opens.len(), rounds);
    let exits = of_cat("procexit");
    assert_eq!(exits.len(), rounds);
    for row in execs.iter().chain(&opens).chain(&exits) {
        assert_eq!((row.parent.as_str(), &row.container), ("sh", &None), "{row:?}");
    }
    for open in &opens {
        assert!(
            open.ret.is_some_and(|fd| fd >= 0) && open.fd == "/etc/passwd",
            "{open:?}"
        );
    }
    let reads = of_cat("read").into_iter().filter(|r| r.fd == "/etc/passwd").count();
    assert!(reads >= 2 * rounds, "{reads} reads of the file");
}

/// The calls column by syscall: `% time  seconds  usecs/call  calls  [errors]  syscall`.
fn strace_table(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let rows = lines.filter_map(|words| Some((falco_name(words.last()?).to_owned(), words.get(3)?.parse().ok()?)));
    rows.filter(|(name, _)| name != "total").collect()
}

/// Falco's name of a call that strace calls by the kernel's.
fn falco_name(name: &str) -> &str {
    match name {
        "pread64" | "pwrite64" | "prlimit64" => name.trim_end_matches("64"),
        _ => name,
    }
}

//! What strace writes on this machine, against a count of its own lines.

use std::collections::BTreeMap;
use std::process::Command;

use crate::imported::import_file;
use ctrace_skip::skip;

/// Name and result of the call that a line ends.
fn ended(line: &str) -> Option<(String, i64)> {
    // Short process ids are followed by more than one blank: strace pads them to five places.
    let (_pid, timed) = line.split_once(' ')?;
    let (_time, rest) = timed.trim_start().split_once(' ')?;
    let rest = rest.trim_start();
    if rest.ends_with("<unfinished ...>") || rest.starts_with("+++") || rest.starts_with("---") {
        return None;
    }
    let name = match rest.strip_prefix("<... ") {
        Some(resumed) => resumed.split(' ').next()?,
        None => rest.split('(').next()?,
    };
    let result = rest.rsplit(" = ").next()?.split(' ').next()?;
    let result = match result.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok()?,
        // A failure has its number there and not here.
        None => result.parse().unwrap_or(0),
    };
    Some((name.to_owned(), result))
}

/// Nanoseconds that `-T` puts at the end of a line; strace tells microseconds.
fn took(line: &str) -> Option<u64> {
    let (_, seconds) = line.strip_suffix('>')?.rsplit_once(" <")?;
    let (seconds, micros) = seconds.split_once('.')?;
    let (seconds, micros): (u64, u64) = (
        seconds.parse().ok()?,
        (micros.len() == 6).then(|| micros.parse().ok())??,
    );
    Some((seconds * 1_000_000 + micros) * 1000)
}

#[test]
fn calls_are_those_of_the_log() {
    let test = "calls_are_those_of_the_log";
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let script = "cat /etc/hostname /nonexistent; (cd /tmp; ls / >/dev/null) & wait; kill -TERM $$";
    let strace = Command::new("strace")
        .args(["-f", "-ttt", "-T", "-o"])
        .arg(&log)
        .args(["sh", "-c", script])
        .output();
    if strace.is_err() || !log.exists() {
        return skip(test, "strace is not installed, or may not trace");
    }
    let text = std::fs::read_to_string(&log).expect("readable");
    // `exit_group` has no result; whether strace tells of it as ended depends on the kernel's order.
    let mut theirs: BTreeMap<(String, i64), usize> = BTreeMap::new();
    for call in text.lines().filter_map(ended) {
        *theirs.entry(call).or_default() += 1;
    }
    let imported = import_file(&log);
    let report = &imported.outcome.files[0];
    assert_eq!(
        (report.format, report.bad, report.unknown),
        ("strace", 0, 0),
        "{:?}",
        report.problems
    );
    let short = |name: &str| name.strip_suffix("64").unwrap_or(name).to_owned();
    let mut ours: BTreeMap<(String, i64), usize> = BTreeMap::new();
    let calls = |kind: &str| !matches!(kind, "procexit" | "signaldeliver" | "imported");
    for row in imported.rows.iter().filter(|r| calls(&r.kind)) {
        let ret = row.ret.unwrap_or(0);
        let ret = if (-530..0).contains(&ret) { -1 } else { ret };
        *ours.entry((short(&row.kind), ret)).or_default() += 1;
    }
    let theirs: BTreeMap<(String, i64), usize> = theirs.into_iter().fold(BTreeMap::new(), |mut all, ((n, r), c)| {
        *all.entry((short(&n), r)).or_default() += c;
        all
    });
    assert_eq!(ours, theirs);
    assert!(theirs.values().sum::<usize>() > 100);
    // Together, and how many: every call that returned tells how long it took.
    let times = text.lines().filter_map(took);
    let theirs = times.fold((0, 0), |(sum, n), ns| (sum + ns, n + 1));
    let times = imported.rows.iter().filter_map(|r| r.latency);
    let ours = times.fold((0, 0), |(sum, n), ns| (sum + ns, n + 1));
    assert_eq!(ours, theirs);
    assert!(theirs.1 > 100 && theirs.0 > 0, "{theirs:?}");
    // Who is who.
    let cat: Vec<_> = imported.rows.iter().filter(|r| r.name == "cat").collect();
    assert!(cat.len() > 10 && cat.iter().all(|r| r.cmdline == "cat /etc/hostname /nonexistent"));
    // A child that is quicker than its parent acts before the log says whose child it is.
    assert!(cat.iter().all(|r| r.parent == "sh" || r.parent.is_empty()));
    assert_eq!(cat.last().map(|r| r.parent.as_str()), Some("sh"));
    let missing = imported
        .rows
        .iter()
        .find(|r| r.arg("name") == "/nonexistent")
        .expect("tried");
    assert_eq!((missing.ret, missing.name.as_str()), (Some(-2), "cat"));
    let ends = imported.rows.iter().filter(|r| r.kind == "procexit").count();
    assert!(ends >= 3, "{ends}");
}

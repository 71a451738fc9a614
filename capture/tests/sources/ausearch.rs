//! What fields of records mean, word by word against what `ausearch -i` prints: the answers that lie beside the test
//! data, and those of the `ausearch` of this machine where there is one.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use ctrace_capture::audit::Record;
use ctrace_trace::audit::{Interpreter, Names};
use ctrace_trace::snapshot::{Group, HostSnapshot, User};

use ctrace_skip::{shared, skip};

/// Type, serial and occurrence: what tells a record from others in a log whose order `ausearch` turns around.
type Key = (String, String);

/// The records of a log, each with the words that we print of it.
fn ours(log: &[u8], names: &Names) -> BTreeMap<Key, Vec<Vec<String>>> {
    let mut out: BTreeMap<Key, Vec<Vec<String>>> = BTreeMap::new();
    for line in log.split(|b| *b == b'\n') {
        let Ok(record) = Record::parse_line(line) else { continue };
        let text = Interpreter::new(names).line(&record);
        let key = (record.kind.to_string(), record.stamp.serial.to_string());
        out.entry(key).or_default().push(words(&text));
    }
    out
}

/// The same of what `ausearch -i` printed.
fn theirs(text: &str) -> BTreeMap<Key, Vec<Vec<String>>> {
    let mut out: BTreeMap<Key, Vec<Vec<String>>> = BTreeMap::new();
    for line in text.lines() {
        let Some((head, _)) = line.split_once(") : ").or_else(|| line.split_once(") :")) else {
            continue;
        };
        let Some((_, kind)) = head.split_once("type=") else {
            continue;
        };
        let kind = kind.split(' ').next().unwrap_or_default().to_owned();
        // Types that are younger than it.
        if kind.starts_with("UNKNOWN[") {
            continue;
        }
        let serial = head.rsplit(':').next().unwrap_or_default().to_owned();
        out.entry((kind, serial)).or_default().push(words(line));
    }
    out
}

/// The words behind the stamp.
fn words(line: &str) -> Vec<String> {
    let rest = line.split_once(") :").map_or("", |(_, rest)| rest);
    rest.split_whitespace().map(str::to_owned).collect()
}

/// Every record that they have is ours too, word by word. Returns how many there were.
fn compare(name: &str, ours: &BTreeMap<Key, Vec<Vec<String>>>, theirs: &BTreeMap<Key, Vec<Vec<String>>>) -> usize {
    let mut differences: BTreeMap<String, String> = BTreeMap::new();
    let mut count = 0;
    let mut compared = 0;
    for (key, records) in theirs {
        let Some(mine) = ours.get(key) else {
            differences.insert("missing".to_owned(), format!("{name}: {key:?} is missing"));
            count += 1;
            continue;
        };
        for record in records {
            compared += 1;
            if !mine.iter().any(|m| says_the_same(m, record)) {
                let near = mine
                    .iter()
                    .max_by_key(|m| m.iter().zip(record).filter(|(a, b)| a == b).count());
                let near = near.cloned().unwrap_or_default();
                let pair = record
                    .iter()
                    .zip(&near)
                    .find(|(t, m)| t != m && !is_meant(m, t) && !is_corrected(record, m, t));
                let call = record
                    .iter()
                    .find(|w| w.starts_with("syscall="))
                    .cloned()
                    .unwrap_or_default();
                let field = pair.map_or("", |(t, _)| t.split('=').next().unwrap_or_default());
                count += 1;
                differences
                    .entry(format!("{call} {field}"))
                    .or_insert_with(|| format!("{name} {key:?} {call}: {pair:?}"));
            }
        }
    }
    assert!(
        differences.is_empty(),
        "{count} of {compared} records differ (theirs first):\n{}",
        differences.into_values().collect::<Vec<_>>().join("\n")
    );
    compared
}

fn says_the_same(mine: &[String], theirs: &[String]) -> bool {
    // It does not see that the address is of a machine of the other byte order.
    let other_order = theirs.iter().any(|t| t.starts_with("saddr=unknown-family"));
    let same = |m: &String, t: &String| m == t || is_meant(m, t) || is_corrected(theirs, m, t);
    other_order || mine.len() == theirs.len() && mine.iter().zip(theirs).all(|(m, t)| same(m, t))
}

/// What version 3.0 gets wrong of a call, and later ones do not (`clone` and `chown`), and numbers that mean nothing.
fn is_corrected(record: &[String], mine: &str, theirs: &str) -> bool {
    let has = |word: &str| record.iter().any(|w| w == word);
    let call = record
        .iter()
        .find_map(|w| w.strip_prefix("syscall="))
        .unwrap_or_default();
    match call {
        "clone" => mine.starts_with("a0=") || mine.starts_with("a2="),
        "lseek" => mine.starts_with("a2=0x"),
        "setsockopt" | "getsockopt" => mine.starts_with("a1="),
        _ if call.contains("chown") => mine.starts_with("a2=") && theirs.starts_with("a2=0x"),
        // Other machines number their calls in their own way.
        _ => mine.starts_with("syscall=") && has("arch=ppc64"),
    }
}

/// Bits that kernels have not, or no longer.
const GONE: [&str; 5] = [
    "CLONE_STOPPED",
    "UMOUNT_UNUSED",
    "MAP_UNINITIALIZED",
    "MS_SUBMOUNT",
    "MS_SNAP_STABLE",
];

/// Where we say something else, and mean it.
fn is_meant(mine: &str, theirs: &str) -> bool {
    // Old versions know fewer names.
    let unknown = theirs.contains("unknown-");
    // 3.0 takes `?` for the number 0, and has one name for what is two since.
    let capabilities = mine.ends_with("=?") && theirs.ends_with("=none");
    let killed = theirs == "code=kill" && mine.starts_with("code=kill-");
    // Old versions know fewer flags.
    let theirs_of = |f: &&str| !GONE.contains(f);
    let flags = theirs.contains('|') && {
        let known: Vec<&str> = mine.split(['|', '=']).collect();
        theirs.split(['|', '=']).filter(theirs_of).all(|f| known.contains(&f))
    };
    // It keeps the quotes of values that need none.
    let quotes = theirs.contains('"') && theirs.replace('"', "") == mine;
    let other_code = theirs == "a0=UNKNOWN";
    // Requests of io_uring are numbers to it; this call has its name without the prefix.
    let load = mine.starts_with("uring_op=") || mine == "syscall=kexec_load" && theirs == "syscall=sys_kexec_load";
    unknown
        || quotes
        || flags
        || other_code
        || load
        || capabilities
        || killed
        || escaped(mine) == theirs
        || mine.strip_suffix(',') == Some(theirs)
}

/// Control characters as `ausearch` writes them; what is no UTF-8 is a replacement character here.
fn escaped(mine: &str) -> String {
    let mut out = mine.replace("\\n", "\\012").replace("\\xff", "\u{fffd}");
    for control in 1..32_u8 {
        out = out.replace(&format!("\\x{control:02x}"), &format!("\\{control:03o}"));
    }
    out
}

/// The accounts of this machine, which `ausearch` knows.
fn local_names() -> Names {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |line: &str, at: usize| line.split(':').nth(at).unwrap_or_default().to_owned();
    let mut names = Names::default();
    names.learn(&HostSnapshot {
        users: read("/etc/passwd")
            .lines()
            .map(|l| User {
                uid: field(l, 2).parse().unwrap_or(0),
                name: field(l, 0),
                ..User::default()
            })
            .collect(),
        groups: read("/etc/group")
            .lines()
            .map(|l| Group {
                gid: field(l, 2).parse().unwrap_or(0),
                name: field(l, 0),
                ..Group::default()
            })
            .collect(),
        ..HostSnapshot::default()
    });
    names
}

fn ausearch(log: &Path) -> Option<String> {
    let output = Command::new("ausearch")
        .args(["-i", "-if"])
        .arg(log)
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn recorded_answers_of_ausearch() {
    let test = "recorded_answers_of_ausearch";
    let Some(folder) = shared(test, "data/audit") else {
        return;
    };
    let log = std::fs::read(folder.join("audit-scoped.log")).expect("readable");
    let ours = ours(&log, &Names::default());
    for (name, at_least) in [
        ("m-USER_CMD", 9),
        ("m-CONFIG_CHANGE", 40),
        ("m-SECCOMP", 2),
        ("k-delete", 200),
        ("k-docker-daemon", 50),
        ("f-shadow", 100),
    ] {
        let text = std::fs::read(folder.join(format!("ausearch/{name}.i"))).expect("readable");
        let compared = compare(name, &ours, &theirs(&String::from_utf8_lossy(&text)));
        assert!(compared >= at_least, "{name}: {compared} records compared");
    }
}

#[test]
fn ausearch_of_this_machine_says_the_same_of_all_logs() {
    let test = "ausearch_of_this_machine_says_the_same_of_all_logs";
    let Some(folder) = shared(test, "data/audit") else {
        return;
    };
    let names = local_names();
    let others = std::fs::read_dir(folder.join("others")).expect("a folder");
    let mut logs: Vec<_> = others.map(|e| e.expect("an entry").path()).collect();
    logs.extend([folder.join("audit-scoped.log"), folder.join("audit-raw-format.log")]);
    logs.sort();
    let mut compared = 0;
    for log in logs {
        let Some(answer) = ausearch(&log) else {
            return skip(test, "there is no ausearch");
        };
        let text = std::fs::read(&log).expect("readable");
        let name = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
        compared += compare(&name, &ours(&text, &names), &theirs(&answer));
    }
    assert!(compared > 6000, "{compared} records compared");
}

/// Registers that mean something to one call or another.
const REGISTERS: [u64; 34] = [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    11,
    12,
    15,
    16,
    17,
    22,
    24,
    29,
    31,
    38,
    41,
    64,
    0x42,
    0x1b6,
    0x241,
    0x1ff,
    0x81ed,
    0x4203,
    0x8000,
    0x80241,
    0x1200011,
    0x7d0f00,
    0xffff_ff9c,
];

/// A record of each call with each of these in its registers.
fn calls() -> Vec<u8> {
    let mut out = Vec::new();
    let mut serial = 0;
    for (arch, last) in [("c000003e", 334), ("40000003", 384)] {
        for number in 0..=last {
            for (at, a0) in REGISTERS.iter().enumerate() {
                let other = |step: usize| REGISTERS[(at + step) % REGISTERS.len()];
                serial += 1;
                let line = format!(
                    "type=SYSCALL msg=audit(1795216873.082:{serial}): arch={arch} syscall={number} success=yes exit=-{exit} \
                     a0={a0:x} a1={:x} a2={:x} a3={:x} items=0 pid=1 auid=0 uid=0 comm=\"x\"\n",
                    other(number % 7),
                    other(number % 11),
                    other(number % 5),
                    exit = if matches!(serial % 134, 41 | 58) {
                        1
                    } else {
                        serial % 134
                    },
                );
                out.extend_from_slice(line.as_bytes());
            }
        }
    }
    out
}

#[test]
fn registers_of_all_calls_mean_what_ausearch_says() {
    let test = "registers_of_all_calls_mean_what_ausearch_says";
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("calls.log");
    std::fs::write(&log, calls()).expect("written");
    let Some(answer) = ausearch(&log) else {
        return skip(test, "there is no ausearch");
    };
    let ours = ours(&calls(), &local_names());
    let compared = compare("calls", &ours, &theirs(&answer));
    assert!(compared > 20_000, "{compared} records compared");
}

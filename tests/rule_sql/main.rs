//! The conditions of rules in SQL select the events that replay selects: every rule that is at hand over every capture.

mod exports;
mod probes;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ctrace_query::output::{Format, write};
use ctrace_query::{Data, Options, Session};
use ctrace_replay::{Engine, LoadOptions, Matching, RuleFile, RuleSet, load};
use ctrace_trace::case::Case;
use tempfile::TempDir;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn shared() -> PathBuf {
    std::env::var_os("CTRACE_SHARED").map_or_else(|| project("../shared"), PathBuf::from)
}

/// The files below a folder with one of these endings, in order; none where the folder is absent.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_owned();
            match path.is_dir() {
                true => open.push(path),
                false if endings.contains(&ending.as_str()) => out.push(path),
                false => {}
            }
        }
    }
    out.sort();
    out
}

/// The rule sets: each file of the public ones alone, as their rules share names, and the project's own.
fn rule_sets() -> Vec<(String, RuleSet)> {
    let public = files(&shared().join("data/falco"), &["yaml"]);
    let public = public.into_iter().filter(|p| !p.to_string_lossy().contains("/tests/"));
    let mut sets: Vec<(String, Vec<PathBuf>)> = public.map(|p| (p.display().to_string(), vec![p])).collect();
    let folders = ["samples/rules/falco", "samples/rules/sigma"];
    sets.extend(folders.map(|f| (f.to_owned(), files(&project(f), &["yaml", "yml"]))));
    // Rules of these load one by one: a few name what they would need.
    let sigma = files(&shared().join("data/sigma"), &["yml"]);
    sets.extend(sigma.into_iter().map(|p| (p.display().to_string(), vec![p])));
    sets.into_iter()
        .filter_map(|(name, paths)| Some((name, set(&paths)?)))
        .collect()
}

fn set(paths: &[PathBuf]) -> Option<RuleSet> {
    let text = |p: &PathBuf| (p.display().to_string(), fs::read_to_string(p).expect("rules"));
    loaded(&paths.iter().map(text).collect::<Vec<_>>())
}

fn loaded(texts: &[(String, String)]) -> Option<RuleSet> {
    let files: Vec<RuleFile<'_>> = texts.iter().map(|(name, text)| RuleFile { name, text }).collect();
    let options = LoadOptions {
        enable: vec!["*".to_owned()],
        ..LoadOptions::default()
    };
    match load(&files, &options) {
        Ok(set) => Some(set),
        Err(wrong) => {
            println!("left out: {wrong}");
            None
        }
    }
}

fn captures(folder: &Path) -> Vec<(String, Case)> {
    let open = |path: PathBuf| (path.display().to_string(), Case::open(&path).expect("a case"));
    captured(folder).into_iter().map(open).collect()
}

/// The recorded samples, and the captures of others, imported.
fn captured(folder: &Path) -> Vec<PathBuf> {
    let scenes = [
        "disable-audit",
        "drop-and-execute",
        "exec-shell",
        "io-uring-read",
        "mount-host-disk",
        "port-scan",
    ];
    let mut cases = vec![project("samples/attack/case")];
    cases.extend(scenes.map(|s| project(&format!("samples/attacks/{s}/case"))));
    let foreign = files(&shared().join("data/scap"), &["scap"]).into_iter();
    let audit = files(&shared().join("data/audit"), &["log"]).into_iter();
    let foreign = foreign.chain(audit.filter(|path| path.ends_with("audit/audit-scoped.log")));
    let foreign = foreign.chain(
        files(&shared().join("data/k8s_audit"), &["json"])
            .into_iter()
            .skip(20)
            .take(2),
    );
    for (at, path) in foreign.enumerate() {
        cases.extend(imported(&path, folder.join(at.to_string())));
    }
    cases
}

/// What `ctrace import` makes of a file, which may be nothing that it knows.
fn imported(file: &Path, case: PathBuf) -> Option<PathBuf> {
    let status = Command::new(env!("CARGO_BIN_EXE_ctrace"))
        .args(["import", "-o"])
        .arg(&case)
        .arg(file)
        .output()
        .expect("ctrace starts");
    if !case.exists() {
        println!("{}: {}", file.display(), String::from_utf8_lossy(&status.stderr));
        return None;
    }
    Some(case)
}

/// An event of some captures, which number theirs alike: its time and its number.
type Event = (u64, u64);

/// The events that each rule selects, by its index; of rules that raise no alert nothing.
fn replayed(set: &RuleSet, case: &Case) -> BTreeMap<String, BTreeSet<Event>> {
    let options = ctrace_replay::Options {
        matching: Matching::All,
        ..ctrace_replay::Options::default()
    };
    let mut out: BTreeMap<String, BTreeSet<Event>> = BTreeMap::new();
    Engine::new(set).replay(case, &options, &mut |alert| {
        if !alert.is_correlation() {
            let events = out.entry(alert.rule().to_owned()).or_default();
            events.insert((alert.ts, alert.event));
        }
    });
    out
}

/// The rows of a statement, as texts.
fn rows(session: &Session, sql: &str) -> Vec<Vec<String>> {
    let answer = session.sql(sql).unwrap_or_else(|e| panic!("{e}\n{sql}"));
    let mut text = Vec::new();
    write(answer, Format::Csv, false, &mut text).unwrap_or_else(|e| panic!("{e}\n{sql}"));
    let text = String::from_utf8(text).expect("UTF-8");
    let rows = text.lines().skip(1);
    rows.map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// The events that each condition selects, asked in few statements.
fn selected(session: &Session, conditions: &[&str]) -> Vec<BTreeSet<Event>> {
    let mut out = vec![BTreeSet::new(); conditions.len()];
    for (chunk, out) in conditions.chunks(PER_STATEMENT).zip(out.chunks_mut(PER_STATEMENT)) {
        let columns: Vec<String> = chunk
            .iter()
            .map(|sql| format!("CASE WHEN {sql} THEN '1' ELSE '0' END"))
            .collect();
        let sql = format!(
            "SELECT CAST(ts AS BIGINT), seq, {} AS rules FROM events",
            columns.join(" || ")
        );
        for row in rows(session, &sql) {
            let [ts, seq, bits] = row.as_slice() else {
                panic!("three columns: {row:?}")
            };
            let event = (ts.parse().expect("a time"), seq.parse().expect("a number"));
            for (found, bit) in out.iter_mut().zip(bits.bytes()) {
                if bit == b'1' {
                    found.insert(event);
                }
            }
        }
    }
    out
}

/// Conditions of a statement.
const PER_STATEMENT: usize = 32;

/// A rule in SQL: the index of its set, its name, the condition.
type Condition = (usize, String, String);

/// The conditions that are SQL, and the rules that are not, with the reason.
fn conditions(sets: &[(String, RuleSet)]) -> (Vec<Condition>, BTreeMap<String, String>) {
    let (mut sql, mut beyond) = (Vec::new(), BTreeMap::new());
    for (at, (file, set)) in sets.iter().enumerate() {
        for (index, rule) in set.rules().iter().enumerate() {
            match set.sql(index) {
                Ok(condition) => sql.push((at, rule.name.clone(), condition)),
                Err(why) => drop(beyond.insert(format!("{file}: {}", rule.name), why.to_string())),
            }
        }
    }
    (sql, beyond)
}

/// How many events the rules select in the captures; fails where SQL and replay select different ones. One session asks
/// all captures: to plan such statements costs far more than to run them.
fn compare(sets: &[(String, RuleSet)], conditions: &[Condition], captures: Vec<(String, Case)>) -> usize {
    let options = Options {
        threads: 2,
        ..Options::default()
    };
    let by_replay: Vec<Vec<_>> = captures
        .iter()
        .map(|(_, case)| sets.iter().map(|(_, set)| replayed(set, case)).collect())
        .collect();
    let (names, cases): (Vec<String>, Vec<Case>) = captures.into_iter().unzip();
    let data = cases.into_iter().map(|case| Data::Case(Box::new(case)));
    let session = Session::over(data.collect(), &options).expect("a session");
    assert_eq!(
        rows(&session, "SELECT DISTINCT ts, seq FROM events").len(),
        rows(&session, "SELECT seq FROM events").len(),
        "time and number tell the events of all captures apart"
    );
    let statements = conditions.iter().map(|(_, _, sql)| sql.as_str());
    let by_sql = selected(&session, &statements.collect::<Vec<_>>());
    let (mut selections, mut wrong) = (0, Vec::new());
    for ((set, rule, sql), by_sql) in conditions.iter().zip(&by_sql) {
        let Some((file, rules)) = sets.get(*set) else { continue };
        if rules.rules().iter().any(|r| r.name == *rule && r.raises_no_alert()) {
            continue;
        }
        let mut more = by_sql.clone();
        for (name, by_replay) in names.iter().zip(&by_replay) {
            let Some(of_capture) = by_replay[*set].get(rule) else {
                continue;
            };
            selections += of_capture.len();
            let less: Vec<_> = of_capture.iter().filter(|event| !more.remove(event)).take(5).collect();
            if !less.is_empty() {
                wrong.push(format!("{name}: {rule} ({file}): only replay {less:?}\n  {sql}"));
            }
        }
        if !more.is_empty() {
            let more: Vec<_> = more.iter().take(5).collect();
            wrong.push(format!("{rule} ({file}): only SQL {more:?}\n  {sql}"));
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    selections
}

#[test]
fn sql_selects_what_replay_selects() {
    let folder = TempDir::new().expect("a folder");
    let sets = rule_sets();
    let (conditions, beyond) = conditions(&sets);
    let selections = compare(&sets, &conditions, captures(folder.path()));
    println!("{} rules, {selections} selected events", conditions.len());
    assert!(selections > 50, "rules select {selections} events");
    assert_eq!(beyond, BTreeMap::new(), "all rules run as SQL");
}

#[test]
fn operators_and_negations_select_the_same() {
    let folder = TempDir::new().expect("a folder");
    let probes = vec![("probes".to_owned(), probes::rules())];
    let sets = vec![("probes".to_owned(), loaded(&probes).expect("rules"))];
    let (conditions, beyond) = conditions(&sets);
    let captures = captures(folder.path());
    let captures = captures.into_iter().step_by(5).collect();
    let selections = compare(&sets, &conditions, captures);
    println!("{} conditions, {selections} selected events", conditions.len());
    assert_eq!(beyond, BTreeMap::new());
    assert!(selections > 100_000, "probes select {selections} events");
}

#[test]
fn messages_to_syslog_are_the_same_ones() {
    // systemd keeps the socket elsewhere.
    let text = r#"900 1700000000.000100 execve("/usr/bin/logger", ["logger", "hi"], 0x7ffd0 /* 3 vars */) = 0
900 1700000000.000200 socket(AF_UNIX, SOCK_DGRAM|SOCK_CLOEXEC, 0) = 3
900 1700000000.000300 connect(3, {sa_family=AF_UNIX, sun_path="/dev/log"}, 110) = 0
900 1700000000.000400 sendto(3, "<13>hi", 6, MSG_NOSIGNAL, NULL, 0) = 6
900 1700000000.000500 socket(AF_UNIX, SOCK_DGRAM|SOCK_CLOEXEC, 0) = 4
900 1700000000.000600 connect(4, {sa_family=AF_UNIX, sun_path="/run/systemd/journal/dev-log"}, 110) = 0
900 1700000000.000700 write(4, "<13>ho", 6) = 6
900 1700000000.000800 read(4, "", 6) = 0
"#;
    let folder = TempDir::new().expect("a folder");
    let log = folder.path().join("strace.log");
    fs::write(&log, text).expect("a log");
    let case = imported(&log, folder.path().join("case")).expect("a case");
    let rule = "- rule: syslog\n  desc: d\n  condition: evt.is_syslog = true\n  output: o\n  priority: INFO\n";
    let sets = vec![(
        "syslog".to_owned(),
        loaded(&[("syslog".to_owned(), rule.to_owned())]).expect("a rule"),
    )];
    let (conditions, _) = conditions(&sets);
    let captures = vec![("logger".to_owned(), Case::open(&case).expect("a case"))];
    assert_eq!(
        compare(&sets, &conditions, captures),
        2,
        "what was sent and written, not the rest"
    );
}

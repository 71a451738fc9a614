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
        let case = folder.join(at.to_string());
        let status = Command::new(env!("CARGO_BIN_EXE_ctrace"))
            .args(["import", "-o"])
            .arg(&case)
            .arg(&path)
            .output()
            .expect("ctrace starts");
        match case.exists() {
            true => cases.push(case),
            false => println!("{}: {}", path.display(), String::from_utf8_lossy(&status.stderr)),
        }
    }
    cases
}

/// The events that each rule selects, by its index; of rules that raise no alert nothing.
fn replayed(set: &RuleSet, case: &Case) -> BTreeMap<String, BTreeSet<u64>> {
    let options = ctrace_replay::Options {
        matching: Matching::All,
        ..ctrace_replay::Options::default()
    };
    let mut out: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    Engine::new(set).replay(case, &options, &mut |alert| {
        if !alert.is_correlation() {
            out.entry(alert.rule().to_owned()).or_default().insert(alert.event);
        }
    });
    out
}

/// The events that each condition selects, asked in few statements.
fn selected(session: &Session, conditions: &[&str]) -> Vec<BTreeSet<u64>> {
    let mut out = vec![BTreeSet::new(); conditions.len()];
    for (chunk, out) in conditions.chunks(PER_STATEMENT).zip(out.chunks_mut(PER_STATEMENT)) {
        let columns: Vec<String> = chunk
            .iter()
            .map(|sql| format!("CASE WHEN {sql} THEN '1' ELSE '0' END"))
            .collect();
        let sql = format!("SELECT seq, {} AS rules FROM events", columns.join(" || "));
        let answer = session.sql(&sql).unwrap_or_else(|e| panic!("{e}\n{sql}"));
        let mut text = Vec::new();
        write(answer, Format::Csv, false, &mut text).unwrap_or_else(|e| panic!("{e}\n{sql}"));
        for line in String::from_utf8(text).expect("UTF-8").lines().skip(1) {
            let (seq, bits) = line.split_once(',').expect("two columns");
            let seq: u64 = seq.parse().expect("a number");
            for (found, bit) in out.iter_mut().zip(bits.bytes()) {
                if bit == b'1' {
                    found.insert(seq);
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

/// How many events the rules select in the captures; fails where SQL and replay select different ones.
fn compare(sets: &[(String, RuleSet)], conditions: &[Condition], captures: Vec<(String, Case)>) -> usize {
    let (mut selections, mut wrong) = (0, Vec::new());
    let none = BTreeSet::new();
    for (name, case) in captures {
        let options = Options {
            threads: 2,
            ..Options::default()
        };
        let replayed: Vec<_> = sets.iter().map(|(_, set)| replayed(set, &case)).collect();
        let session = Session::over(vec![Data::Case(Box::new(case))], &options).expect("a session");
        let statements = conditions.iter().map(|(_, _, sql)| sql.as_str());
        let selected = selected(&session, &statements.collect::<Vec<_>>());
        for ((set, rule, sql), by_sql) in conditions.iter().zip(&selected) {
            let Some((file, rules)) = sets.get(*set) else { continue };
            if rules.rules().iter().any(|r| r.name == *rule && r.raises_no_alert()) {
                continue;
            }
            let by_replay = replayed[*set].get(rule).unwrap_or(&none);
            selections += by_replay.len();
            if by_sql != by_replay {
                let only = |a: &BTreeSet<u64>, b: &BTreeSet<u64>| a.difference(b).take(5).copied().collect::<Vec<_>>();
                let (more, less) = (only(by_sql, by_replay), only(by_replay, by_sql));
                wrong.push(format!(
                    "{name}: {rule} ({file}): only SQL {more:?}, only replay {less:?}\n  {sql}"
                ));
            }
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

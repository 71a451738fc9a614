//! `ctrace tree`: every process once, under its parent.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use ctrace_trace::escape;
use serde_json::Value;

use crate::cases::{self, sample};
use crate::run::{Ran, ctrace, folder, project};

fn tree(case: &Path, args: &[&str]) -> Ran {
    let command = [OsStr::new("tree"), case.as_os_str()];
    ctrace(command.into_iter().chain(args.iter().map(OsStr::new)))
}

fn sql(statement: &str) -> Vec<String> {
    let args = [
        OsStr::new("query"),
        sample().as_os_str(),
        OsStr::new("--format=csv"),
        OsStr::new(statement),
    ];
    ctrace(args)
        .code(0)
        .silent()
        .lines()
        .skip(1)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_process_is_there_once_and_under_its_parent() {
    let objects = tree(sample(), &["--json"]).code(0).objects();
    let count = sql("SELECT count(DISTINCT (pid, start_ts)) FROM processes");
    assert_eq!(count, [objects.len().to_string()]);
    let mut path: Vec<&Value> = Vec::new();
    let mut parents = BTreeMap::new();
    for object in &objects {
        let depth = object["depth"].as_u64().expect("a depth") as usize;
        assert!(depth <= path.len());
        path.truncate(depth);
        if let Some(parent) = path.last() {
            parents.insert(object["pid"].as_u64(), parent["pid"].as_u64());
        }
        path.push(object);
    }
    let expected = sql(
        "SELECT DISTINCT c.pid, p.pid FROM processes c JOIN processes p ON c.parent_key = p.process_key \
                        WHERE c.container_name = 'web-1'",
    );
    assert!(expected.len() > 3, "{expected:?}");
    for line in expected {
        let (pid, ppid) = line.split_once(',').expect("two numbers");
        assert_eq!(parents.get(&pid.parse().ok()), Some(&ppid.parse().ok()), "{line}");
    }
}

#[test]
fn a_time_shows_who_was_there_and_a_pid_its_descendants() {
    let cat = sql(
        "SELECT pid, CAST(exec_ts AS BIGINT), CAST(exit_ts AS BIGINT) FROM processes \
                   WHERE name = 'cat' AND cmdline LIKE '%shadow%' AND exit_ts IS NOT NULL",
    );
    let words: Vec<u64> = cat[0].split(',').map(|w| w.parse().expect("a number")).collect();
    let [pid, exec, exit] = words.as_slice() else {
        panic!("{cat:?}")
    };
    let there = |at: u64| {
        let at = format!("{}.{:09}", at / 1_000_000_000, at % 1_000_000_000);
        tree(sample(), &["--json", "--at", &at])
            .code(0)
            .objects()
            .into_iter()
            .find(|o| o["pid"] == *pid)
    };
    let programs = there(*exec).expect("it runs")["programs"].clone();
    let last = programs.as_array().and_then(|p| p.last()).expect("a program").clone();
    assert!(
        last["cmdline"].as_str().is_some_and(|c| c.starts_with("cat ")),
        "{last}"
    );
    assert!(there(exit - 1).is_some() && there(*exit).is_none());
    let own = tree(sample(), &["--json", "--pid", &pid.to_string()]).code(0).objects();
    assert_eq!((own.len(), &own[0]["exit_code"]), (1, &Value::from(0)));
    assert_eq!(tree(sample(), &["--at", "soon"]).code(2).out, "");
}

#[test]
fn alerts_stand_under_the_processes_that_raised_them() {
    let rules = project("samples/attack/rules.yaml");
    let rules = rules.to_str().expect("UTF-8");
    let objects = tree(sample(), &["--json", "--rules", rules]).code(0).objects();
    let replay = [OsStr::new("replay"), sample().as_os_str()];
    let alerts = ctrace(replay.into_iter().chain(["-q", "--json", "-r", rules].map(OsStr::new)))
        .code(1)
        .objects();
    let secret = |o: &&Value| {
        o["alerts"]
            .as_object()
            .expect("alerts")
            .keys()
            .any(|k| k.ends_with("Secret read in a container"))
    };
    let cat = objects.iter().find(secret).expect("the thief");
    assert!(cat["programs"].to_string().contains("cat /etc/shadow"), "{cat}");
    let shown: u64 = objects
        .iter()
        .flat_map(|o| o["alerts"].as_object().expect("alerts").values())
        .filter_map(Value::as_u64)
        .sum();
    assert!(shown > 1 && shown <= alerts.len() as u64, "{shown}");
    let text = tree(sample(), &["--rules", rules]).code(0).silent();
    assert!(text.contains("! 1 × ") && text.contains("cat /etc/shadow"), "{text}");
    let case_last = [
        OsStr::new("tree"),
        OsStr::new("--rules"),
        OsStr::new(rules),
        sample().as_os_str(),
    ];
    assert_eq!(ctrace(case_last).code(0).silent(), text);
}

#[test]
fn hostile_names_are_escaped() {
    let folder = folder();
    let case = folder.path().join("case");
    cases::hostile(&case);
    let text = tree(&case, &[]).code(0);
    // They have one pid and one start, and are one process to the tree: the first name is shown.
    assert!(text.out.contains(&escape::bytes(cases::HOSTILE[0])), "{}", text.out);
    for ran in [text, tree(&case, &["--json"]).code(0)] {
        let bad = |c: char| c != '\n' && (c.is_control() || escape::misleads(c));
        assert_eq!(ran.out.chars().find(|c| bad(*c)), None);
    }
}

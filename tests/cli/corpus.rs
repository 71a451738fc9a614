//! The recorded attacks and the rule pack in `samples/`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::run::{Ran, ctrace, project};

/// The folders of the scenes, in order.
fn scenes() -> Vec<PathBuf> {
    let mut scenes: Vec<PathBuf> = fs::read_dir(project("samples/attacks"))
        .expect("the attacks")
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.join("scene").exists())
        .collect();
    scenes.sort();
    scenes
}

/// The technique that a scene is about; nothing for ordinary work.
fn technique(scene: &Path) -> Option<String> {
    let text = fs::read_to_string(scene.join("scene")).expect("a scene");
    let (_, rest) = text.split_once("# technique: ").expect("the technique of a scene");
    let technique = rest.split_whitespace().next().expect("a word").to_owned();
    (technique != "none").then_some(technique)
}

/// The alerts of the whole pack, or of a part of it, for a scene.
fn alerts(scene: &Path, rules: &str) -> Vec<Value> {
    let case = scene.join("case");
    let mut args = ["replay", "--matching=all", "--json", "--rules"]
        .map(PathBuf::from)
        .to_vec();
    args.extend([project(rules), case]);
    let ran: Ran = ctrace(args);
    ran.objects()
}

/// The names of the rules that a list of alerts is of.
fn names(alerts: &[Value]) -> impl Iterator<Item = String> + '_ {
    alerts.iter().map(|a| a["rule"].as_str().expect("a name").to_owned())
}

#[test]
fn all_rules_load() {
    let told = ctrace(["rules".into(), "check".into(), project("samples/rules")]).code(0);
    let (falco, sigma): (Vec<&str>, Vec<&str>) = told.out.lines().partition(|l| l.contains("/rules/falco/"));
    assert!(told.out.lines().all(|l| l.starts_with("loads ")), "{}", told.out);
    assert!(falco.len() >= 40, "{} rules of Falco's language", falco.len());
    assert!(sigma.len() >= 15, "{} rules of Sigma's", sigma.len());
}

#[test]
fn the_tests_of_the_corpus_pass() {
    let ran = ctrace([
        "test".into(),
        "--quiet".into(),
        project("samples/attacks"),
        project("samples/tests"),
    ]);
    assert_eq!(ran.out, "");
    assert!(ran.code(0).err.ends_with(" tests, 0 failed\n"));
}

#[test]
fn each_technique_is_found_and_ordinary_work_is_not() {
    let scenes = scenes();
    assert!(scenes.iter().filter(|s| technique(s).is_some()).count() >= 35);
    assert!(scenes.iter().filter(|s| technique(s).is_none()).count() >= 3);
    for scene in &scenes {
        assert!(scene.join("test.yaml").exists(), "{} has no test", scene.display());
        let alerts = alerts(scene, "samples/rules/falco");
        match technique(scene) {
            None => assert_eq!(
                names(&alerts).collect::<Vec<_>>(),
                Vec::<String>::new(),
                "{}",
                scene.display()
            ),
            Some(technique) => {
                let tags = alerts.iter().filter_map(|a| a["tags"].as_array()).flatten();
                let found = tags.clone().any(|t| t == technique.as_str());
                assert!(
                    found,
                    "{}: no {technique} among {:?}",
                    scene.display(),
                    tags.collect::<Vec<_>>()
                );
            }
        }
    }
}

/// Rules that raise no alerts: a correlation joins them.
const PARTS: [&str; 2] = [
    "Exec created in a container",
    "Shell with a terminal put into a container",
];

/// Each rule is set off by a scene or by a test's events, and has a test in which it must stay quiet.
#[test]
fn each_rule_is_tested_in_both_directions() {
    let mut rules: BTreeSet<String> = BTreeSet::new();
    for line in ctrace(["rules".into(), "check".into(), project("samples/rules")])
        .out
        .lines()
    {
        let (name, _) = line.split_once("  [").expect("the source of a rule");
        let name = name.trim_start_matches("loads").trim();
        if !PARTS.contains(&name) {
            rules.insert(name.to_owned());
        }
    }
    let read = |name: &str| fs::read_to_string(project("samples/tests").join(name)).expect("tests");
    let fires = read("fires.yaml");
    let quiet = read("quiet.yaml");
    let mut fired: BTreeSet<String> = scenes()
        .iter()
        .flat_map(|s| names(&alerts(s, "samples/rules")).collect::<Vec<_>>())
        .collect();
    fired.extend(
        rules
            .iter()
            .filter(|r| fires.contains(&format!("- rule: \"{r}\"")))
            .cloned(),
    );
    assert_eq!(
        rules.difference(&fired).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "never fired"
    );
    // Events cannot be written for the sources docker and audit: there the ordinary cases must do, which have such events.
    let elsewhere = [
        "Command sent into a container",
        "Audit configuration changed",
        "Audit rules changed",
    ];
    let untested: Vec<&String> = rules
        .iter()
        .filter(|r| !elsewhere.contains(&r.as_str()) && !quiet.contains(&format!("forbid: [\"{r}\"]")))
        .collect();
    assert_eq!(untested, Vec::<&String>::new(), "without a quiet test");
}

#[test]
fn cases_stay_small() {
    for scene in scenes() {
        let files = fs::read_dir(scene.join("case")).expect("a case");
        let bytes: u64 = files.map(|f| f.and_then(|f| f.metadata()).expect("a file").len()).sum();
        assert!(bytes < 300 * 1024, "{}: {bytes} bytes", scene.display());
    }
}

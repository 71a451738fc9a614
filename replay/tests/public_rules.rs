//! The public rule set and Falco's own test rules: what Falco loads must load, what it refuses must be refused.

use std::path::{Path, PathBuf};

use ctrace_replay::{Filter, LoadOptions, RuleFile, Verdict, check, load};
use ctrace_skip::shared;

#[test]
fn stable_rules_load_whole() {
    let Some(path) = shared("stable_rules_load_whole", "data/falco/falco_rules.yaml") else {
        return;
    };
    let text = std::fs::read_to_string(path).expect("rules");
    match load(
        &[RuleFile {
            name: "falco_rules.yaml",
            text: &text,
        }],
        &LoadOptions::default(),
    ) {
        Ok(set) => {
            assert_eq!(set.rules().len(), 25);
            for w in set.warnings() {
                println!("{w}");
            }
        }
        Err(errors) => panic!("{errors}"),
    }
}

#[test]
fn falco_tests_load_as_in_falco() {
    let Some(folder) = shared("falco_tests_load_as_in_falco", "data/falco/tests") else {
        return;
    };
    let text = std::fs::read_to_string(folder.join("expect.json")).expect("what Falco does");
    let cases: serde_json::Value = serde_json::from_str(&text).expect("expect.json is JSON");
    let mut wrong = Vec::new();
    for case in cases.as_array().expect("a list of tests") {
        let names = case["rules"]
            .as_array()
            .expect("rules")
            .iter()
            .filter_map(|n| n.as_str());
        let files: Vec<(String, String)> = names
            .map(|n| {
                (
                    format!("{n}.yaml"),
                    std::fs::read_to_string(folder.join(format!("{n}.yaml"))).expect("rules"),
                )
            })
            .collect();
        let files: Vec<RuleFile<'_>> = files.iter().map(|(name, text)| RuleFile { name, text }).collect();
        let loaded = load(&files, &LoadOptions::default());
        if loaded.is_ok() != (case["rc"] == 0) {
            wrong.push(format!("{}: {:?}", case["test"], loaded.err().map(|e| e.to_string())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every field of Falco's list either reads something or is named when rules load; none is false without a word.
#[test]
fn public_fields_are_read_or_named() {
    let Some(path) = shared("public_fields_are_read_or_named", "data/falco/falco_fields.txt") else {
        return;
    };
    let text = std::fs::read_to_string(path).expect("names of fields");
    let (mut read, mut named, mut wrong) = (0, 0, Vec::new());
    for name in text.lines().map(str::trim).filter(|name| !name.is_empty()) {
        let plain = Filter::parse(&format!("{name} exists"));
        let keyed = || Filter::parse(&format!("{name}[0] exists"));
        match plain.or_else(|_| keyed()) {
            Ok(filter) if filter.warnings().is_empty() => read += 1,
            Ok(filter)
                if filter
                    .warnings()
                    .iter()
                    .all(|w| w.message.contains(&format!("'{name}"))) =>
            {
                named += 1
            }
            Ok(filter) => wrong.push(format!("{name}: {:?}", filter.warnings())),
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    println!("{read} fields are read, {named} are named as never recorded");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(read > 150, "only {read} fields are read");
}

#[test]
fn arguments_of_falcos_events_that_are_not_recorded_are_named() {
    for (text, name) in [
        ("evt.arg.reaper_tid = 1", "evt.arg.reaper_tid"),
        ("evt.rawarg[vtid] exists", "evt.rawarg[vtid]"),
    ] {
        let filter = Filter::parse(text).expect("loads");
        assert!(
            filter.warnings()[0].message.contains(&format!("'{name}'")),
            "{:?}",
            filter.warnings()
        );
    }
    assert!(Filter::parse("evt.arg.nobody_has_this = 1").is_err());
}

fn yaml_files(folder: &Path, out: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            yaml_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "yml" || e == "yaml") {
            out.push(path);
        }
    }
}

/// Of the public Sigma rules at least 95 % load; the others say which data they would need.
#[test]
fn public_sigma_rules_load_or_say_what_they_need() {
    let Some(folder) = shared("public_sigma_rules_load_or_say_what_they_need", "data/sigma") else {
        return;
    };
    let mut paths = Vec::new();
    yaml_files(&folder, &mut paths);
    let texts: Vec<(String, String)> = paths
        .iter()
        .map(|p| (p.display().to_string(), std::fs::read_to_string(p).expect("a rule")))
        .collect();
    let files: Vec<RuleFile<'_>> = texts.iter().map(|(name, text)| RuleFile { name, text }).collect();
    let report = check(&files, &LoadOptions::default());
    let mut loaded = 0;
    for rule in &report.rules {
        match &rule.verdict {
            Verdict::Loads { .. } => loaded += 1,
            Verdict::LeftOut(why) => {
                println!("{}: {why}", rule.name);
                assert!(why.starts_with("needs "), "{}: {why}", rule.name);
            }
            Verdict::Wrong(why) => panic!("{}:{}: {}: {why}", rule.file, rule.line, rule.name),
        }
    }
    assert_eq!(report.rules.len(), files.len());
    println!("{loaded} of {} load", files.len());
    assert!(
        loaded * 100 >= files.len() * 95,
        "only {loaded} of {} load",
        files.len()
    );
    // A replay takes what loads and warns of the others.
    let set = load(&files, &LoadOptions::default()).expect("loads");
    assert_eq!(set.rules().len(), loaded);
    assert_eq!(set.warnings().len(), files.len() - loaded);
}

/// Processor time of this thread so far, in the kernel's ticks of 10 ms: what others do meanwhile does not count.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("Linux");
    let after = stat.rsplit_once(')').expect("a name").1;
    let ticks = after.split_whitespace().skip(11).take(2);
    ticks.map(|n| n.parse::<u64>().expect("a number")).sum()
}

/// More than a hundred rules are ready in 50 ms on a quiet machine (bench `load`); here the best of some tries may take
/// twenty times as much of a processor, so that only work of another order fails.
#[test]
fn a_hundred_rules_load_at_once() {
    let name = "a_hundred_rules_load_at_once";
    let mut paths = Vec::new();
    yaml_files(Path::new("../samples/rules/falco"), &mut paths);
    yaml_files(Path::new("../samples/rules/sigma"), &mut paths);
    paths.extend(shared(name, "data/falco/falco_rules.yaml"));
    if let Some(folder) = shared(name, "data/sigma") {
        yaml_files(&folder, &mut paths);
    }
    let texts: Vec<(String, String)> = paths
        .iter()
        .map(|p| (p.display().to_string(), std::fs::read_to_string(p).expect("a file")))
        .collect();
    let files: Vec<RuleFile<'_>> = texts.iter().map(|(name, text)| RuleFile { name, text }).collect();
    let mut best = u64::MAX;
    for _ in 0..5 {
        let before = cpu_ticks();
        let report = check(&files, &LoadOptions::default());
        best = best.min(cpu_ticks() - before);
        assert!(report.rules.len() >= 55, "{}", report.rules.len());
    }
    assert!(best < 100, "{best} ticks");
}

//! The public rule set and Falco's own test rules: what Falco loads must load, what it refuses must be refused.

mod skip;

use ctrace_replay::{LoadOptions, RuleFile, load};

#[test]
fn stable_rules_load_whole() {
    let path = skip::shared().join("data/falco/falco_rules.yaml");
    let Ok(text) = std::fs::read_to_string(&path) else {
        return skip::skip("stable_rules_load_whole", "../shared/data/falco is not there");
    };
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
    let folder = skip::shared().join("data/falco/tests");
    let Ok(text) = std::fs::read_to_string(folder.join("expect.json")) else {
        return skip::skip(
            "falco_tests_load_as_in_falco",
            "../shared/data/falco/tests is not there",
        );
    };
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

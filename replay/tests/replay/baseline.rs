//! What is learned is normal, and everything else a departure.

use ctrace_replay::{Baseline, Engine, LoadOptions, Matching, Options, RuleFile, load};
use ctrace_trace::case::Case;

use crate::recording::{Recording, attack};

fn departures(rules: &str, case: &Case) -> Vec<String> {
    let file = RuleFile {
        name: "baseline.yaml",
        text: rules,
    };
    let set = load(&[file], &LoadOptions::default()).unwrap_or_else(|e| panic!("{e}\n{rules}"));
    assert_eq!(set.warnings(), [], "{rules}");
    let options = Options {
        matching: Matching::All,
        ..Options::default()
    };
    let mut out = Vec::new();
    let outcome = Engine::new(&set).replay(case, &options, &mut |a| {
        out.push(format!("{}: {}", a.rule(), a.message()))
    });
    assert!(outcome.is_complete());
    out
}

#[test]
fn departures_from_what_was_learned_are_told() {
    let dir = tempfile::tempdir().expect("tempdir");
    let learned = attack(dir.path(), 2);
    let mut baseline = Baseline::new().expect("fields");
    baseline.add(&learned, 1);
    assert_eq!((baseline.images(), baseline.problems().len()), (2, 0));
    let rules = baseline.rules();
    assert_eq!(departures(&rules, &learned), [] as [String; 0]);
    let other = tempfile::tempdir().expect("tempdir");
    let mut r = Recording::new(other.path());
    let bash = r.image("bash", "/usr/bin/bash", &["-bash"], None, None);
    let odd = r.image("odd", "/opt/o (d), \"d\"", &["odd"], None, None);
    r.exec(&bash);
    r.exec(&odd);
    r.connect(&bash, "127.0.0.1:22");
    r.connect(&bash, "127.0.0.1:23");
    let other = r.finish(other.path());
    assert_eq!(
        departures(&rules, &other),
        [
            "Departure: executables of the host: Unknown program (exe=/opt/o (d), \"d\" command=odd parent=<NA> container=host)",
            "Departure: connections of the host: Unknown connection (connection=10.0.0.2:40000->127.0.0.1:23 \
             command=bash container=host)"
        ],
        "{rules}"
    );
    // Once they were met, they are normal too, whatever characters are in them.
    baseline.add(&other, 1);
    assert_eq!(
        departures(&baseline.rules(), &other),
        [] as [String; 0],
        "{}",
        baseline.rules()
    );
}

//! Every target with its samples and some changes of each; more of them with `CTRACE_FUZZ_ROUNDS`, of one target with
//! `CTRACE_FUZZ_TARGET`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ctrace_fuzz::{Mutations, Target, seeds, targets};

/// Changes of each sample where nobody asks for more.
const ROUNDS: u64 = 12;

fn rounds() -> u64 {
    let asked = std::env::var("CTRACE_FUZZ_ROUNDS").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(ROUNDS)
}

fn run(of_family: impl Fn(Target) -> bool) {
    let asked = std::env::var("CTRACE_FUZZ_TARGET").ok();
    let wanted = |t: &Target| of_family(*t) && asked.as_ref().is_none_or(|name| *name == t.name());
    for target in targets().into_iter().filter(wanted) {
        let seeds = seeds(target);
        assert!(!seeds.is_empty(), "{target:?} has no samples");
        for (at, seed) in seeds.iter().enumerate() {
            target.run(seed);
            for round in 0..rounds() {
                let mut mutations = Mutations::new(round << 16 | at as u64);
                let other = &seeds[(at + 1 + round as usize) % seeds.len()];
                let bytes = mutations.change(seed, other);
                let ran = std::panic::catch_unwind(|| target.run(&bytes));
                if ran.is_err() {
                    let path = std::env::temp_dir().join(format!("ctrace-fuzz-{}-{at}-{round}", target.name()));
                    fs::write(&path, &bytes).expect("written");
                    panic!(
                        "{}: sample {at}, round {round}: kept as {}",
                        target.name(),
                        path.display()
                    );
                }
            }
        }
    }
}

#[test]
fn importers() {
    run(|t| matches!(t, Target::Import(_)));
}

#[test]
fn blocks() {
    run(|t| t == Target::Block);
}

#[test]
fn segments() {
    run(|t| t == Target::Segment);
}

#[test]
fn rules_and_filters() {
    run(|t| matches!(t, Target::Rules | Target::Filter));
}

/// Each target has a file for cargo-fuzz that calls it, and no file is without one.
#[test]
fn every_target_is_one_of_cargo_fuzz() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).expect("a manifest");
    let files = fs::read_dir(fuzz.join("fuzz_targets")).expect("targets");
    let files: BTreeSet<String> = files
        .map(|f| f.expect("a file").file_name().to_string_lossy().into_owned())
        .collect();
    let expected: BTreeSet<String> = targets().iter().map(|t| format!("{}.rs", t.name())).collect();
    assert_eq!(files, expected);
    for target in targets() {
        let name = target.name();
        let text = fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).expect("a target");
        assert!(
            text.contains(&format!("Target::named(\"{name}\")")),
            "{name}.rs calls another"
        );
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")),
            "{name} is not in Cargo.toml"
        );
    }
}

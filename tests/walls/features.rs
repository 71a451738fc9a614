//! What is compiled once must not be compiled again: the command alone and the Python package are built of the same crates,
//! with the same features, as the workspace's tests. Otherwise `cargo run`, `pip install` and `tests/run` each compile
//! DataFusion for themselves.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What Cargo would compile for a selection, each unit with all that it is compiled of.
fn units(selection: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(selection)
        .args(["--offline", "--locked", "--unit-graph", "-Z", "unstable-options"])
        // The graph is told by nightly versions alone, or to those who ask like this.
        .env("RUSTC_BOOTSTRAP", "1")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo {selection:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let graph: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let units = graph["units"].as_array().expect("units");
    let mut known = vec![None; units.len()];
    (0..units.len()).map(|i| signature(units, i, &mut known)).collect()
}

/// A unit with its features, and a digest of what it depends on.
fn signature(units: &[Value], at: usize, known: &mut Vec<Option<String>>) -> String {
    if let Some(done) = &known[at] {
        return done.clone();
    }
    let unit = &units[at];
    let mut below: Vec<String> = unit["dependencies"]
        .as_array()
        .expect("dependencies")
        .iter()
        .map(|d| signature(units, d["index"].as_u64().expect("an index") as usize, known))
        .collect();
    below.sort();
    let own = format!(
        "{} {} {} {} {}",
        unit["pkg_id"], unit["target"]["kind"], unit["features"], unit["profile"]["opt_level"], unit["mode"]
    );
    let whole = format!("{own} {:08x}", crc32fast::hash(below.join("\n").as_bytes()));
    known[at] = Some(whole.clone());
    whole
}

/// Crates of others that a selection compiles and the tests do not.
fn compiled_again(selection: &[&str]) -> Vec<String> {
    let tested = units(&["test", "--workspace"]);
    let again = units(selection).into_iter().filter(|u| !tested.contains(u));
    again.filter(|u| u.contains("registry+")).collect()
}

#[track_caller]
fn check(selection: &[&str]) {
    let again = compiled_again(selection);
    assert!(
        again.is_empty(),
        "cargo {selection:?} compiles again, with other features than the tests: {again:#?}"
    );
}

#[test]
fn the_command_alone_is_made_of_what_the_tests_compiled() {
    check(&["build", "--package", "ctrace"]);
}

#[test]
fn the_python_package_is_made_of_what_the_tests_compiled() {
    check(&["build", "--package", "ctrace-python", "--lib"]);
}

/// The search itself must be able to find something: without all features of the workspace some crates differ.
#[test]
fn a_difference_would_be_found() {
    assert!(!compiled_again(&["build", "--package", "ctrace-query"]).is_empty());
}

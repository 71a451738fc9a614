//! What a crate's dependencies must not reach, directly or through others.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

/// The data engine and its runtime: minutes of compiling and a hundred megabytes that a recorder must not carry.
const ENGINE: [&str; 5] = ["arrow", "datafusion", "parquet", "object_store", "tokio"];

/// Asks Cargo for all packages that `package` needs to be built with any of its features, tests aside.
fn closure(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "no-dev",
            "--prefix",
            "none",
            "--all-features",
        ])
        .args(["--format", "{p}", "--package", package])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let names: BTreeSet<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    assert!(
        names.contains(package),
        "cargo tree does not list {package} itself: {names:?}"
    );
    names
}

/// Tells whether a package is the named one or of its family: `arrow` stands for `arrow-array` as well.
fn belongs(package: &str, family: &str) -> bool {
    package
        .strip_prefix(family)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}

/// Lists the packages that `package` reaches although it must not.
fn breaches(package: &str, forbidden: &[&str]) -> Vec<String> {
    let reached = closure(package).into_iter().filter(|name| name != package);
    reached
        .filter(|name| forbidden.iter().any(|family| belongs(name, family)))
        .collect()
}

#[track_caller]
fn check(package: &str, forbidden: &[&str]) {
    let found = breaches(package, forbidden);
    let hint = format!(
        "cargo tree --edges no-dev --package {package} --invert {}",
        found.first().map_or("", |f| f)
    );
    assert!(
        found.is_empty(),
        "{package} must not depend on {found:?}; see how it gets there: {hint}"
    );
}

#[test]
fn the_recorder_is_free_of_the_data_engine_and_of_rules() {
    check(
        "ctrace-capture",
        &[&ENGINE[..], &["ctrace-query", "ctrace-replay"]].concat(),
    );
}

#[test]
fn replay_knows_neither_the_engine_nor_the_host() {
    check(
        "ctrace-replay",
        &[&ENGINE[..], &["ctrace-capture", "ctrace-wire", "ctrace-query", "aya"]].concat(),
    );
}

#[test]
fn trace_knows_nobody() {
    check("ctrace-trace", &[&ENGINE[..], &["ctrace", "aya"]].concat());
}

#[test]
fn query_knows_neither_recording_nor_rules() {
    check(
        "ctrace-query",
        &["ctrace-capture", "ctrace-replay", "ctrace-wire", "aya"],
    );
}

#[test]
fn what_is_opened_is_not_recorded() {
    for package in ["ctrace-inputs", "ctrace-python"] {
        check(package, &["ctrace-capture", "ctrace-wire", "aya"]);
    }
}

#[test]
fn the_wire_layout_knows_nobody() {
    check("ctrace-wire", &["ctrace"]);
}

/// The search itself must be able to find something: the query crate does depend on the engine.
#[test]
fn a_breach_would_be_found() {
    let found = breaches("ctrace-query", &ENGINE);
    assert!(
        ENGINE.iter().all(|family| found.iter().any(|name| name == family)),
        "{found:?}"
    );
    assert!(
        found.iter().any(|name| name == "arrow-array"),
        "families are matched: {found:?}"
    );
}

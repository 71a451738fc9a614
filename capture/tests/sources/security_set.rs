//! The set of system calls that is recorded unless asked otherwise, against the public rules.

use std::collections::BTreeSet;
use std::fs;

use ctrace_trace::syscalls::set;

use ctrace_skip::shared;

const RULES: &str = "data/falco/falco_rules.yaml";

/// The names in `evt.type = NAME` and `evt.type in (NAME, …)`.
fn event_types(rules: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for condition in rules.split("evt.type").skip(1) {
        let condition = condition.trim_start();
        let names = match condition.strip_prefix("in") {
            Some(list) => list
                .trim_start()
                .strip_prefix('(')
                .and_then(|list| list.split(')').next()),
            None => {
                let one = condition
                    .strip_prefix('=')
                    .map(|one| one.trim_start_matches('=').trim_start());
                one.and_then(|one| one.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next())
            }
        };
        found.extend(names.into_iter().flat_map(|names| names.split(',')).map(str::trim));
    }
    found
}

#[test]
fn every_event_that_the_public_rules_look_at_is_in_it() {
    let Some(path) = shared("every_event_that_the_public_rules_look_at_is_in_it", RULES) else {
        return;
    };
    let rules = fs::read_to_string(path).expect("readable");
    let named = event_types(&rules);
    assert!(
        named.contains("execve") && named.contains("connect") && named.len() >= 18,
        "{named:?}"
    );
    let security = set("security").expect("a set");
    for name in named {
        let kinds = set(name).unwrap_or_else(|| panic!("{name} is no system call"));
        assert!(kinds.iter().all(|kind| security.contains(kind)), "{name}");
    }
}

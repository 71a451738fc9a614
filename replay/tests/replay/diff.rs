//! Two versions of rules over one case.

use ctrace_replay::{Change, LoadOptions, Matching, Options, RuleFile, RuleSet, diff, load};

use crate::recording::attack;

const OLD: &str = r#"
- list: tools
  items: [cat, less]
- rule: Secret
  desc: d
  condition: evt.type = openat and fd.name = /etc/shadow and proc.name in (tools)
  output: Secret %proc.name
  priority: WARNING
- rule: Exec
  desc: d
  condition: evt.type = execve and proc.exepath startswith /tmp/
  output: Exec
  priority: INFO
"#;

fn set(text: &str) -> RuleSet {
    load(&[RuleFile { name: "r", text }], &LoadOptions::default()).expect("rules load")
}

fn told(old: &str, new: &str, matching: Matching) -> Vec<(Change, String, Vec<String>)> {
    let dir = tempfile::tempdir().expect("tempdir");
    let case = attack(dir.path(), 1);
    let options = Options {
        matching,
        ..Options::default()
    };
    let found = diff(&set(old), &set(new), &case, &options, 100);
    assert_eq!(found.counts.iter().sum::<u64>(), found.differences.len() as u64);
    let tell = |d: ctrace_replay::Difference| (d.change, d.alert.text(), d.reasons);
    found.differences.into_iter().map(tell).collect()
}

#[test]
fn nothing_differs_from_itself() {
    assert_eq!(told(OLD, OLD, Matching::First), []);
}

#[test]
fn each_difference_has_the_condition_responsible() {
    let new = OLD
        .replace("[cat, less]", "[bash, less]")
        .replace("priority: INFO", "priority: ERROR");
    let text = |s: &str| s.to_owned();
    assert_eq!(
        told(OLD, &new, Matching::First),
        [
            (
                Change::Added,
                text("22:13:20.000003000: Warning Secret bash"),
                vec![text("old: proc.name in (tools) is false, the value is bash")]
            ),
            (
                Change::Removed,
                text("22:13:20.000005000: Warning Secret cat"),
                vec![text("new: proc.name in (tools) is false, the value is cat")]
            ),
            (
                Change::Changed,
                text("22:13:20.000007000: Error Exec"),
                vec![text("priority: Informational → Error")]
            ),
        ]
    );
}

#[test]
fn new_disabled_and_hidden_rules_are_named() {
    let first = "- {rule: Early, desc: d, condition: proc.exepath startswith /tmp/, output: Early, priority: INFO}\n";
    let reasons = |new: &str, matching| -> Vec<(Change, Vec<String>)> {
        told(OLD, new, matching).into_iter().map(|d| (d.0, d.2)).collect()
    };
    let early = format!("{first}{OLD}");
    let found = reasons(&early, Matching::First);
    assert_eq!(
        found.first(),
        Some(&(Change::Added, vec!["there is no such rule in the old rules".to_owned()]))
    );
    assert!(
        found.contains(&(Change::Removed, vec!["in the new rules 'Early' comes first".to_owned()])),
        "{found:?}"
    );
    assert!(reasons(&early, Matching::All).iter().all(|d| d.0 == Change::Added));
    let off = format!("{OLD}- {{rule: Exec, enabled: false}}\n");
    assert_eq!(
        reasons(&off, Matching::First),
        [(
            Change::Removed,
            vec!["the rule is not enabled in the new rules".to_owned()]
        )]
    );
}

#[test]
fn correlations_are_compared_too() {
    let old = "
title: Executed
name: executed
logsource: {category: process_creation, product: linux}
detection: {selection: {Image|startswith: /}, condition: selection}
---
title: Many
correlation: {type: event_count, rules: [executed], group-by: [User], timespan: 1h, condition: {gte: 2}}
level: high
";
    let found = told(old, &old.replace("gte: 2", "gte: 200"), Matching::First);
    let (change, text, reasons) = found.first().expect("the correlation");
    assert_eq!(*change, Change::Removed);
    assert!(text.contains("Many ("), "{text}");
    assert_eq!(*reasons, ["the correlation finds other matches in the new rules"]);
}

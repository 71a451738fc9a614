//! Explanations say what the engine does, and which comparison decided.

use std::path::Path;

use ctrace_replay::{Finder, LoadOptions, RuleFile, RuleSet, load, responsible};
use ctrace_trace::case::Case;
use ctrace_trace::segment::BlockReader;

use crate::recording::attack;

const RULES: &str = r#"
- list: secrets
  items: [/etc/shadow, /etc/gshadow]
- macro: in_container
  condition: container.id != host
- macro: reads_secret
  condition: evt.type = openat and fd.name in (secrets)
- rule: Secret
  desc: d
  condition: reads_secret and (in_container or proc.pname = sshd)
  output: o
  priority: WARNING
  exceptions:
    - name: backup
      fields: [proc.name, fd.name]
      comps: [=, startswith]
      values: [[cat, /etc/sh]]
    - name: unused
      fields: [proc.name]
"#;

fn set(text: &str) -> RuleSet {
    load(&[RuleFile { name: "r", text }], &LoadOptions::default()).expect("rules load")
}

fn lines(set: &RuleSet, case: &Case, event: u64) -> Vec<String> {
    let mut finder = Finder::new(case, true);
    let found = finder.with(event, |e| set.explain(0, e)).expect("reads").flatten();
    found.expect("explained").lines()
}

#[test]
fn each_part_has_its_truth_and_each_comparison_its_value() {
    let dir = tempfile::tempdir().expect("tempdir");
    let case = attack(dir.path(), 1);
    let set = set(RULES);
    assert_eq!(
        lines(&set, &case, 2),
        [
            "* true  and",
            "* true    and",
            "* true      macro reads_secret",
            "* true        and",
            "* true          evt.type = openat   [openat]",
            "* true          fd.name in (secrets)   [/etc/shadow]",
            "* true      or",
            "  false       macro in_container",
            "  false         container.id != host   [host]",
            "* true        proc.pname = sshd   [sshd]",
            "* true    exception backup: not",
            "* false     and",
            "* false       proc.name = cat   [bash]",
            "  true        fd.name startswith /etc/sh   [/etc/shadow]",
        ]
    );
    // The same file, read by cat in a container, is excepted.
    let excepted = lines(&set, &case, 4);
    assert_eq!(excepted.first().map(String::as_str), Some("* false and"));
    assert!(
        excepted.contains(&"* false   exception backup: not".to_owned()),
        "{excepted:#?}"
    );
    assert!(excepted.contains(&"  true    and".to_owned()), "{excepted:#?}");
}

#[test]
fn what_decided_is_told() {
    let dir = tempfile::tempdir().expect("tempdir");
    let case = attack(dir.path(), 1);
    let set = set(RULES);
    let mut finder = Finder::new(&case, true);
    let mut sentences = |event| {
        let found = finder.with(event, |e| set.explain(0, e)).expect("reads").flatten();
        let tree = found.expect("explained").tree;
        tree.deciding().iter().map(|d| d.sentence()).collect::<Vec<_>>()
    };
    assert_eq!(
        sentences(1),
        ["macro reads_secret: fd.name in (secrets) is false, the value is /etc/passwd"]
    );
    assert_eq!(
        sentences(4),
        [
            "exception backup: proc.name = cat is true, the value is cat",
            "exception backup: fd.name startswith /etc/sh is true, the value is /etc/shadow"
        ]
    );
    assert!(finder.with(1_000_000, |_| ()).expect("reads").is_none());
}

#[test]
fn the_difference_of_two_versions_is_found() {
    let dir = tempfile::tempdir().expect("tempdir");
    let case = attack(dir.path(), 1);
    let mut finder = Finder::new(&case, true);
    let mut told = |firing: &str, silent: &str, event| {
        let trees = [firing, silent].map(|text| {
            let set = set(text);
            let found = finder.with(event, |e| set.explain(0, e)).expect("reads").flatten();
            found.expect("explained")
        });
        assert!(trees[0].fires && !trees[1].fires);
        let (_, found) = responsible(&trees[0].tree, &trees[1].tree);
        found.iter().map(|d| d.sentence()).collect::<Vec<_>>()
    };
    // A narrowed list.
    assert_eq!(
        told(RULES, &RULES.replace("/etc/shadow, ", ""), 2),
        ["macro reads_secret: fd.name in (secrets) is false, the value is /etc/shadow"]
    );
    // A wider exception.
    assert_eq!(
        told(
            RULES,
            &RULES.replace("[[cat, /etc/sh]]", "[[cat, /etc/sh], [bash, /etc]]"),
            2
        ),
        [
            "exception backup: proc.name = bash is true, the value is bash",
            "exception backup: fd.name startswith /etc is true, the value is /etc/shadow"
        ]
    );
    // A part of an `or` that is gone.
    assert_eq!(
        told(RULES, &RULES.replace(" or proc.pname = sshd", ""), 2),
        ["proc.pname = sshd is true, the value is sshd"]
    );
}

#[test]
fn explanations_agree_with_the_rules_on_every_event() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/attack");
    let text = std::fs::read_to_string(folder.join("rules.yaml")).expect("the sample's rules");
    let case = Case::open(&folder.join("case")).expect("the sample opens");
    let set = set(&text);
    let mut reader = BlockReader::new();
    let (mut fired, mut asked) = (0, 0);
    for block in case.blocks() {
        let decoded = reader.read(block, ctrace_trace::block::Need::ALL).expect("whole");
        case.late_facts(1).resolve(decoded);
        for event in decoded
            .events()
            .step_by(7)
            .chain(decoded.events().filter(|e| set.holds(0, *e)))
        {
            for rule in 0..set.rules().len() {
                let found = set.explain(rule, event).expect("explained");
                assert_eq!(found.fires, set.holds(rule, event), "{} on {}", found.rule, found.event);
                asked += 1;
                fired += usize::from(found.fires);
            }
        }
    }
    assert!(fired > 0 && asked > 1000, "{fired} of {asked}");
}

#[test]
fn macros_that_double_at_each_level_are_shown_once() {
    let dir = tempfile::tempdir().expect("tempdir");
    let case = attack(dir.path(), 1);
    let mut text = String::from("- macro: m0\n  condition: proc.name = a\n");
    for i in 1..40 {
        text.push_str(&format!("- macro: m{i}\n  condition: m{0} or m{0}\n", i - 1));
    }
    text.push_str("- {rule: r, desc: d, condition: m39, output: o, priority: INFO}\n");
    let found = lines(&set(&text), &case, 1);
    assert!(found.len() < 200, "{}", found.len());
}

#[test]
fn a_sigma_rule_is_explained_by_what_it_was_made_into() {
    let dir = tempfile::tempdir().expect("tempdir");
    let case = attack(dir.path(), 1);
    let set = set("
title: Dropped
id: 11111111-2222-3333-4444-555555555555
logsource: {category: process_creation, product: linux}
detection:
  selection:
    Image|startswith: /tmp/
  filter:
    Image|endswith: /allowed
  condition: selection and not filter
level: high
");
    let mut finder = Finder::new(&case, true);
    let mut fires = |event| {
        let found = finder.with(event, |e| set.explain(0, e)).expect("reads").flatten();
        let found = found.expect("explained");
        (found.fires, found.lines().join("\n"))
    };
    let (fired, lines) = fires(6);
    assert!(fired, "{lines}");
    assert!(lines.contains("* true") && lines.contains("[/tmp/x]"), "{lines}");
    let (fired, lines) = fires(3);
    assert!(!fired && lines.contains("[/bin/cat]"), "{lines}");
}

#[test]
fn a_rule_is_found_by_the_beginning_of_its_name() {
    let rule = |name: &str| {
        format!("- rule: {name}\n  desc: d\n  condition: evt.type = openat\n  output: o\n  priority: WARNING\n")
    };
    let set = set(&["Secret read", "Secret read twice", "Other"].map(rule).concat());
    assert_eq!(
        ["Secret read", "secret READ t", "o"].map(|n| set.named(n)),
        [Ok(0), Ok(1), Ok(2)]
    );
    let wrong = ["read", "secret", ""].map(|n| set.named(n).expect_err("no one rule").to_string());
    assert_eq!(
        wrong,
        [
            "no rule is called 'read'",
            "'secret' may be 'Secret read', 'Secret read twice'",
            "'' may be 'Secret read', 'Secret read twice', 'Other'",
        ]
    );
}

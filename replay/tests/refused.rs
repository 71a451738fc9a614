//! Rules that must not load: each error with its file, line and column, all of them together.

use ctrace_replay::{LoadOptions, RuleFile, load};

fn file(text: &str) -> RuleFile<'_> {
    RuleFile { name: "r.yaml", text }
}

/// Loads one file and gives its errors, one a line.
fn errors(text: &str) -> String {
    load(&[file(text)], &LoadOptions::default())
        .expect_err("does not load")
        .to_string()
}

/// A rule with a condition in a folded block that begins in line 4, column 5.
fn rule(condition: &str) -> String {
    format!("- rule: r\n  desc: d\n  condition: >\n    {condition}\n  output: o\n  priority: ERROR\n")
}

#[test]
fn names_that_nobody_knows() {
    assert_eq!(
        errors(&rule(
            "evt.type = execve\n    and proc.nmae = x\n    and not shell_procss"
        )),
        "r.yaml:5:9: error: unknown field 'proc.nmae'; did you mean 'proc.name'?\n\
         r.yaml:6:13: error: undefined macro 'shell_procss'"
    );
    assert_eq!(
        errors(&format!(
            "- macro: shell_procs\n  condition: proc.name = sh\n{}",
            rule("shell_procss")
        )),
        "r.yaml:6:5: error: undefined macro 'shell_procss'; did you mean 'shell_procs'?"
    );
    assert_eq!(
        errors(&rule("evt.type = execve and proc.name contians x")),
        "r.yaml:4:37: error: unknown operator 'contians'; did you mean 'contains'?"
    );
    assert_eq!(
        errors(&rule("evt.type in (execve, openta)")),
        "r.yaml:4:26: error: unknown event type 'openta'; did you mean 'openat'?"
    );
}

#[test]
fn changes_that_change_nothing_and_keys_of_the_wrong_type() {
    let good = rule("evt.type = execve");
    assert_eq!(
        errors(&format!("{good}- rule: r\n  append: true\n")),
        "r.yaml:7:3: error: an appended rule must have a condition or exceptions"
    );
    assert_eq!(
        errors(&format!("{good}  capture_duration: long\n")),
        "r.yaml:7:21: error: 'capture_duration' must be a number, not 'long'"
    );
    assert_eq!(
        errors(&format!("{good}  capture: maybe\n")),
        "r.yaml:7:12: error: 'capture' must be true or false, not 'maybe'"
    );
}

#[test]
fn fields_of_unknown_sources_are_nobodys_fault() {
    let foreign = rule("aws.user = root").replace(
        "  priority",
        "  source: aws_cloudtrail\n  exceptions:\n  - name: e\n    fields: [aws.user]\n    values: [[x]]\n  priority",
    );
    let set = load(&[file(&foreign)], &LoadOptions::default()).expect("loads");
    let warnings: Vec<String> = set.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["r.yaml:1:9: warning: rule 'r' is left out: unknown source 'aws_cloudtrail'"]
    );
}

/// Falco takes the first and says nothing.
#[test]
fn a_key_that_is_given_twice() {
    let twice = rule("evt.type = execve") + "  condition: evt.type = open\n";
    let set = load(&[file(&twice)], &LoadOptions::default()).expect("loads");
    let warnings: Vec<String> = set.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("the key 'condition' is given twice; this one is ignored"),
        "{warnings:?}"
    );
    let sigma = "title: t\nlogsource: {product: linux, category: process_creation}\n\
                 detection: {a: {Image: x}, condition: a}\ntitle: u\n";
    assert!(errors(sigma).contains("r.yaml:4:1: error: the key 'title' is given twice"));
}

/// Falco puts lists into the text of a condition, whatever their names are.
#[test]
fn a_list_may_have_blanks_in_its_name() {
    let text = "- list: two words\n  items: [execve, execveat]\n".to_owned() + &rule("evt.type in (open, two words)");
    let set = load(&[file(&text)], &LoadOptions::default()).expect("loads");
    assert_eq!(set.warnings().len(), 1, "the name is told");
    let open = rule("evt.type in (open, three words)");
    assert!(errors(&open).contains("expected ',' or ')', found 'words)'"));
}

/// An update with an empty source is one of the rule's source, as in Falco.
#[test]
fn an_update_without_a_source() {
    let update = "- rule: r\n  condition: and proc.name = a\n  append: true\n  source:";
    for source in ["\n", " ''\n", " ~\n", " syscall\n"] {
        let text = rule("evt.type = execve") + update + source;
        assert!(load(&[file(&text)], &LoadOptions::default()).is_ok(), "{source}");
    }
    let text = rule("evt.type = execve") + update + " docker\n";
    assert!(errors(&text).contains("is changed with another source"));
    assert!(
        errors(&rule("evt.type = execve").replace("  priority", "  source:\n  priority")).contains("'source' is empty")
    );
}

#[test]
fn all_files_are_told_about_at_once() {
    let one = rule("evt.type = execve and proc.nmae = x").replace("rule: r", "rule: one");
    let two = rule("fd.num = many")
        .replace("rule: r", "rule: two")
        .replace("ERROR", "LOUD");
    let three = rule("(evt.type = execve").replace("rule: r", "rule: three");
    let files = [("a", one), ("b", two), ("c", three), ("d", "- rule: [".to_owned())];
    let files: Vec<RuleFile<'_>> = files.iter().map(|(name, text)| RuleFile { name, text }).collect();
    let errors = load(&files, &LoadOptions::default())
        .expect_err("does not load")
        .to_string();
    let places: Vec<&str> = errors.lines().filter_map(|l| l.split(" error").next()).collect();
    assert_eq!(places, ["a:4:27:", "b:6:13:", "c:4:23:", "d:1:10:"], "{errors}");
}

#[test]
fn places_in_quoted_and_literal_scalars() {
    let quoted =
        "- {rule: r, desc: d, output: o, priority: ERROR, condition: \"evt.type = \\\"execve\\\" and proc.nmae = x\"}";
    assert_eq!(errors(quoted).split(" error").next(), Some("r.yaml:1:88:"));
    let single = "- {rule: r, desc: d, output: o, priority: ERROR, condition: 'proc.name = ''a'' and x.y = 1'}";
    assert_eq!(errors(single).split(" error").next(), Some("r.yaml:1:84:"));
    let literal = "- rule: r\n  desc: d\n  output: o\n  priority: ERROR\n  condition: |-\n\n      proc.name = a and\n        x.y = 1\n";
    assert_eq!(errors(literal).split(" error").next(), Some("r.yaml:8:9:"));
}

#[test]
fn brackets_may_close_below_their_key() {
    let text = format!(
        "- list: l\n  items: [\n    a,\nb\n  ]\n{}",
        rule("proc.name in (l) and x.y = 1")
    );
    assert_eq!(errors(&text), "r.yaml:9:26: error: unknown field 'x.y'");
    assert_eq!(
        errors("- list: l\n  items: [\n    a\n  ]\n  x: [}\n")
            .split(" error")
            .next(),
        Some("r.yaml:5:7:")
    );
}

#[test]
fn errors_in_macros_lists_appends_and_exceptions_stand_where_they_are_written() {
    let text = format!(
        "- macro: m\n  condition: proc.name = a\n- macro: m\n  append: true\n  condition: or x.y = 1\n\
         - list: l\n  items: [a, 'b\"c']\n{}",
        rule("m and proc.name in (l)")
    );
    assert_eq!(
        errors(&text),
        "r.yaml:5:17: error: unknown field 'x.y'\n\
         r.yaml:7:16: error: expected a value; quote it when it holds brackets, quotes or '='"
    );
    let text = format!(
        "{}  exceptions:\n    - name: e\n      fields: [proc.name, fd.num]\n      comps: [=, =]\n      values:\n        - [a, b]\n",
        rule("evt.type = execve")
    );
    assert_eq!(
        errors(&text),
        "r.yaml:12:15: error: 'b' is not a valid number (decimal, 64 bits)"
    );
}

#[test]
fn outputs_are_checked() {
    let text = rule("evt.type = execve").replace("output: o", "output: a=%proc.nmae b=%proc.name, c=%");
    let found = errors(&text);
    assert!(
        found.starts_with("r.yaml:5:14: error: unknown field 'proc.nmae'; did you mean 'proc.name'?"),
        "{found}"
    );
    assert_eq!(found.lines().count(), 2, "{found}");
}

#[test]
fn shapes_that_falco_refuses() {
    let good = rule("evt.type = execve");
    for (name, text) in [
        ("no list of items", "rule: r".to_owned()),
        ("not a mapping", "- rule".to_owned()),
        (
            "no condition",
            good.replace("  condition: >\n    evt.type = execve\n", ""),
        ),
        ("no priority", good.replace("  priority: ERROR\n", "")),
        ("empty output", good.replace("output: o", "output: ''")),
        (
            "append without a rule before",
            "- {rule: r, append: true, condition: and evt.type = open}".to_owned(),
        ),
        ("enabled without a rule before", "- {rule: r, enabled: true}".to_owned()),
        (
            "append and override",
            format!("{good}- {{rule: r, append: true, condition: or evt.type=open, override: {{condition: append}}}}"),
        ),
        (
            "override of a missing key",
            format!("{good}- {{rule: r, override: {{condition: append}}}}"),
        ),
        (
            "key without override",
            format!("{good}- {{rule: r, desc: x, condition: or evt.type=open, override: {{condition: append}}}}"),
        ),
        (
            "priority cannot be appended",
            format!("{good}- {{rule: r, priority: INFO, override: {{priority: append}}}}"),
        ),
        (
            "another source",
            format!("{good}- {{rule: r, source: docker, append: true, condition: or evt.type=open}}"),
        ),
        ("engine of the future", "- required_engine_version: 0.99.0".to_owned()),
        ("no version", "- required_engine_version: x".to_owned()),
        (
            "plugin without version",
            "- required_plugin_versions: [{name: container}]".to_owned(),
        ),
        (
            "macro defined only later",
            format!("- {{macro: a, condition: b}}\n- {{macro: b, condition: proc.name = x}}\n{good}"),
        ),
        (
            "macros in a circle",
            format!(
                "- {{macro: a, condition: proc.name = x}}\n- {{macro: b, condition: a}}\n- {{macro: a, condition: b}}\n{good}"
            ),
        ),
        (
            "list where one value is meant",
            format!("- {{list: l, items: [a, b]}}\n{}", rule("proc.name = l")),
        ),
        (
            "exception of unequal lengths",
            format!("{good}  exceptions:\n    - {{name: e, fields: [proc.name, fd.name], comps: [=]}}\n"),
        ),
        (
            "exception with values of another length",
            format!("{good}  exceptions:\n    - {{name: e, fields: [proc.name, fd.name], values: [[a]]}}\n"),
        ),
        (
            "exception of an unknown field",
            format!("{good}  exceptions:\n    - {{name: e, fields: [proc.nam]}}\n"),
        ),
        ("regular expression", rule("proc.name regex \"(a\"")),
        ("list operator on a number", rule("fd.num pmatch (a)")),
        (
            "field with the wrong type on the right",
            rule("proc.name = val(fd.num)"),
        ),
        ("anchors that stand in themselves", "- &a [*a]".to_owned()),
    ] {
        assert!(
            load(&[RuleFile { name: "r", text: &text }], &LoadOptions::default()).is_err(),
            "{name}"
        );
    }
}

#[test]
fn hostile_rules_end_with_an_error() {
    let deep = rule(&format!("{}evt.type = open{}", "(".repeat(50_000), ")".repeat(50_000)));
    assert!(errors(&deep).contains("nested too deeply"));
    let doubling = |levels: u32| {
        let mut text = String::from("- {macro: m0, condition: proc.name = x}\n");
        for i in 1..=levels {
            let below = i - 1;
            text.push_str(&format!(
                "- {{macro: m{i}, condition: not m{below} or (m{below} and fd.num = {i})}}\n"
            ));
        }
        text + &rule(&format!("m{levels}"))
    };
    let loads = |text: &str| load(&[RuleFile { name: "r", text }], &LoadOptions::default()).is_ok();
    assert!(loads(&doubling(14)));
    // Shared, it would fit into memory, but no event could be asked in a lifetime.
    assert!(errors(&doubling(45)).contains("too large once its macros are expanded"));
    let beyond = errors(&doubling(60));
    assert!(beyond.contains("macros are nested too deeply"));
    assert!(beyond.len() < 1000, "each error is told once, not once per path to it");
    let mut lists = String::from("- {list: l0, items: [a, b]}\n");
    (1..40).for_each(|i| lists.push_str(&format!("- {{list: l{i}, items: [l{0}, l{0}]}}\n", i - 1)));
    let told = errors(&(lists + &rule("proc.name in (l39)")));
    assert!(told.contains("a list expands to too many items"), "{told}");
    let line: u32 = told
        .split(':')
        .nth(1)
        .and_then(|line| line.parse().ok())
        .expect("a line");
    assert!(line <= 40, "where a list stands, before the rule: {told}");
    assert_eq!(told.matches("too many items").count(), 1, "{told}");
    let mut chain = String::from("- {macro: m0, condition: proc.name = x}\n");
    (1..200).for_each(|i| chain.push_str(&format!("- {{macro: m{i}, condition: not m{}}}\n", i - 1)));
    chain.push_str(&rule("m199"));
    assert!(errors(&chain).contains("nested too deeply"));
    assert!(errors(&format!("- {}", "[".repeat(10_000))).contains("not YAML"));
}

//! What becomes of alerts: by the time of events, and nothing is lost.

use ctrace_replay::{
    Alert, Dedupe, Engine, Extras, Fate, Inspection, LoadOptions, Matching, Options, RateLimit, RuleFile, Suppressions,
    Triage, load, parse_span,
};
use ctrace_trace::event::Arg;

use crate::recording::{Recording, attack};

const RULES: &str = r#"
- rule: Opened
  desc: d
  condition: evt.type = openat
  output: Opened %fd.name
  priority: WARNING
  tags: [T1003.008]
- rule: Executed
  desc: d
  condition: evt.type = execve
  output: Executed %proc.name
  priority: INFO
"#;

fn suppressions(text: &str) -> Suppressions {
    Suppressions::load(&[RuleFile { name: "s.yaml", text }]).expect("suppressions load")
}

/// Rule, text and fate of each alert of the attack, three times over.
fn judged(fields: &[&str], suppressed: &str, triage: &mut Triage) -> Vec<(Alert, Fate)> {
    let dir = tempfile::tempdir().expect("tempdir");
    let case = attack(dir.path(), 3);
    let file = RuleFile { name: "r", text: RULES };
    let set = load(&[file], &LoadOptions::default()).expect("rules load");
    let fields: Vec<String> = fields.iter().map(|f| (*f).to_owned()).collect();
    let inspection = Inspection::new(&fields, suppressions(suppressed)).expect("fields");
    let mut out = Vec::new();
    let engine = Engine::new(&set).inspecting(&inspection);
    engine.replay(&case, &Options::default(), &mut |a| {
        out.push((a.clone(), triage.judge(a)))
    });
    out
}

fn shown(judged: &[(Alert, Fate)]) -> Vec<String> {
    let shown = judged.iter().filter(|j| j.1 == Fate::Shown);
    shown.map(|j| j.0.message()).collect()
}

#[test]
fn repetitions_are_told_by_rule_and_fields_within_a_window() {
    let mut triage = Triage {
        dedupe: Some(Dedupe::new(parse_span("1h").expect("a span"))),
        ..Triage::default()
    };
    let found = judged(&["proc.name"], "", &mut triage);
    assert_eq!(
        shown(&found),
        [
            "Executed bash",
            "Opened /etc/passwd",
            "Executed cat",
            "Opened /etc/shadow",
            "Executed x"
        ]
    );
    assert_eq!(
        (triage.summary.total.shown, triage.summary.total.repeated),
        (5, found.len() as u64 - 5)
    );
    // Rounds are ten microseconds apart: each is a window of its own here.
    let mut triage = Triage {
        dedupe: Some(Dedupe::new(parse_span("9us").expect("a span"))),
        ..Triage::default()
    };
    assert_eq!(shown(&judged(&["proc.name"], "", &mut triage)).len(), 15);
}

#[test]
fn a_rate_limits_each_rule() {
    let mut triage = Triage {
        limit: RateLimit::parse("2/1h"),
        ..Triage::default()
    };
    let found = judged(&[], "", &mut triage);
    assert_eq!(
        shown(&found),
        [
            "Executed bash",
            "Opened /etc/passwd",
            "Opened /etc/shadow",
            "Executed cat"
        ]
    );
    assert_eq!(triage.summary.rules["Opened"].limited, 10);
    for wrong in ["", "2", "0/1s", "2/0s", "x/1s", "2/1"] {
        assert!(RateLimit::parse(wrong).is_none(), "{wrong}");
    }
}

#[test]
fn suppressed_alerts_are_marked_and_counted() {
    let text = "
- suppress: Open*
  condition: proc.name = bash and fd.name startswith /etc
  reason: the admin's shell
  expires: never
- suppress: [Executed]
  reason: known
  expires: 2023-11-14T22:13:20Z
";
    let mut triage = Triage::default();
    let found = judged(&[], text, &mut triage);
    let hidden: Vec<String> = found
        .iter()
        .filter(|j| j.1 == Fate::Suppressed(0))
        .map(|j| j.0.message())
        .collect();
    assert_eq!(hidden.len(), 6, "{hidden:?}");
    assert_eq!(triage.summary.suppressions[&0], (6, 0));
    // The second ended when the recording began: its alerts are shown, and it is told that it would have covered them.
    assert_eq!(triage.summary.suppressions[&1], (0, 9));
    assert_eq!(triage.summary.rules["Executed"].shown, 9);
    assert_eq!(triage.summary.techniques["T1003.008"].all(), 12);
    assert_eq!(triage.summary.containers["web-1"].shown, 12);
    let extras = Extras {
        suppressed: Some(("the admin's shell", "s.yaml:2")),
        ..Extras::default()
    };
    assert!(
        found[1]
            .0
            .text_with(extras)
            .ends_with("[suppressed: the admin's shell (s.yaml:2)]")
    );
    assert!(
        found[1]
            .0
            .json_with(extras)
            .starts_with(r#"{"ctrace":{"suppressed":{"reason":"the admin's shell","by":"s.yaml:2"}},"hostname""#)
    );
}

#[test]
fn what_is_wrong_with_a_suppression_is_told_with_its_place() {
    for (text, wanted) in [
        (
            "- suppress: r\n  reason: x\n",
            "s:1:3: error: 'expires' is missing: a date (2027-01-31, UTC), or 'never'",
        ),
        (
            "- suppress: r\n  expires: never\n",
            "s:1:3: error: 'reason' is missing: a suppression says why",
        ),
        (
            "- reason: r\n  expires: never\n",
            "s:1:3: error: 'suppress' is missing: the name of a rule, or a list of names",
        ),
        (
            "- suppress: r\n  reason: x\n  expires: soon\n",
            "s:3:12: error: 'soon' is no date (2027-01-31 or 2027-01-31T12:00:00Z)",
        ),
        (
            "- suppress: r\n  reason: x\n  expires: never\n  condition: proc.nmae = x\n",
            "s:4:14: error: unknown field 'proc.nmae'; did you mean 'proc.name'?",
        ),
        (
            "- suppress: r\n  raeson: x\n",
            "s:2:3: error: unknown key 'raeson'; expected one of suppress, condition, reason, expires",
        ),
        (
            "suppress: r\n",
            "s:1:1: error: a suppression file is a list of suppressions",
        ),
    ] {
        let error = Suppressions::load(&[RuleFile { name: "s", text }]).expect_err(text);
        assert_eq!(error.to_string(), wanted);
    }
}

#[test]
fn alerts_near_what_was_forgotten_are_marked_and_no_events_are_lost() {
    const START: u64 = crate::recording::START;
    let dir = tempfile::tempdir().expect("tempdir");
    let mut r = Recording::new(dir.path());
    let sh = r.image("sh", "/bin/sh", &["sh"], None, None);
    r.exec(&sh);
    let args = [
        ("source", Arg::Str(b"processes")),
        ("class", Arg::Num(9)),
        ("count", Arg::Num(7)),
        ("from", Arg::Num(START as i64)),
        ("to", Arg::Num(START as i64 + 1)),
    ];
    r.push("gap", &sh, &args, 0, None);
    let case = r.finish(dir.path());
    let file = RuleFile { name: "r", text: RULES };
    let set = load(&[file], &LoadOptions::default()).expect("rules load");
    let mut found = Vec::new();
    let outcome = Engine::new(&set).replay(&case, &Options::default(), &mut |a| found.push(a.clone()));
    let totals = case.totals();
    assert!(!outcome.is_complete() && (totals.lost_events(), totals.forgotten()) == (0, 7));
    let told = outcome.to_string();
    assert!(
        told.ends_with("; 1 alerts have losses near them") && !told.contains("were lost"),
        "{told}"
    );
    let text = found[0].text();
    assert!(
        text.ends_with("Executed sh [incomplete: processes forgotten near it]"),
        "{text}"
    );
    let json = found[0].json();
    assert!(json.contains(r#""sources":[],"forgotten":["processes"]"#), "{json}");
}

#[test]
fn alerts_near_a_loss_are_marked() {
    const START: u64 = crate::recording::START;
    let dir = tempfile::tempdir().expect("tempdir");
    let mut r = Recording::new(dir.path());
    let sh = r.image("sh", "/bin/sh", &["sh"], None, None);
    let gap = |r: &mut Recording, from: u64, to: u64| {
        let args = [
            ("source", Arg::Str(b"syscall")),
            ("count", Arg::Num(7)),
            ("from", Arg::Num(from as i64)),
            ("to", Arg::Num(to as i64)),
        ];
        r.push("gap", &sh, &args, 0, None);
    };
    r.exec(&sh);
    gap(&mut r, START - 30_000_000_000, START - 20_000_000_000);
    gap(&mut r, START + 2_000_000_000, START + 3_000_000_000);
    gap(&mut r, START + 9_000_000_000, START + 90_000_000_000);
    gap(&mut r, START + 11_000_000_000, START + 12_000_000_000);
    let case = r.finish(dir.path());
    let file = RuleFile { name: "r", text: RULES };
    let set = load(&[file], &LoadOptions::default()).expect("rules load");
    let mut found = Vec::new();
    let options = Options {
        matching: Matching::All,
        ..Options::default()
    };
    let outcome = Engine::new(&set).replay(&case, &options, &mut |a| found.push(a.clone()));
    assert_eq!((outcome.alerts, outcome.incomplete), (1, 1));
    assert!(
        outcome.to_string().ends_with("; 1 alerts have losses near them"),
        "{outcome}"
    );
    let near = found[0].incomplete.as_ref().expect("marked");
    assert_eq!(
        (near.lost, near.from_ts, near.to_ts),
        (14, START + 2_000_000_000, START + 90_000_000_000)
    );
    assert!(
        found[0]
            .text()
            .ends_with("Executed sh [incomplete: 14 events of syscall lost near it]"),
        "{}",
        found[0].text()
    );
    assert!(
        found[0].json().starts_with(
            r#"{"ctrace":{"complete":false,"losses":{"lost":14,"from":"2023-11-14T22:13:22.000000000Z","to":"2023-11-14T22:14:50.000000000Z","sources":["syscall"]}},"hostname""#
        ),
        "{}",
        found[0].json()
    );
}

const CORRELATION: &str = "
title: Executed
name: executed
logsource: {category: process_creation, product: linux}
detection: {selection: {Image|startswith: /}, condition: selection}
level: low
---
title: Many
correlation: {type: event_count, rules: [executed], group-by: [User], timespan: 1h, condition: {gte: 2}}
level: high
";

#[test]
fn correlations_are_suppressed_by_name_alone() {
    let dir = tempfile::tempdir().expect("tempdir");
    let case = attack(dir.path(), 3);
    let file = RuleFile {
        name: "r.yml",
        text: CORRELATION,
    };
    let set = load(&[file], &LoadOptions::default()).expect("rules load");
    let fates = |text: &str| {
        let inspection = Inspection::new(&[], suppressions(text)).expect("fields");
        let (mut triage, mut out) = (Triage::default(), Vec::new());
        let engine = Engine::new(&set).inspecting(&inspection);
        engine.replay(&case, &Options::default(), &mut |a| {
            let fate = triage.judge(a);
            if a.rule() == "Many" {
                out.push(fate);
            }
        });
        out
    };
    let entry = |more: &str| format!("- {{suppress: Many, reason: r, expires: never{more}}}\n");
    let all = fates("");
    assert!(!all.is_empty() && all.iter().all(|f| *f == Fate::Shown), "{all:?}");
    assert!(fates(&entry("")).iter().all(|f| *f == Fate::Suppressed(0)));
    assert_eq!(fates(&entry(", condition: proc.name exists")), all);
    // What covers the matches does not cover what they make together.
    assert_eq!(fates(&entry("").replace("Many", "Executed")), all);
}

//! Sigma's correlations: what is counted, in which groups, within which time.

use ctrace_replay::{Engine, LoadOptions, Options, RuleFile, check, load};
use ctrace_trace::case::Case;

use crate::recording::Recording;

const RULES: &str = "
title: Start of a
name: start_a
logsource: {product: linux, category: process_creation}
detection: {sel: {ProcessName: a}, condition: sel}
level: low
---
title: Start of b
name: start_b
logsource: {product: linux, category: process_creation}
detection: {sel: {ProcessName: b}, condition: sel}
---
title: Start of any
name: start_any
logsource: {product: linux, category: process_creation}
detection: {sel: {ProcessName|exists: true}, condition: sel}
---
";

fn correlation(body: &str) -> String {
    let body = body.replace("; ", "\n  ");
    format!("{RULES}title: together\nlevel: high\ncorrelation:\n  {body}\n")
}

/// Starts of processes: name, user and the seconds that pass before.
fn scene(dir: &std::path::Path, starts: &[(&str, &str, u64)]) -> Case {
    let mut r = Recording::new(dir);
    let init = r.image("init", "/init", &["init"], None, None);
    for (name, cwd, seconds) in starts {
        r.pass(*seconds);
        let mut image = r.image(name, &format!("/bin/{name}"), &[name], Some(&init), None);
        std::sync::Arc::make_mut(&mut image).cwd = (*cwd).into();
        r.exec(&image);
    }
    r.finish(dir)
}

/// The alerts of correlations; rules that none refers to raise theirs too.
fn found(starts: &[(&str, &str, u64)], text: &str) -> Vec<String> {
    let mut all = all(starts, text);
    all.retain(|line| !line.contains("Start of"));
    all
}

/// The alerts as event and message, with any number of threads the same.
fn all(starts: &[(&str, &str, u64)], text: &str) -> Vec<String> {
    let dir = tempfile::tempdir().expect("tempdir");
    let case = scene(dir.path(), starts);
    let set = load(&[RuleFile { name: "c.yml", text }], &LoadOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let run = |threads| {
        let mut out = Vec::new();
        let options = Options {
            threads,
            ..Options::default()
        };
        let outcome = Engine::new(&set).replay(&case, &options, &mut |a| {
            out.push(format!("{} {}", a.event, a.message()));
        });
        assert_eq!(outcome.alerts, out.len() as u64);
        out
    };
    let alone = run(1);
    assert_eq!(run(4), alone);
    alone
}

const COUNT: &str =
    "type: event_count; rules: [start_a]; group-by: [CurrentDirectory]; timespan: 10s; condition: {gte: 3}";

#[test]
fn events_are_counted_within_the_time() {
    let text = correlation(COUNT);
    assert_eq!(
        found(&[("a", "/", 1), ("a", "/", 5), ("b", "/", 1), ("a", "/", 3)], &text),
        ["3 together (CurrentDirectory=/ event_count=3)"]
    );
    // The first is too old when the third comes; the window slides on to the fourth.
    assert_eq!(
        found(&[("a", "/", 1), ("a", "/", 6), ("a", "/", 6), ("a", "/", 1)], &text),
        ["3 together (CurrentDirectory=/ event_count=3)"]
    );
    assert_eq!(found(&[("a", "/", 1), ("a", "/", 6), ("a", "/", 6)], &text), [""; 0]);
    // Groups count apart, and an event without the field is in none.
    assert_eq!(found(&[("a", "/", 1), ("a", "/x", 1), ("a", "/", 1)], &text), [""; 0]);
    assert_eq!(found(&[("a", "", 1), ("a", "", 1), ("a", "", 1)], &text), [""; 0]);
    // Each event counts for one alert.
    assert_eq!(found(&[("a", "/", 1); 7], &text).len(), 2);
}

#[test]
fn upper_bounds_are_known_when_the_time_is_over() {
    let text = correlation(&COUNT.replace("gte: 3", "gte: 2, lt: 4"));
    assert_eq!(found(&[("a", "/", 1); 1], &text), [""; 0]);
    assert_eq!(
        found(&[("a", "/", 1); 3], &text),
        ["2 together (CurrentDirectory=/ event_count=3)"]
    );
    assert_eq!(found(&[("a", "/", 1); 4], &text), [""; 0]);
    let exactly = correlation(&COUNT.replace("gte: 3", "eq: 2"));
    assert_eq!(found(&[("a", "/", 6); 4], &exactly).len(), 2);
}

#[test]
fn values_are_counted_and_summed() {
    let text = correlation(
        "type: value_count; rules: [start_any]; group-by: [User]; timespan: 1m; condition: {gte: 3, field: CurrentDirectory}",
    );
    assert_eq!(
        found(&[("a", "/", 1), ("a", "/", 1), ("b", "/", 1), ("a", "/x", 1)], &text),
        [""; 0]
    );
    assert_eq!(
        found(&[("a", "/", 1), ("b", "/x", 1), ("a", "/x", 1), ("a", "/y", 1)], &text),
        ["3 together (User=root value_count=3)"]
    );
    assert_eq!(found(&[("a", "/", 1), ("b", "/x", 1), ("a", "/y", 60)], &text), [""; 0]);
    let sum = correlation(
        "type: value_sum; rules: [start_a]; group-by: [User]; timespan: 1m; condition: {gt: 204, field: ProcessId}",
    );
    // 102 and 103
    assert_eq!(
        found(&[("a", "/", 1), ("a", "/", 1)], &sum),
        ["1 together (User=root value_sum=205)"]
    );
    let average = sum.replace("value_sum", "value_avg").replace("gt: 204", "gt: 102");
    assert_eq!(
        found(&[("a", "/", 1), ("a", "/", 1)], &average),
        ["1 together (User=root value_avg=102)"]
    );
}

#[test]
fn rare_values_are_found_by_their_share() {
    let rare = correlation(
        "type: value_percentile; rules: [start_any]; group-by: [User]; timespan: 10s; \
         condition: {field: ProcessName, lte: 25}",
    );
    // Looked at when the time is over: one of four is 25 %.
    let starts = [("a", "/", 1), ("a", "/", 1), ("b", "/", 1), ("a", "/", 1)];
    assert_eq!(found(&starts, &rare), ["3 together (User=root value_percentile=25)"]);
    assert_eq!(found(&starts[..3], &rare), [""; 0]);
    // More matches help: the window slides.
    let frequent = rare.replace("lte: 25", "gt: 60");
    let starts = [("a", "/", 1), ("b", "/", 1), ("b", "/", 11), ("b", "/", 1)];
    assert_eq!(found(&starts[..1], &frequent).len(), 1);
    let half = rare.replace("lte: 25", "gte: 100");
    // What the first start was has left the window when the third comes.
    assert_eq!(found(&starts[1..], &half).len(), 3);
}

#[test]
fn rules_match_together_and_in_order() {
    let any = correlation("type: temporal; rules: [start_a, start_b]; group-by: [User]; timespan: 10s");
    let ordered = any.replace("temporal", "temporal_ordered");
    assert_eq!(
        found(&[("b", "/", 1), ("a", "/", 2)], &any),
        ["1 together (User=root temporal=2)"]
    );
    assert_eq!(found(&[("b", "/", 1), ("a", "/", 2)], &ordered), [""; 0]);
    assert_eq!(
        found(&[("a", "/", 1), ("a", "/", 9), ("b", "/", 9)], &ordered),
        ["2 together (User=root temporal_ordered=2)"]
    );
    assert_eq!(found(&[("a", "/", 1), ("b", "/", 11)], &ordered), [""; 0]);
    assert_eq!(found(&[("a", "/", 1), ("b", "/", 11)], &any), [""; 0]);
    let twice =
        correlation("type: temporal_ordered; rules: [start_a, start_a, start_b]; group-by: [User]; timespan: 10s");
    assert_eq!(found(&[("a", "/", 1), ("b", "/", 1)], &twice), [""; 0]);
    assert_eq!(found(&[("a", "/", 1), ("a", "/", 1), ("b", "/", 1)], &twice).len(), 1);
}

#[test]
fn aliases_chains_and_rules_that_are_told_too() {
    let aliased = correlation(
        "type: temporal; rules: [start_a, start_b]; group-by: [place]; timespan: 10s; \
         aliases: {place: {start_a: CurrentDirectory, start_b: ParentImage}}",
    );
    assert_eq!(
        found(&[("a", "/init", 1), ("b", "/x", 1)], &aliased),
        ["1 together (place=/init temporal=2)"]
    );
    assert_eq!(found(&[("a", "/x", 1), ("b", "/x", 1)], &aliased), [""; 0]);
    let told = correlation(&format!("{COUNT}; generate: true"));
    let of_a = |text: &str| {
        all(&[("a", "/", 1); 3], text)
            .iter()
            .filter(|l| l.contains("Start of a ("))
            .count()
    };
    assert_eq!((of_a(&told), of_a(&correlation(COUNT))), (3, 0));
    let chain = format!(
        "{}---\ntitle: again\ncorrelation:\n  type: event_count\n  rules: [many]\n  group-by: [CurrentDirectory]\n  timespan: 1h\n  condition: {{gte: 2}}\n",
        correlation(COUNT).replace("title: together", "title: together\nname: many")
    );
    assert_eq!(
        found(&[("a", "/", 1); 6], &chain),
        ["5 again (CurrentDirectory=/ event_count=2)"]
    );
}

#[test]
fn correlations_that_do_not_load() {
    for (body, why) in [
        (
            COUNT.replace("start_a", "start_x"),
            "there is no rule with id or name 'start_x'",
        ),
        (COUNT.replace("10s", "10x"), "'10x' is no time span"),
        (COUNT.replace("event_count", "event_cnt"), "did you mean 'event_count'?"),
        (
            COUNT.replace("event_count", "value_count"),
            "value_count needs a 'field'",
        ),
        (COUNT.replace("gte: 3", "gtx: 3"), "'condition' takes"),
        (COUNT.replace("CurrentDirectory", "Nonsense"), "needs field 'Nonsense'"),
    ] {
        let text = correlation(&body);
        let report = check(
            &[RuleFile {
                name: "c.yml",
                text: &text,
            }],
            &LoadOptions::default(),
        );
        let last = format!("{:?}", report.rules.last().map(|r| &r.verdict));
        assert!(last.contains(why), "{last}");
    }
    let circle = "title: x\nname: x\ncorrelation: {type: event_count, rules: [x], timespan: 1s, condition: {gte: 1}}\n";
    let report = check(
        &[RuleFile {
            name: "c.yml",
            text: circle,
        }],
        &LoadOptions::default(),
    );
    assert!(report.diagnostics[0].message.contains("in a circle"));
}

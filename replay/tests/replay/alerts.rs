//! Which alerts there are, and their text and JSON.

use ctrace_replay::{Engine, Extras, LoadOptions, Matching, Options, RuleFile, Shape, load};
use ctrace_trace::escape;

use crate::recording::attack;

const RULES: &str = r#"
- list: secrets
  items: [/etc/shadow, /etc/gshadow]
- list: tools
  items: [cat, "x y", less]
- macro: in_container
  condition: container.id != host
- rule: Secret read in a container
  desc: d
  condition: >
    evt.type in (open, openat) and in_container
    and fd.name in (secrets) and proc.name in (tools)
  output: Secret read (file=%fd.name command=%proc.cmdline parent=%proc.pname grand=%proc.aname[2] pid=%proc.pid type=%evt.type)
  priority: WARNING
  tags: [b, a]
- rule: Dropped binary
  desc: d
  condition: evt.type = execve and in_container and proc.exepath startswith /tmp/
  output: Dropped (exe=%proc.exepath in %container.name)
  priority: critical
- rule: Connection out
  desc: d
  condition: evt.type = connect and fd.net != "127.0.0.0/8" and fd.sport = https and proc.aname = sh
  output: Out (%fd.name ip=%fd.sip port=%fd.sport)
  priority: INFO
- rule: Any exec
  desc: d
  condition: evt.type = execve
  output: Exec of %proc.name
  priority: DEBUG
- rule: Off
  desc: d
  condition: evt.type = execve
  output: never
  priority: DEBUG
  enabled: false
"#;

fn alerts(rules: &str, options: &Options) -> Vec<ctrace_replay::Alert> {
    let dir = tempfile::tempdir().expect("tempdir");
    let case = attack(dir.path(), 1);
    let set = load(
        &[RuleFile {
            name: "rules.yaml",
            text: rules,
        }],
        &LoadOptions::default(),
    )
    .expect("rules load");
    let mut out = Vec::new();
    let outcome = Engine::new(&set).replay(&case, options, &mut |a| out.push(a.clone()));
    assert_eq!(outcome.alerts, out.len() as u64);
    assert_eq!(outcome.problems, []);
    out
}

#[test]
fn each_event_raises_its_first_rule() {
    let found = alerts(RULES, &Options::default());
    let text: Vec<String> = found.iter().map(|a| a.text()).collect();
    assert_eq!(
        text,
        [
            "22:13:20.000001000: Debug Exec of bash",
            "22:13:20.000004000: Debug Exec of cat",
            "22:13:20.000005000: Warning Secret read (file=/etc/shadow command=cat /etc/shadow parent=sh grand=<NA> \
             pid=104 type=openat)",
            "22:13:20.000007000: Critical Dropped (exe=/tmp/x in web-1)",
            "22:13:20.000008000: Informational Out (10.0.0.2:40000->203.0.113.7:443 ip=203.0.113.7 port=443)",
        ]
    );
}

#[test]
fn all_matching_rules_raise_when_asked() {
    let found = alerts(
        RULES,
        &Options {
            matching: Matching::All,
            ..Options::default()
        },
    );
    let rules: Vec<(u64, &str)> = found.iter().map(|a| (a.event, a.rule())).collect();
    let names: Vec<&str> = rules.iter().map(|r| r.1).collect();
    assert_eq!(
        names,
        [
            "Any exec",
            "Any exec",
            "Secret read in a container",
            "Dropped binary",
            "Any exec",
            "Connection out"
        ]
    );
    assert_eq!(rules[3].0, rules[4].0, "both are about the same event");
}

#[test]
fn json_has_falcos_shape() {
    let found = alerts(RULES, &Options::default());
    let json = found[2].json();
    let expected = concat!(
        r#"{"hostname":"node-1","output":"22:13:20.000005000: Warning Secret read (file=/etc/shadow "#,
        r#"command=cat /etc/shadow parent=sh grand=<NA> pid=104 type=openat)","output_fields":{"#,
        r#""evt.time":1700000000000005000,"evt.type":"openat","fd.name":"/etc/shadow","proc.aname[2]":null,"#,
        r#""proc.cmdline":"cat /etc/shadow","proc.pid":104,"proc.pname":"sh"},"priority":"Warning","#,
        r#""rule":"Secret read in a container","source":"syscall","tags":["a","b"],"#,
        r#""time":"2023-11-14T22:13:20.000005000Z"}"#,
    );
    assert_eq!(json, expected);
}

#[test]
fn ids_are_those_of_event_and_rule() {
    let first = alerts(RULES, &Options::default());
    let again = alerts(
        RULES,
        &Options {
            matching: Matching::All,
            ..Options::default()
        },
    );
    assert_eq!(first[0].id().len(), 64);
    for alert in &first {
        assert!(
            again
                .iter()
                .any(|a| a.id() == alert.id() && a.rule() == alert.rule() && a.event == alert.event)
        );
    }
    let mut ids: Vec<String> = again.iter().map(|a| a.id()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), again.len());
}

#[test]
fn control_characters_are_escaped_and_blocks_without_candidates_are_not_read() {
    let rules = "
- rule: r
  desc: d
  condition: evt.type = procexit and proc.name = x
  output: \"tab\\t %proc.name\"
  priority: ERROR
";
    assert_eq!(
        alerts(rules, &Options::default())[0].text(),
        r"22:13:20.000010000: Error tab\t x"
    );
    let dir = tempfile::tempdir().expect("tempdir");
    let case = attack(dir.path(), 1);
    let text = "- {rule: r, desc: d, condition: evt.type = ptrace, output: o, priority: ERROR}";
    let set = load(&[RuleFile { name: "r", text }], &LoadOptions::default()).expect("rules load");
    let outcome = Engine::new(&set).replay(&case, &Options::default(), &mut |_| ());
    assert_eq!((outcome.alerts, outcome.blocks_read, outcome.blocks_skipped), (0, 0, 1));
}

/// A line is the same whether it was made beforehand, on however many threads, or when it is printed; and it is the
/// escaped form of what the alert says. The names, the text and a tag would mislead on a terminal.
#[test]
fn printed_lines_are_the_escaped_text_and_json() {
    let odd = RULES
        .replace("Secret read (file", "Secret \"read\" \\ \u{202e}\t\u{7f}(file")
        .replace("tags: [b, a]", "tags: [\"b\u{200b}\", a]")
        .replace("- rule: Dropped binary", "- rule: \"Dropped \u{202e}binary\"");
    let dir = tempfile::tempdir().expect("tempdir");
    let case = attack(dir.path(), 3);
    let file = RuleFile {
        name: "rules.yaml",
        text: &odd,
    };
    let set = load(&[file], &LoadOptions::default()).expect("rules load");
    let suppressed = Some(("known \u{202e}", "file:1"));
    let mut seen = 0;
    for extras in [Extras::default(), Extras { ids: true, suppressed }] {
        for shape in [Shape::Text, Shape::Json] {
            let engine = Engine::new(&set);
            for engine in [engine, engine.printing(shape), engine.printing(Shape::Text)] {
                for threads in [1, 3] {
                    let options = Options {
                        threads,
                        ..Options::default()
                    };
                    engine.replay(&case, &options, &mut |alert| {
                        let mut line = "before ".to_owned();
                        alert.print(shape, extras, &mut line);
                        let wanted = match shape {
                            Shape::Text => escape::text(&alert.text_with(extras)),
                            Shape::Json => escape::json(&alert.json_with(extras)).into_owned(),
                        };
                        assert_eq!(line, format!("before {wanted}"));
                        seen += u64::from(wanted.contains("\\u202e") || wanted.contains("\\u{202e}"));
                    });
                }
            }
        }
    }
    assert!(seen > 0, "no line had what is escaped");
}

/// The parts of an alert that are asked for singly are those of its JSON.
#[test]
fn parts_of_an_alert_are_those_of_its_json() {
    for alert in alerts(RULES, &Options::default()) {
        let json: serde_json::Value = serde_json::from_str(&alert.json()).expect("is JSON");
        assert_eq!(json["output_fields"], serde_json::Value::Object(alert.fields()));
        assert_eq!(json["output_fields"].to_string(), alert.fields_json());
        for (name, value) in alert.fields() {
            assert_eq!(alert.field(&name), Some(value));
        }
        assert_eq!(alert.field("no.field"), None);
        let output = json["output"].as_str().expect("text");
        assert!(output.ends_with(&format!(": {} {}", alert.priority(), alert.message())));
        assert_eq!(json["rule"], alert.rule());
        assert_eq!(json["source"], alert.source());
    }
}

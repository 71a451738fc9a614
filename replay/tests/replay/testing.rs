//! Tests of rules: what they hold, what they want, and how they are told and rewritten.

use ctrace_replay::testing::{Input, Judge, Rewriter, TestFile, TestResult, junit, tap};
use ctrace_replay::{Engine, LoadOptions, RuleFile, RuleSet, load};

const RULES: &str = r#"
- rule: Secret
  desc: d
  condition: >
    evt.type in (open, openat) and evt.is_open_read = true and fd.name = /etc/shadow and container.id != host
    and proc.aname[2] = sshd and not proc.name in (su)
  output: Secret %proc.name %fd.name %proc.aname[2] %user.name
  priority: WARNING
- rule: Out
  desc: d
  condition: evt.type = connect and fd.sip = 203.0.113.7 and fd.sport = 443 and evt.res != SUCCESS
  output: Out %fd.name
  priority: INFO
- rule: Exec
  desc: d
  condition: evt.type = execve and proc.cmdline contains "--evil" and proc.is_exe_upper_layer = true
  output: Exec %proc.cmdline %container.image.repository
  priority: INFO
"#;

const TESTS: &str = r#"# A file of tests.
rules: [rules.yaml]
tests:
  - name: a secret is read
    events:
      - {evt.type: openat, evt.arg.flags: O_RDONLY|O_CLOEXEC, fd.name: /etc/shadow, proc.name: cat, proc.pname: sh,
         "proc.aname[2]": sshd, container.id: 0123456789abcdef, container.name: web, user.name: root, fd.num: 5}
      - {evt.type: openat, evt.arg.flags: O_RDONLY, fd.name: /etc/shadow, proc.name: su, "proc.aname[2]": sshd, container.id: abc}
    expect:
      - rule: Secret
        count: 1
        fields: {proc.name: cat, fd.name: /etc/shadow}
        output: Secret cat
    only: true   # nothing else

  - name: a connection and a program
    events:
      - evt.type: connect
        evt.res: EINPROGRESS
        fd.cip: 10.0.0.2
        fd.cport: 40000
        fd.sip: 203.0.113.7
        fd.sport: 443
        proc.name: x
      - evt.type: execve
        evt.reltime: 5s
        proc.name: x
        proc.cmdline: x --evil
        proc.is_exe_upper_layer: true
        container.image: registry/x:1
    expect: [Out]
    forbid: [Secret]
"#;

fn rules() -> RuleSet {
    let file = RuleFile {
        name: "rules.yaml",
        text: RULES,
    };
    load(&[file], &LoadOptions::default()).expect("rules load")
}

fn failures(text: &str) -> Vec<Vec<String>> {
    let (rules, file) = (rules(), TestFile::parse("t.yaml", text).expect("tests"));
    let judged = file.tests.iter().map(|test| {
        let Input::Events(events) = &test.input else {
            panic!("events")
        };
        let mut judge = Judge::new(test);
        Engine::new(&rules).replay_block(events.block(), test.matching, &mut |a| judge.take(a));
        let failures = judge.failures(&rules);
        failures.iter().map(|f| format!("{}: {}", f.line, f.message)).collect()
    });
    judged.collect()
}

fn rewritten(text: &str) -> String {
    let (rules, file) = (rules(), TestFile::parse("t.yaml", text).expect("tests"));
    let mut rewriter = Rewriter::default();
    for test in &file.tests {
        let Input::Events(events) = &test.input else {
            panic!("events")
        };
        let mut judge = Judge::new(test);
        Engine::new(&rules).replay_block(events.block(), test.matching, &mut |a| judge.take(a));
        rewriter.add(test, &judge);
    }
    rewriter.apply(text)
}

#[test]
fn events_that_a_test_holds_raise_alerts() {
    assert_eq!(failures(TESTS), [[] as [String; 0], []]);
}

#[test]
fn what_is_not_as_wanted_is_told_with_its_line() {
    let text = TESTS
        .replace("count: 1", "count: 2+")
        .replace("output: Secret cat", "output: Secret dog")
        .replace("expect: [Out]", "expect: [{rule: Out, count: 0}, Nothing]")
        .replace("forbid: [Secret]", "forbid: [Exec]");
    assert_eq!(
        failures(&text),
        [
            vec![
                "10: 'Secret' must raise 2 alerts or more, found 0; 1 alerts of the rule in all, the first: 00:00:00.001000000: \
                 Warning Secret cat /etc/shadow sshd root (the output lacks 'Secret dog')"
                    .to_owned()
            ],
            vec![
                "31: 'Out' must raise 0 alerts, found 1".to_owned(),
                "31: no rule is called 'Nothing'".to_owned(),
                "32: 'Exec' raised 1 alerts and must not, the first: 00:00:05.000000000: Informational Exec x --evil registry/x"
                    .to_owned()
            ]
        ]
    );
    assert_eq!(
        failures(&TESTS.replace("- rule: Secret", "- rule: Out").replace("count: 1", "count: 0")),
        [
            vec![
                "14: 'Secret' raised 1 alerts and must not, the first: 00:00:00.001000000: Warning Secret cat /etc/shadow \
                 sshd root"
                    .to_owned()
            ],
            vec![]
        ]
    );
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_place() {
    for (from, to, wanted) in [
        (
            "only: true",
            "onyl: true",
            "t.yaml:14:5: error: unknown key 'onyl' of a test; did you mean 'only'?",
        ),
        (
            "count: 1",
            "count: some",
            "t.yaml:11:16: error: 'some' is no number of alerts (2, or 2+ for at least two)",
        ),
        (
            "evt.type: connect",
            "evt.type: conect",
            "t.yaml:18:19: error: unknown event type 'conect'",
        ),
        (
            "fd.cport: 40000",
            "fd.cport: 400000",
            "t.yaml:21:9: error: 'fd.cport' is a port, not '400000'",
        ),
        (
            "proc.name: x\n      -",
            "proc.colour: x\n      -",
            "t.yaml:24:9: error: the field 'proc.colour' cannot be set in a test",
        ),
        (
            "evt.res: EINPROGRESS",
            "evt.arg.colour: red",
            "t.yaml:19:9: error: connect has no argument 'colour'",
        ),
        (
            "O_RDONLY|O_CLOEXEC",
            "O_SOMETHING",
            "t.yaml:6:9: error: evt.arg.flags is no number or name: 'O_SOMETHING'",
        ),
        (
            "    expect: [Out]\n    forbid: [Secret]\n",
            "",
            "t.yaml:16:5: error: the test expects and forbids nothing",
        ),
    ] {
        assert!(TESTS.contains(from), "{from}");
        let error = TestFile::parse("t.yaml", &TESTS.replace(from, to)).expect_err(to);
        assert_eq!(error.to_string(), wanted);
    }
    for hostile in [
        "",
        "tests: 1",
        "- a",
        "rules: r\ntests: [{name: n, rules: [r], events: [], only: true}]",
        "tests: [[]]",
    ] {
        assert!(
            TestFile::parse("t", hostile).map_or(true, |f| f.tests.is_empty()),
            "{hostile}"
        );
    }
}

#[test]
fn expectations_are_rewritten_and_all_else_stays() {
    let wrong = TESTS
        .replace("count: 1", "count: 7")
        .replace("proc.name: cat, fd.name", "proc.name: dog, fd.name");
    let new = rewritten(&wrong);
    assert_eq!(failures(&new), [[] as [String; 0], []], "{new}");
    assert!(new.starts_with("# A file of tests.\nrules: [rules.yaml]\n"));
    assert!(
        new.contains(
            "    expect:\n      - rule: Secret\n        count: 1\n        fields: {proc.name: cat, fd.name: /etc/shadow}\n        output: \
             Secret cat\n    only: true   # nothing else\n"
        ),
        "{new}"
    );
    assert!(
        new.ends_with("    expect:\n      - rule: Exec\n        count: 1\n      - rule: Out\n        count: 1\n    forbid: [Secret]\n"),
        "{new}"
    );
    // A test that expected nothing gets its expectations at its end.
    let none = TESTS.replace("    expect: [Out]\n", "");
    assert_eq!(
        failures(&rewritten(&none)),
        [[] as [String; 0], []],
        "{}",
        rewritten(&none)
    );
    assert_eq!(rewritten(&new), new, "what is right stays");
}

#[test]
fn results_are_told_to_machines() {
    let file = TestFile::parse(
        "t.yaml",
        &TESTS.replace("expect: [Out]", "expect: [{rule: Out, count: 0}]"),
    )
    .expect("tests");
    let rules = rules();
    let results: Vec<TestResult> = file
        .tests
        .iter()
        .map(|test| {
            let Input::Events(events) = &test.input else {
                panic!("events")
            };
            let mut judge = Judge::new(test);
            Engine::new(&rules).replay_block(events.block(), test.matching, &mut |a| judge.take(a));
            TestResult {
                file: "t<.yaml".to_owned(),
                name: test.name.clone(),
                line: test.line,
                failures: judge.failures(&rules),
                seconds: 0.0,
            }
        })
        .collect();
    assert_eq!(
        tap(&results),
        "TAP version 14\n1..2\nok 1 - a secret is read\nnot ok 2 - a connection and a program\n\
         # t<.yaml:31: 'Out' must raise 0 alerts, found 1\n"
    );
    let xml = junit(&results);
    assert!(
        xml.contains("<testsuites tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\" time=\"0.000\">"),
        "{xml}"
    );
    assert!(
        xml.contains("<failure message=\"'Out' must raise 0 alerts, found 1\">t&lt;.yaml:31: 'Out' must raise 0 alerts, found 1</failure>"),
        "{xml}"
    );
}

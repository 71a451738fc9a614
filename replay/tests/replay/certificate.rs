//! Certificates say the same of the same replay, and name the first thing that differs.

use std::collections::BTreeMap;

use ctrace_replay::{AlertDigest, Certificate, Engine, LoadOptions, Options, RuleFile, load};

use crate::recording::attack;

const RULES: &str =
    "- {rule: Executed, desc: d, condition: evt.type = execve, output: '%proc.name %evt.num', priority: INFO}\n";

fn certificate(name: &str, rules: &str, times: usize, segment: u8) -> Certificate {
    let dir = tempfile::tempdir().expect("tempdir");
    let case = attack(dir.path(), times);
    let set = load(&[RuleFile { name, text: rules }], &LoadOptions::default()).expect("rules load");
    let options = Options {
        threads: times % 3 + 1,
        ..Options::default()
    };
    let mut alerts = AlertDigest::default();
    Engine::new(&set).replay(&case, &options, &mut |a| alerts.add(a));
    let texts = [(name.to_owned(), rules.to_owned())];
    Certificate::new(
        &case,
        &[[segment; 32]],
        &texts,
        &LoadOptions::default(),
        &options,
        &BTreeMap::new(),
        &alerts,
    )
}

#[test]
fn the_same_replay_gives_the_same_certificate() {
    let one = certificate("a/r.yaml", RULES, 5, 1);
    let two = certificate("/b/r.yaml", RULES, 5, 1);
    assert_eq!(one.text(), two.text());
    assert_eq!(one.first_difference(&two), None);
    let read = Certificate::parse(&one.text()).expect("a certificate");
    assert_eq!(read, one);
    assert_eq!(read.text(), one.text());
    let (load, options) = read.options().expect("options");
    assert!(load.tags.is_empty() && options.resolve_late);
}

#[test]
fn the_first_difference_is_named() {
    let one = certificate("r.yaml", RULES, 5, 1);
    let told = |other: &Certificate| one.first_difference(other).expect("differs");
    assert!(told(&certificate("r.yaml", RULES, 5, 2)).starts_with("case.segments[0].sha256: "));
    assert!(told(&certificate("r.yaml", &format!("{RULES}# more\n"), 5, 1)).starts_with("rules[0].sha256: "));
    assert_eq!(
        told(&certificate("r.yaml", RULES, 6, 1)),
        "alerts: the certificate has 15, here are 18; the first that differs is alert 16"
    );
    let many = certificate("r.yaml", RULES, 5_000, 1);
    let fewer = certificate("r.yaml", RULES, 4_999, 1);
    assert_eq!(
        many.first_difference(&fewer).expect("differs"),
        "alerts: the certificate has 15000, here are 14997; the first that differs is one of alerts 14997 – 15000"
    );
}

#[test]
fn what_is_no_certificate_is_refused() {
    for wrong in [
        "",
        "{}",
        "[]",
        r#"{"ctrace_certificate":2}"#,
        r#"{"ctrace_certificate":1}"#,
    ] {
        assert!(Certificate::parse(wrong).is_err(), "{wrong}");
    }
    let odd = certificate("r", RULES, 1, 1).text().replace("\"first\"", "\"last\"");
    assert!(Certificate::parse(&odd).expect("parses").options().is_err());
}

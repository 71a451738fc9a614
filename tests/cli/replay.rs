//! `ctrace replay`: the same bytes everywhere, and the alerts that the sample promises.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::cases::{self, sample};
use crate::run::{command, ctrace, file, folder, project, run};

const ANY_OPEN: &str = "- rule: opened\n  desc: d\n  condition: evt.type = openat\n  \
                        output: '%proc.name %evt.num'\n  priority: INFO\n";

fn replay(case: &Path, rules: &Path, more: &[&str]) -> crate::run::Ran {
    let args = [
        OsStr::new("replay"),
        case.as_os_str(),
        OsStr::new("--rules"),
        rules.as_os_str(),
    ];
    ctrace(args.into_iter().chain(more.iter().map(OsStr::new)))
}

fn sample_rules() -> std::path::PathBuf {
    project("samples/attack/rules.yaml")
}

#[test]
fn the_sample_gives_the_alerts_that_stand_beside_it() {
    let expected = fs::read_to_string(project("samples/attack/expected.jsonl")).expect("expected.jsonl");
    let ran = replay(sample(), &sample_rules(), &["--json"]).code(1);
    assert_eq!(ran.out, expected);
    let count = format!("{} alerts from ", expected.lines().count());
    assert!(ran.err.starts_with(&format!("ctrace: {count}")), "{}", ran.err);
}

#[test]
fn threads_zone_locale_and_folder_change_no_byte() {
    let made = folder();
    let case = made.path().join("case");
    cases::long(&case);
    let rules = file(made.path(), "rules.yaml", ANY_OPEN);
    let elsewhere = folder();
    for (case, rules) in [(sample().to_owned(), sample_rules()), (case, rules)] {
        for form in ["--json", "--quiet"] {
            let reference = replay(&case, &rules, &[form, "--threads=1"]).code(1).out;
            assert!(!reference.is_empty());
            for threads in ["1", "2", "4", "13"] {
                for (zone, locale) in [
                    ("Asia/Tokyo", "de_DE.UTF-8"),
                    ("America/St_Johns", "C"),
                    ("UTC", "tr_TR"),
                ] {
                    let args = ["replay", form, "--threads", threads, "--rules"].map(OsStr::new);
                    let mut command = command(args);
                    command
                        .arg(&rules)
                        .arg(&case)
                        .current_dir(elsewhere.path())
                        .env("TZ", zone)
                        .env("LC_ALL", locale);
                    assert_eq!(
                        run(command).code(1).out,
                        reference,
                        "{threads} threads, {zone}, {locale}, {form}"
                    );
                }
            }
        }
    }
}

#[test]
fn alerts_come_in_the_order_of_events() {
    let made = folder();
    let case = made.path().join("case");
    cases::long(&case);
    let rules = file(made.path(), "rules.yaml", ANY_OPEN);
    let out = replay(&case, &rules, &["--threads=4", "-q"]).code(1).silent();
    let numbers: Vec<u64> = out
        .lines()
        .map(|l| l.rsplit(' ').next().and_then(|n| n.parse().ok()).expect("a number"))
        .collect();
    assert_eq!(numbers, (0..400).collect::<Vec<_>>());
}

#[test]
fn nothing_found_is_0_and_silent_on_stdout() {
    let made = folder();
    let rules = file(
        made.path(),
        "r.yaml",
        ANY_OPEN.replace("openat", "openat and proc.name = nobody-is-called-so"),
    );
    assert!(
        replay(sample(), &rules, &[])
            .code(0)
            .nothing()
            .starts_with("ctrace: 0 alerts from ")
    );
    assert_eq!(replay(sample(), &rules, &["-q"]).code(0).silent(), "");
}

#[test]
fn the_case_may_stand_before_or_after_the_rules() {
    let (case, rules) = (sample(), sample_rules());
    let after = ctrace([
        OsStr::new("replay"),
        OsStr::new("--rules"),
        rules.as_os_str(),
        case.as_os_str(),
    ])
    .code(1);
    assert_eq!(after, replay(case, &rules, &[]));
    let none = ctrace([OsStr::new("replay"), OsStr::new("--rules"), rules.as_os_str()])
        .code(2)
        .nothing();
    assert!(none.contains("no case given"), "{none}");
}

#[test]
fn rules_may_be_several_files_and_folders_in_order() {
    let made = folder();
    let rules = made.path().join("rules");
    fs::create_dir(&rules).expect("a folder");
    file(
        &rules,
        "20.yml",
        "- rule: opened\n  append: true\n  condition: and proc.name = p7\n",
    );
    file(&rules, "10.yaml", ANY_OPEN);
    file(&rules, "notes.txt", "no rules");
    let case = made.path().join("case");
    cases::long(&case);
    assert_eq!(replay(&case, &rules, &["-q"]).code(1).silent().lines().count(), 10);
    let more = file(
        made.path(),
        "more.yaml",
        "- rule: opened\n  append: true\n  condition: and evt.num = 70\n",
    );
    let out = replay(&case, &rules, &["-q", "-r", more.to_str().expect("UTF-8")])
        .code(1)
        .silent();
    assert!(out.lines().count() == 1 && out.ends_with(" p7 70\n"), "{out}");
}

#[test]
fn alerts_do_not_drive_the_terminal() {
    let made = folder();
    let case = made.path().join("case");
    cases::hostile(&case);
    let rules = file(
        made.path(),
        "r.yaml",
        ANY_OPEN.replace("'%proc.name", "\"\\e[2J\\u202e %proc.cmdline"),
    );
    let rules = file(
        made.path(),
        "r.yaml",
        fs::read_to_string(rules)
            .expect("reads")
            .replace("evt.num'", "evt.num\""),
    );
    for form in ["--json", "--quiet"] {
        let out = replay(&case, &rules, &[form]).code(1).out;
        let bad = |c: &char| *c != '\n' && (c.is_control() || ctrace_trace::escape::misleads(*c));
        assert_eq!(out.chars().find(bad), None, "{form}: {out}");
        assert_eq!(out.lines().count(), cases::HOSTILE.len());
    }
    let object = &replay(&case, &rules, &["--json"]).objects()[2];
    assert!(
        object["output"].as_str().is_some_and(|o| o.contains("exe\u{202e}gpj.")),
        "{object}"
    );
}

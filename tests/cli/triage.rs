//! Triage, certificates and marks of `ctrace replay`.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use crate::cases::{self, sample};
use crate::run::{Ran, command, ctrace, file, folder, project, run};

fn replay(more: &[&str]) -> Ran {
    let rules = project("samples/attack/rules.yaml");
    let args = [
        "replay".as_ref(),
        sample().as_os_str(),
        "-r".as_ref(),
        rules.as_os_str(),
    ];
    ctrace(args.into_iter().chain(more.iter().map(OsStr::new)))
}

#[test]
fn suppressed_alerts_are_counted_and_shown_when_asked() {
    let made = folder();
    let text = "- suppress: '*'\n  reason: the lab's own attack\n  expires: never\n";
    let all = file(made.path(), "s.yaml", text);
    let all = all.to_str().expect("UTF-8");
    let count = replay(&["-q"]).code(1).out.lines().count();
    let ran = replay(&["--suppress", all]).code(0);
    assert_eq!(ran.out, "");
    assert!(
        ran.err.contains(&format!("of the alerts {count} suppressed")),
        "{}",
        ran.err
    );
    let shown = replay(&["--suppress", all, "--show-suppressed", "-q"]).code(0).out;
    assert_eq!(shown.lines().count(), count);
    assert!(
        shown.lines().all(|l| l.contains("[suppressed: the lab's own attack (")),
        "{shown}"
    );
    let objects = replay(&["--suppress", all, "--show-suppressed", "-q", "--json"]).objects();
    assert!(
        objects
            .iter()
            .all(|o| o["ctrace"]["suppressed"]["reason"] == "the lab's own attack")
    );
    // One that ended before the recording covers nothing, and that is told.
    let expired = file(made.path(), "old.yaml", text.replace("never", "2001-01-01"));
    let ran = replay(&["--suppress", expired.to_str().expect("UTF-8")]).code(1);
    assert_eq!(ran.out.lines().count(), count);
    assert!(
        ran.err.contains(&format!("expired before {count} alerts")),
        "{}",
        ran.err
    );
    let wrong = file(
        made.path(),
        "wrong.yaml",
        "- suppress: x\n  reason: y\n  expires: tomorrow\n",
    );
    let told = replay(&["--suppress", wrong.to_str().expect("UTF-8")])
        .code(2)
        .nothing();
    assert!(told.contains("wrong.yaml:3:12: error: 'tomorrow' is no date"), "{told}");
}

#[test]
fn repetitions_and_rates_leave_alerts_out() {
    let all = replay(&["-q"]).code(1).out.lines().count();
    let ran = replay(&["--dedupe"]).code(1);
    assert!(ran.out.lines().count() < all);
    assert!(ran.err.contains(" repetition"), "{}", ran.err);
    assert!(!ran.err.contains(" 1 repetitions"), "{}", ran.err);
    let ran = replay(&["--rate-limit=1/1d"]).code(1);
    assert!(
        ran.out.lines().count() < all && ran.err.contains("beyond the rate limit"),
        "{}",
        ran.err
    );
    assert!(
        replay(&["--dedupe=proc.nmae"])
            .code(2)
            .nothing()
            .contains("unknown field 'proc.nmae'")
    );
    replay(&["--rate-limit=10"]).code(2).nothing();
}

#[test]
fn a_summary_counts_by_rule_and_technique() {
    let table = replay(&["--summary", "-q"]).code(1).silent();
    assert!(
        table.contains("  technique\n") && table.contains("  Secret read in a container\n"),
        "{table}"
    );
    let object = replay(&["--summary", "--json", "-q"]).code(1).object();
    assert_eq!(object["techniques"]["T1003.008"]["shown"], 1, "{object}");
}

#[test]
fn rules_without_events_of_their_source_are_named() {
    let folder = folder();
    let rule = |name: &str, source: &str| {
        format!("- {{rule: {name}, desc: d, condition: evt.num > 0, output: o, priority: INFO, source: {source}}}\n")
    };
    let text = [rule("a", "k8s_audit"), rule("b", "k8s_audit"), rule("c", "docker")].concat();
    let rules = file(folder.path(), "r.yaml", text);
    let certificate = folder.path().join("certificate");
    let replay = |more: &[&str]| {
        let mut command = command(["replay"]);
        command.arg(sample()).arg("--rules").arg(&rules).args(more);
        run(command)
    };
    let ran = replay(&["--certificate", certificate.to_str().expect("UTF-8")]).code(1);
    assert!(
        ran.err
            .contains("ctrace: rules without events of their source: k8s_audit (2)\n"),
        "{}",
        ran.err
    );
    let object = replay(&["--summary", "--json", "-q"]).code(1).object();
    assert_eq!(object["rules_without_events"]["k8s_audit"], 2, "{object}");
    let certificate = std::fs::read_to_string(certificate).expect("written");
    assert!(certificate.contains("\"k8s_audit\": 2"), "{certificate}");
}

#[test]
fn ids_lead_from_an_alert_to_its_explanation() {
    let objects = replay(&["--ids", "--json", "-q"]).code(1).objects();
    let alert = &objects[0];
    assert_eq!(alert["ctrace"]["complete"], true, "{alert}");
    assert_eq!(alert["ctrace"]["id"].as_str().map(str::len), Some(64));
    let rules = project("samples/attack/rules.yaml");
    let explain = |event: u64, more: &[&str]| {
        let mut command = command(["explain", alert["rule"].as_str().expect("a name"), &event.to_string()]);
        command.arg(sample()).arg("--rules").arg(&rules).args(more);
        run(command)
    };
    let event = alert["ctrace"]["event"].as_u64().expect("a number");
    let told = explain(event, &[]).code(0).silent();
    assert!(told.contains("' fires on event ") && told.contains("* true"), "{told}");
    let object = explain(event, &["--json"]).code(0).object();
    assert_eq!(
        (&object["fires"], &object["condition"]["holds"]),
        (&true.into(), &true.into())
    );
    let mut case_last = command(["explain", alert["rule"].as_str().expect("a name"), &event.to_string()]);
    case_last.arg("--rules").arg(&rules).arg(sample());
    assert_eq!(run(case_last).code(0).silent(), told);
    let not = explain(event + 1, &[]).code(0).silent();
    assert!(
        not.contains("does not fire") && not.contains("decided by:\n  "),
        "{not}"
    );
    assert!(
        explain(99_999_999, &[])
            .code(2)
            .nothing()
            .contains("has no event 99999999")
    );
}

#[test]
fn the_explanation_in_the_readme_is_of_an_alert() {
    let readme = std::fs::read_to_string(project("README.md")).expect("the README");
    let line = readme
        .lines()
        .find_map(|l| l.strip_prefix("ctrace explain \""))
        .expect("an example");
    let (rule, rest) = line.split_once("\" ").expect("a rule");
    let rest = rest.split('#').next().expect("arguments").split_whitespace();
    let mut command = command(["explain", rule].into_iter().chain(rest));
    command.current_dir(project(""));
    let told = run(command).code(0).silent();
    assert!(told.contains(" fires on event "), "{told}");
}

#[test]
fn certificates_hold_until_something_differs() {
    let made = folder();
    let path = made.path().join("certificate.json");
    let certificate = path.to_str().expect("UTF-8");
    replay(&["--certificate", certificate, "--threads=3", "-q", "--matching=all"]).code(1);
    let verify = |case: &Path, rules: &Path| {
        let mut command = command(["verify", "--certificate", certificate, "--threads=1"]);
        command.arg("--rules").arg(rules).arg(case);
        run(command)
    };
    let rules = project("samples/attack/rules.yaml");
    let same = verify(sample(), &rules).code(0).silent();
    assert!(
        same.starts_with("the same: case, rules, engine, options and "),
        "{same}"
    );
    let text = std::fs::read_to_string(&rules).expect("rules");
    let changed = file(made.path(), "rules.yaml", text + "\n# a comment\n");
    let told = verify(sample(), &changed).code(1).silent();
    assert!(told.starts_with("rules[0].sha256: the certificate says \""), "{told}");
    let other = made.path().join("case");
    cases::long(&other);
    let told = verify(&other, &rules).code(1).silent();
    assert!(told.starts_with("case."), "{told}");
    std::fs::write(&path, "{}").expect("writes");
    assert!(verify(sample(), &rules).code(2).nothing().contains("no certificate"));
}

#[test]
fn alerts_near_a_loss_say_so() {
    let made = folder();
    let case = made.path().join("case");
    let mut writing = cases::Writing::begin(&case);
    writing.open(b"cat", b"/etc/shadow").gap(3).open(b"cat", b"/etc/passwd");
    writing.finish();
    let text = "- {rule: r, desc: d, condition: evt.type = openat, output: '%proc.name', priority: INFO}\n";
    let rules = file(made.path(), "r.yaml", text);
    let ran = ctrace(["replay".as_ref(), case.as_os_str(), "-r".as_ref(), rules.as_os_str()]).code(1);
    let marked = |l: &str| l.ends_with("cat [incomplete: 3 events of syscalls lost near it]");
    assert!(
        ran.out.lines().count() == 2 && ran.out.lines().all(marked),
        "{}",
        ran.out
    );
    assert!(
        ran.err
            .contains("3 events were lost when it was recorded; 2 alerts have losses near them"),
        "{}",
        ran.err
    );
}

#[test]
fn bytes_that_are_no_text_stay_told_apart() {
    let made = folder();
    let case = made.path().join("case");
    let mut writing = cases::Writing::begin(&case);
    writing.open(b"\xff\xfe", b"/tmp/\xf0");
    writing.finish();
    let text = "- {rule: r, desc: d, condition: evt.type = openat, output: 'x %proc.name', priority: INFO}\n";
    let rules = file(made.path(), "r.yaml", text);
    let ran = |form: &str| {
        ctrace([
            "replay".as_ref(),
            case.as_os_str(),
            "-q".as_ref(),
            form.as_ref(),
            "-r".as_ref(),
            rules.as_os_str(),
        ])
    };
    assert!(
        ran("--matching=all")
            .code(1)
            .out
            .ends_with("Informational x \\\\xff\\\\xfe\n")
    );
    assert_eq!(
        ran("--json").code(1).objects()[0]["output_fields"]["proc.name"],
        "\\xff\\xfe"
    );
}

#[test]
fn a_broken_stderr_changes_nothing() {
    let expected = replay(&["--json"]).code(1).out;
    for stderr in ["/dev/full", "closed"] {
        let mut shell = std::process::Command::new("sh");
        let redirect = if stderr == "closed" {
            "2>&-".to_owned()
        } else {
            format!("2>{stderr}")
        };
        shell
            .arg("-c")
            .arg(format!(
                "exec \"$0\" replay \"$1\" --json --profile -r \"$2\" {redirect}"
            ))
            .arg(crate::run::CTRACE)
            .arg(sample())
            .arg(project("samples/attack/rules.yaml"))
            .stdin(Stdio::null());
        let output = shell.output().expect("runs");
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{stderr}");
    }
}

#[test]
fn alerts_near_a_damaged_block_say_so() {
    let made = folder();
    let text = "- {rule: r, desc: d, condition: evt.type = openat, output: '%evt.num', priority: INFO}\n";
    let rules = file(made.path(), "r.yaml", text);
    let whole = cases::changed(|_| ());
    let replay = |case: &Path| ctrace(["replay".as_ref(), case.as_os_str(), "-r".as_ref(), rules.as_os_str()]);
    let all = replay(whole.path()).code(1);
    assert!(
        all.out.lines().count() == 400 && !all.out.contains("[incomplete"),
        "{}",
        all.err
    );
    // Whatever part of a block in the middle is damaged, all that is left of the recording is near it.
    let (mut read, mut lost) = (0, 0);
    for part in 0..24 {
        let case = cases::changed(|bytes| {
            let at = bytes.len() / 2 + part * 37;
            bytes[at] ^= 0x55;
        });
        let ran = replay(case.path());
        let lines = ran.out.lines().count();
        let marked = ran
            .out
            .lines()
            .filter(|l| l.contains("[incomplete: 10 events of "))
            .count();
        match lines {
            390 => assert_eq!(marked, 390, "{part}: {}", ran.err),
            // What is damaged was not looked at.
            400 => assert_eq!(marked, 0, "{part}: {}", ran.err),
            other => panic!("{part}: {other} alerts; {}", ran.err),
        }
        *(if lines == 400 { &mut read } else { &mut lost }) += 1;
    }
    assert!(lost > 5, "{lost} lost a block, {read} did not");
}

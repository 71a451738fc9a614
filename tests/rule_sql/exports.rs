//! Replay over an export gives the alerts of replay over the case, byte by byte.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::{captured, project, shared};

fn ctrace(args: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ctrace"))
        .args(args)
        .output()
        .expect("ctrace starts")
}

fn replay(data: &Path, rules: &Path, more: &[&str]) -> Output {
    let mut args: Vec<&Path> = vec![Path::new("replay"), data, Path::new("--rules"), rules];
    args.extend(more.iter().map(Path::new));
    ctrace(&args)
}

fn told(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

fn exported(case: &Path, folder: &Path) -> PathBuf {
    let out = folder.join("export");
    let done = ctrace(&[Path::new("export"), Path::new("-q"), case, Path::new("-o"), &out]);
    assert!(done.status.success(), "{}: {}", case.display(), told(&done));
    out
}

#[test]
fn exports_give_the_alerts_of_their_cases() {
    let folder = TempDir::new().expect("a folder");
    let mut sets = vec![project("samples/rules"), project("samples/attack/rules.yaml")];
    sets.extend(
        [shared().join("data/falco/falco_rules.yaml")]
            .into_iter()
            .filter(|p| p.exists()),
    );
    let mut alerts = 0;
    for case in captured(folder.path()).into_iter().step_by(3) {
        let exports = TempDir::new().expect("a folder");
        let export = exported(&case, exports.path());
        for rules in &sets {
            for more in [&["--json", "--ids"][..], &["--matching=all"]] {
                let (local, table) = (replay(&case, rules, more), replay(&export, rules, more));
                let what = format!("{} {} {more:?}", case.display(), rules.display());
                assert_eq!(
                    String::from_utf8_lossy(&table.stdout),
                    String::from_utf8_lossy(&local.stdout),
                    "{what}\n{}",
                    told(&table)
                );
                assert_eq!(table.status.code(), local.status.code(), "{what}\n{}", told(&table));
                alerts += local.stdout.iter().filter(|b| **b == b'\n').count();
            }
        }
    }
    assert!(alerts > 20, "{alerts} alerts");
}

#[test]
fn triage_and_losses_are_those_of_the_case() {
    let folder = TempDir::new().expect("a folder");
    let case = project("samples/attack/case");
    let export = exported(&case, folder.path());
    let suppressions = folder.path().join("known.yaml");
    let text = "- suppress: '*'\n  condition: proc.name = cat\n  reason: known\n  expires: never\n";
    std::fs::write(&suppressions, text).expect("a file");
    let rules = project("samples/attack/rules.yaml");
    let suppress = ["--suppress", suppressions.to_str().expect("UTF-8"), "--show-suppressed"];
    for more in [
        &suppress[..],
        &["--summary"],
        &["--dedupe=proc.name,container.id"],
        &["--json", "--rate-limit=1/1m"],
    ] {
        let (local, table) = (replay(&case, &rules, more), replay(&export, &rules, more));
        assert!(!local.stdout.is_empty(), "{more:?}: {}", told(&local));
        assert_eq!(table.stdout, local.stdout, "{more:?}: {}", told(&table));
        assert_eq!(table.status.code(), local.status.code(), "{more:?}: {}", told(&table));
    }
}

#[test]
fn what_an_export_does_not_have_is_named_first() {
    let folder = TempDir::new().expect("a folder");
    let export = exported(&project("samples/attack/case"), folder.path());
    let rules = folder.path().join("rules.yaml");
    let rule = |name: &str, condition: &str, output: &str| {
        format!("- rule: {name}\n  desc: d\n  condition: {condition}\n  output: {output}\n  priority: INFO\n")
    };
    let text = [
        rule("asks", "evt.type = execve and proc.args[1] = secret", "o"),
        rule("shows", "evt.type = execve", "\"%proc.args[0] %proc.name\""),
    ];
    std::fs::write(&rules, text.concat()).expect("a file");
    let out = replay(&export, &rules, &[]);
    let told = told(&out);
    assert!(
        told.contains("rule 'asks' is left out: the export does not have proc.args[1]"),
        "{told}"
    );
    assert!(told.contains("rule 'shows' shows proc.args[0] as <NA>"), "{told}");
    assert!(String::from_utf8_lossy(&out.stdout).contains("<NA>"));
    let certificate = folder.path().join("certificate");
    let out = replay(
        &export,
        &rules,
        &["--certificate", certificate.to_str().expect("UTF-8")],
    );
    assert_eq!(out.status.code(), Some(2));
}

//! Working on rules: `ctrace test`, `diff`, `rules list` and `rules coverage`.

use std::fs;
use std::path::Path;

use crate::cases::sample;
use crate::run::{command, file, folder, project, run};

const TESTS: &str = r#"rules: [rules.yaml]
tests:
  # The recorded attack.
  - name: the attack
    case: case
    expect:
      - rule: Secret read in a container
        count: 1
        fields: {proc.name: cat}
  - name: quiet
    events:
      - {evt.type: openat, proc.name: cat, fd.name: /etc/shadow, evt.arg.flags: O_RDONLY}
    forbid: [Secret read in a container]
"#;

/// A folder with the sample and a test file.
fn made(tests: &str) -> tempfile::TempDir {
    let made = folder();
    let link = |from: &Path, to: &str| std::os::unix::fs::symlink(from, made.path().join(to)).expect("a link");
    link(sample(), "case");
    link(&project("samples/attack/rules.yaml"), "rules.yaml");
    fs::create_dir(made.path().join("tests")).expect("a folder");
    let tests = tests
        .replace("rules: [rules", "rules: [../rules")
        .replace("case: case", "case: ../case");
    file(&made.path().join("tests"), "attack.yaml", tests);
    made
}

fn tests(folder: &Path, more: &[&str]) -> crate::run::Ran {
    let mut command = command(["test", "tests"]);
    command.args(more).current_dir(folder);
    run(command)
}

#[test]
fn tests_pass_or_say_what_is_wrong_where() {
    let good = made(TESTS);
    let ran = tests(good.path(), &[]).code(0);
    assert_eq!(ran.out, "ok      the attack\nok      quiet\n");
    assert_eq!(ran.err, "ctrace: 2 tests, 0 failed\n");
    let bad = made(&TESTS.replace("count: 1", "count: 3").replace("cat}", "dog}"));
    let ran = tests(bad.path(), &["--junit", "out.xml"]).code(1);
    assert!(
        ran.out.contains(
            "FAILED  the attack  (tests/attack.yaml:4)\n    tests/attack.yaml:7: 'Secret read in a container' must raise 3 \
             alerts, found 0; 1 alerts of the rule in all, the first: "
        ),
        "{}",
        ran.out
    );
    let junit = fs::read_to_string(bad.path().join("out.xml")).expect("written");
    assert!(junit.contains("tests=\"2\" failures=\"1\""), "{junit}");
    let tap = tests(bad.path(), &["--tap"]).code(1).out;
    assert!(
        tap.starts_with("TAP version 14\n1..2\nnot ok 1 - the attack\n# tests/attack.yaml:7: "),
        "{tap}"
    );
    assert!(tap.ends_with("ok 2 - quiet\n"), "{tap}");
    // Rewritten, it passes.
    assert!(tests(bad.path(), &["--update"]).code(0).err.contains("1 rewritten"));
    tests(bad.path(), &["--threads=1"]).code(0);
    let text = fs::read_to_string(bad.path().join("tests/attack.yaml")).expect("there");
    assert!(
        text.contains("  # The recorded attack.\n") && text.contains("proc.name: cat}"),
        "{text}"
    );
    let wrong = made(&TESTS.replace("forbid", "forbdi"));
    let told = tests(wrong.path(), &[]).code(2).nothing();
    assert!(
        told.contains("tests/attack.yaml:13:5: error: unknown key 'forbdi' of a test"),
        "{told}"
    );
    assert!(
        tests(good.path(), &["-n", "nothing is called so"])
            .code(2)
            .nothing()
            .contains("no test")
    );
}

#[test]
fn a_diff_names_the_condition() {
    let made = folder();
    let old = project("samples/attack/rules.yaml");
    let text = fs::read_to_string(&old).expect("rules").replace("/etc/shadow, ", "");
    let new = file(made.path(), "new.yaml", text);
    let diff = |new: &Path, more: &[&str]| {
        let mut command = command(["diff".as_ref(), old.as_os_str(), new.as_os_str(), sample().as_os_str()]);
        command.args(more);
        run(command)
    };
    let ran = diff(&old, &[]).code(0);
    assert_eq!(
        (ran.out.as_str(), ran.err.as_str()),
        ("", "ctrace: 0 alerts added, 0 removed, 0 changed\n")
    );
    let ran = diff(&new, &[]).code(1);
    assert!(
        ran.out
            .ends_with("    new: fd.name in (account_files) is false, the value is /etc/shadow\n"),
        "{}",
        ran.out
    );
    let table = diff(&new, &["--markdown"]).code(1).out;
    assert!(table.contains("| removed | `Secret read in a container` | "), "{table}");
    let objects = diff(&new, &["--json"]).code(1).objects();
    assert_eq!((objects.len(), &objects[0]["change"]), (1, &"removed".into()));
}

#[test]
fn coverage_tells_what_fires_and_what_never_does() {
    let made = folder();
    let text = fs::read_to_string(project("samples/attack/rules.yaml")).expect("rules")
        + "- {rule: Dead, desc: d, condition: proc.name = nobody_is_called_so, output: o, priority: INFO, tags: [T1611]}\n";
    let rules = file(made.path(), "rules.yaml", text);
    let layer = made.path().join("layer.json");
    let coverage = |more: &[&str]| {
        let mut command = command(["rules".as_ref(), "coverage".as_ref(), rules.as_os_str()]);
        command
            .arg("--case")
            .arg(sample())
            .arg("--navigator")
            .arg(&layer)
            .args(more);
        run(command)
    };
    let told = coverage(&[]).code(0).silent();
    assert!(told.contains("of 5 rules never fired\n  Dead\n"), "{told}");
    assert!(
        told.contains("\n  proc.name = nobody_is_called_so   (Dead)\n"),
        "{told}"
    );
    assert!(!told.contains("  container.id != host   ("), "{told}");
    let object = coverage(&["--json"]).code(0).object();
    assert_eq!(object["techniques"]["T1611"]["alerts"], 0);
    assert_eq!(object["techniques"]["T1003.008"]["alerts"], 1);
    let layer: serde_json::Value = serde_json::from_slice(&fs::read(&layer).expect("written")).expect("JSON");
    assert_eq!(layer["domain"], "enterprise-attack");
    let scores: Vec<(&str, i64)> = layer["techniques"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|t| Some((t["techniqueID"].as_str()?, t["score"].as_i64()?)))
        .collect();
    assert!(
        scores.contains(&("T1611", 1)) && scores.contains(&("T1003.008", 2)),
        "{scores:?}"
    );
}

#[test]
fn rules_are_listed_and_selected() {
    let rules = project("samples/attack/rules.yaml");
    let list = |more: &[&str]| {
        let mut command = command(["rules".as_ref(), "list".as_ref(), rules.as_os_str()]);
        command.args(more);
        run(command)
    };
    let all = list(&[]).code(0).silent();
    assert!(
        all.contains("Critical  syscall  Dropped binary executed  [T1204.002, "),
        "{all}"
    );
    let some = list(&["-t", "T1003.008", "--json"]).code(0).objects();
    assert_eq!(
        (some.len(), &some[0]["rule"]),
        (1, &"Secret read in a container".into())
    );
    assert!(list(&["--priority", "warning"]).code(0).silent().lines().count() < all.lines().count());
    list(&["--priority", "loud"]).code(2).nothing();
}

#[test]
fn what_is_learned_is_normal_and_all_else_a_departure() {
    let made = folder();
    let case = |name: &str, names: &[&str]| {
        let path = made.path().join(name);
        let mut writing = crate::cases::Writing::begin(&path);
        for program in names {
            writing.open(program.as_bytes(), b"/tmp/x");
        }
        writing.finish();
        path
    };
    let rules = made.path().join("baseline.yaml");
    let mut learn = command(["rules", "baseline", "learn", "-o"]);
    learn.arg(&rules).arg(sample());
    assert!(run(learn).code(0).nothing().contains("learned what is normal in "));
    let text = fs::read_to_string(&rules).expect("written");
    assert!(
        text.contains("Departure: executables of ctrace-lab/hosttools"),
        "{text}"
    );
    let replay = |case: &Path| {
        let args = [
            "replay".as_ref(),
            case.as_os_str(),
            "-r".as_ref(),
            rules.as_os_str(),
            "--matching=all".as_ref(),
        ];
        crate::run::ctrace(args)
    };
    // What was learned raises nothing.
    assert_eq!(replay(sample()).code(0).out, "");
    // Without what was learned of one program, that program is told.
    let less = text.replace("    - /usr/bin/chmod\n", "");
    assert_ne!(less, text);
    fs::write(&rules, less).expect("writes");
    let ran = replay(sample()).code(1);
    assert!(
        ran.out.contains("Notice Unknown program (exe=/usr/bin/chmod "),
        "{}",
        ran.out
    );
    assert_eq!(ran.out.lines().count(), 1, "{}", ran.out);
    // Files that are only read are no departure.
    assert_eq!(replay(&case("quiet", &["cat"])).code(0).out, "");
}

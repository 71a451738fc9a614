//! Wrong rules stop a replay before the first event and say where and what.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::cases::sample;
use crate::run::{command, ctrace, file, folder, run};

/// What is told about rules in a file of this name.
fn wrong(rules: &Path) -> String {
    ctrace([
        OsStr::new("replay"),
        sample().as_os_str(),
        OsStr::new("--rules"),
        rules.as_os_str(),
    ])
    .code(2)
    .nothing()
}

/// What is told about these rules, with the file named `r.yaml`.
fn told(text: impl AsRef<[u8]>) -> String {
    let folder = folder();
    file(folder.path(), "r.yaml", text);
    let mut command = command([OsStr::new("replay"), sample().as_os_str()]);
    command.args(["--rules", "r.yaml"]).current_dir(folder.path());
    run(command).code(2).nothing()
}

fn rule(condition: &str) -> String {
    format!("- rule: r\n  desc: d\n  condition: {condition}\n  output: o\n  priority: INFO\n")
}

#[test]
fn every_error_of_every_file_is_told_with_its_place() {
    let text = "- macro: spawned\n  condition: evt.type = execve\n- rule: r\n  desc: d\n  \
                condition: spwaned and proc.nmae = cat\n  output: '%fd.nam'\n  priority: INFO\n";
    assert_eq!(
        told(text),
        "r.yaml:5:14: error: undefined macro 'spwaned'; did you mean 'spawned'?\n      \
         condition: spwaned and proc.nmae = cat\n                 ^\n\
         r.yaml:5:26: error: unknown field 'proc.nmae'; did you mean 'proc.name'?\n      \
         condition: spwaned and proc.nmae = cat\n                             ^\n\
         r.yaml:6:13: error: unknown field 'fd.nam'; did you mean 'fd.name'?\n      \
         output: '%fd.nam'\n                ^\n\
         ctrace: 3 errors in the rules; no event was looked at\n"
    );
}

#[test]
fn each_kind_of_error_has_its_line() {
    for (text, wanted) in [
        (
            rule("proc.name contians x"),
            "r.yaml:3:24: error: unknown operator 'contians'; did you mean 'contains'?",
        ),
        (
            rule("evt.type = exceve"),
            "r.yaml:3:25: error: unknown event type 'exceve'; did you mean 'execve'?",
        ),
        (rule("evt.type = open and"), "r.yaml:3:"),
        (rule("proc.name in (a, b"), "r.yaml:3:"),
        (rule("proc.name = a\n priority: [").replace("INFO", "]"), "not YAML"),
        ("- rule: r\n  condition: [\n".to_owned(), "r.yaml:3:1: error: not YAML"),
        ("no rules".to_owned(), "r.yaml:1:1: error: a rules file is a list"),
        (rule("evt.type = open").replace("INFO", "LOUD"), "r.yaml:5:"),
    ] {
        let told = told(&text);
        assert!(told.contains(wanted), "{text}\n{told}");
    }
}

/// As in Falco.
#[test]
fn no_rule_enabled_is_no_error() {
    let folder = folder();
    let disabled = rule("evt.type = open") + "  enabled: false\n";
    let rules = file(folder.path(), "r.yaml", disabled);
    let mut command = command(["replay"]);
    command.arg(sample()).arg("--rules").arg(&rules);
    let ran = run(command).code(0);
    assert_eq!(ran.out, "");
    assert!(ran.err.starts_with("ctrace: no rule is enabled in "), "{}", ran.err);
}

#[test]
fn files_without_rules_are_told() {
    assert_eq!(told(""), "ctrace: no rule in r.yaml\n");
    assert_eq!(told("- list: l\n  items: [a]\n"), "ctrace: no rule in r.yaml\n");
    assert_eq!(told(b"- list: l\n\xff"), "ctrace: r.yaml:2: not UTF-8\n");
    let folder = folder();
    assert!(wrong(folder.path()).contains("no *.yaml or *.yml in this folder"));
    assert!(wrong(Path::new("/dev/zero")).contains("larger than"));
}

#[test]
fn a_missing_file_is_4() {
    let missing = ["replay", sample().to_str().expect("UTF-8"), "--rules", "no/such.yaml"].map(OsStr::new);
    assert_eq!(
        ctrace(missing).code(4).nothing(),
        "ctrace: rules no/such.yaml: No such file or directory (os error 2)\n"
    );
}

#[test]
fn rules_do_not_drive_the_terminal() {
    let told = told("- rule: \"\\e[31m\"\n  desc: d\n  condition: \u{202e}x\n  output: o\n  priority: INFO\n");
    assert!(
        told.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')),
        "{told}"
    );
}

#[test]
fn many_errors_are_counted() {
    let all: String = (0..500)
        .map(|i| rule("evt.tpye = x").replace("rule: r", &format!("rule: r{i}")))
        .collect();
    let told = told(all);
    assert!(
        told.contains("450 more like these") && told.contains("500 errors"),
        "{told}"
    );
}

#[test]
fn hostile_rules_end() {
    let folder = folder();
    let nested = rule(&format!("{}evt.type = open{}", "(".repeat(50_000), ")".repeat(50_000)));
    let mut macros = String::from("- macro: m0\n  condition: proc.name = a or proc.pname = b\n");
    let mut lists = String::from("- list: l0\n  items: [a, b]\n");
    for i in 1..60 {
        let below = i - 1;
        macros.push_str(&format!(
            "- macro: m{i}\n  condition: m{below} and not m{below} or (m{below})\n"
        ));
        lists.push_str(&format!("- list: l{i}\n  items: [l{below}, l{below}]\n"));
    }
    let circle = "- macro: a\n  condition: evt.type = open\n- macro: b\n  condition: a\n\
                  - macro: a\n  append: true\n  condition: or b\n";
    let mut laughs = "- list: a\n  items: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, below) in ('b'..='k').zip('a'..) {
        laughs.push_str(&format!(
            "- list: {name}\n  items: &{name} [{}]\n",
            vec![format!("*{below}"); 9].join(", ")
        ));
    }
    for (name, text) in [
        ("nested", nested),
        ("macros", macros.clone() + &rule("m59")),
        ("macros within the depth", macros + &rule("m45")),
        ("lists", lists + &rule("proc.name in (l59)")),
        ("circle", circle.to_owned() + &rule("b")),
        ("laughs", laughs + &rule("proc.name in (k)")),
        ("yaml", "[".repeat(100_000)),
        (
            "deep yaml",
            (0..2000).map(|i| format!("{}-\n", " ".repeat(i))).collect(),
        ),
        ("regex", rule("proc.name regex '(a{1000}){1000}'")),
    ] {
        let told = wrong(&file(folder.path(), &format!("{name}.yaml"), text));
        assert!(told.contains("error"), "{name}: {told}");
    }
}

#[test]
fn large_rules_work() {
    let folder = folder();
    let items: Vec<String> = (0..100_000).map(|i| format!("a{i}")).collect();
    let list = format!(
        "- list: l\n  items: [{}]\n{}",
        items.join(","),
        rule("proc.name in (l)")
    );
    let ors = rule(
        &items[..5_000]
            .iter()
            .map(|i| format!("proc.name = {i}"))
            .collect::<Vec<_>>()
            .join(" or "),
    );
    let nots = rule(&format!("{} proc.name = nobody", "not ".repeat(10_000)));
    for (name, text) in [("list", list), ("ors", ors), ("nots", nots)] {
        let rules = file(folder.path(), &format!("{name}.yaml"), text);
        let args = [
            OsStr::new("replay"),
            sample().as_os_str(),
            OsStr::new("-q"),
            OsStr::new("-r"),
            rules.as_os_str(),
        ];
        assert_eq!(ctrace(args).code(0).silent(), "", "{name}");
    }
    fs::remove_dir_all(folder.path()).expect("removes");
}

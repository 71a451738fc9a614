//! Help, wrong usage, pipes, and inputs that are no cases.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use crate::cases::{self, sample};
use crate::run::{Ran, command, ctrace, file, folder, project, run};

const SUBCOMMANDS: [&str; 7] = ["record", "info", "read", "replay", "query", "export", "completions"];

#[test]
fn help_and_version_are_results() {
    let help = ctrace(["--help"]).code(0).silent();
    for name in SUBCOMMANDS {
        assert!(help.contains(name), "{name}");
        assert!(ctrace([name, "-h"]).code(0).silent().contains("Usage: ctrace"));
    }
    assert!(ctrace(["--version"]).code(0).silent().starts_with("ctrace 0."));
}

#[test]
fn the_help_names_what_the_readme_names() {
    let readme = std::fs::read_to_string(project("README.md")).expect("README.md");
    for name in SUBCOMMANDS.iter().filter(|n| **n != "completions") {
        assert!(
            readme.contains(&format!("ctrace {name}")),
            "README.md does not show ctrace {name}"
        );
    }
}

#[test]
fn wrong_usage_is_2() {
    for args in [
        &[][..],
        &["info"],
        &["nonsense"],
        &["read", "--no-such-option"],
        &["replay", "case"],
        &["record"],
    ] {
        assert!(!ctrace(args).code(2).nothing().is_empty(), "{args:?}");
    }
    let both = ["read", "x", "--json", "-p", "%evt.num"];
    ctrace(both).code(2).nothing();
}

#[test]
fn completions_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = ctrace(["completions", shell]).code(0).silent();
        assert!(SUBCOMMANDS.iter().all(|name| script.contains(name)), "{shell}");
    }
}

/// What each reading subcommand says about an input.
fn readers(input: &OsStr) -> Vec<Ran> {
    let rules = project("samples/attack/rules.yaml");
    let out = folder();
    let target = out.path().join("out");
    let argument = OsStr::new;
    [
        vec![argument("info"), input],
        vec![argument("read"), input],
        vec![argument("replay"), input, argument("--rules"), rules.as_os_str()],
        vec![argument("query"), input, argument("SELECT 1")],
        vec![argument("export"), input, argument("-o"), target.as_os_str()],
    ]
    .map(ctrace)
    .into()
}

#[test]
fn a_missing_case_is_named_once_and_is_4() {
    for ran in readers(OsStr::new("no/such/case")) {
        let err = ran.code(4).nothing();
        assert_eq!(err.lines().count(), 1, "{err}");
        assert_eq!(err.matches("no/such/case").count(), 1, "{err}");
        assert_eq!(err.matches("No such file").count(), 1, "{err}");
    }
}

#[test]
fn what_is_no_case_is_2() {
    let folder = folder();
    let text = file(folder.path(), "notes.txt", "no case");
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).expect("a folder");
    for input in [
        text.as_os_str(),
        empty.as_os_str(),
        OsStr::new("/dev/null"),
        OsStr::new("/dev/zero"),
    ] {
        for ran in readers(input) {
            assert_eq!(ran.code(2).nothing().lines().count(), 1);
        }
    }
}

#[test]
fn pipes_are_no_cases_and_nobody_waits_for_their_writer() {
    let folder = folder();
    let pipe = folder.path().join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .expect("mkfifo")
            .success()
    );
    for ran in readers(pipe.as_os_str()) {
        ran.code(2).nothing();
    }
    let case = folder.path().join("case");
    std::fs::create_dir(&case).expect("a folder");
    std::fs::rename(&pipe, case.join("000001.ctrace")).expect("renames");
    for ran in readers(case.as_os_str()) {
        assert!(ran.code(4).nothing().contains("not a regular file"));
    }
}

#[test]
fn symbolic_links_are_followed_and_circles_end() {
    let folder = folder();
    let link = folder.path().join("link");
    symlink(sample(), &link).expect("a link");
    let direct = ctrace([OsStr::new("read"), sample().as_os_str()]).code(0).silent();
    assert_eq!(ctrace([OsStr::new("read"), link.as_os_str()]).code(0).silent(), direct);
    let circle = folder.path().join("000001.ctrace");
    symlink("000001.ctrace", &circle).expect("a link");
    ctrace([OsStr::new("info"), folder.path().as_os_str()])
        .code(4)
        .nothing();
}

#[test]
fn names_of_files_do_not_drive_the_terminal() {
    let name = OsStr::from_bytes(b"/no\x1b[31m\xe2\x80\xae/such");
    for ran in readers(name) {
        let err = ran.code(4).nothing();
        assert!(
            err.contains("\\x1b[31m\\u{202e}") && !err.contains('\u{1b}') && !err.contains('\u{202e}'),
            "{err}"
        );
    }
}

/// Reads a little of what a command prints and goes.
fn leave_early(args: &[&OsStr]) -> i32 {
    let mut command = command(args);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut first = [0; 10];
    child
        .stdout
        .take()
        .expect("piped")
        .read_exact(&mut first)
        .expect("prints");
    let mut err = String::new();
    child
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut err)
        .expect("reads");
    assert_eq!(err, "", "{args:?}");
    child.wait().expect("a child").code().unwrap_or(-1)
}

#[test]
fn whoever_leaves_early_has_seen_enough() {
    let case = sample().as_os_str();
    let argument = OsStr::new;
    assert_eq!(leave_early(&[argument("read"), case]), 0);
    assert_eq!(leave_early(&[argument("read"), case, argument("--json")]), 0);
    let all = "SELECT * FROM events";
    assert_eq!(
        leave_early(&[argument("query"), case, argument("--format=ndjson"), argument(all)]),
        0
    );
    assert_eq!(leave_early(&[argument("completions"), argument("bash")]), 0);
}

#[test]
fn nobody_reading_messages_is_no_reason_to_fail() {
    for (args, code) in [(["info", "no/such/case"], 4), (["read", "no/such/case"], 4)] {
        let mut child = command(args).stderr(Stdio::piped()).spawn().expect("starts");
        drop(child.stderr.take());
        assert_eq!(child.wait().expect("a child").code(), Some(code));
    }
}

#[test]
fn a_full_disk_is_told_and_is_4() {
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    let mut command = command([OsStr::new("read"), sample().as_os_str()]);
    let out = command.stdout(full).stderr(Stdio::piped()).output().expect("runs");
    assert_eq!(out.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&out.stderr).contains("No space left"));
}

#[test]
fn colours_and_progress_stay_off_where_stderr_is_no_terminal() {
    let folder = folder();
    cases::long(&folder.path().join("case"));
    let rules = project("samples/attack/rules.yaml");
    let mut replay = command([
        OsStr::new("replay"),
        folder.path().join("case").as_os_str(),
        OsStr::new("--rules"),
    ]);
    replay
        .arg(rules)
        .env("TERM", "xterm-256color")
        .env("CLICOLOR_FORCE", "1");
    let ran = run(replay).code(0);
    assert!(!ran.err.contains('\u{1b}') && !ran.err.contains('\r'), "{}", ran.err);
    assert_eq!(ran.err.lines().count(), 1, "a summary and nothing else: {}", ran.err);
}

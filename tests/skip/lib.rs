//! Saying that a test was not run, and why; and where what it needs may lie. For tests only.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Reports on stderr and in the file that `CTRACE_SKIPPED` names.
///
/// # Panics
///
/// Where `CTRACE_MAY_SKIP` is set and none of its lines is part of the reason: what the test needs has to be there.
pub fn skip(test: &str, reason: &str) {
    let line = format!("SKIP {test}: {reason}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("CTRACE_SKIPPED") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        if let Err(error) = file.and_then(|mut f| f.write_all(line.as_bytes())) {
            eprintln!("CTRACE_SKIPPED cannot be written: {error}");
        }
    }
    if let Ok(reasons) = std::env::var("CTRACE_MAY_SKIP") {
        let mut parts = reasons.lines().filter(|part| !part.is_empty());
        assert!(
            parts.any(|part| reason.contains(part)),
            "{test} must not be skipped here (CTRACE_MAY_SKIP): {reason}"
        );
    }
}

/// The value of a variable, or a reported skip.
pub fn variable(test: &str, name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|v| !v.is_empty());
    if value.is_none() {
        skip(test, &format!("{name} is not set"));
    }
    value
}

/// Whether the test runs as root; reports it where not.
pub fn is_root(test: &str) -> bool {
    // SAFETY: no preconditions.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        skip(test, "needs root");
    }
    root
}

/// A file of the data that was recorded for the project and is too large for its repository (`CTRACE_SHARED`, or beside the
/// project), or a reported skip.
pub fn shared(test: &str, path: &str) -> Option<PathBuf> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let named = std::env::var_os("CTRACE_SHARED").map(PathBuf::from);
    let places = ["../shared", "../../shared"].map(|place| project.join(place));
    let mut files = named.into_iter().chain(places).map(|place| place.join(path));
    let found = files.find(|file| file.exists());
    if found.is_none() {
        skip(test, &format!("../shared/{path} is not there"));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const REASON: &str = "CTRACE_TEST_REASON";

    /// What other tests run as a program of its own: a test that is skipped for a reason, if there is one.
    #[test]
    fn is_skipped() {
        if let Ok(reason) = std::env::var(REASON) {
            skip("a test", &reason);
        }
    }

    /// Whether a test may be skipped for a reason, with these lines or without any rule.
    fn may_skip(reason: &str, lines: Option<&str>) -> bool {
        let skipped = tempfile::NamedTempFile::new().expect("a file");
        let mut program = Command::new(std::env::current_exe().expect("this program"));
        program
            .args(["--exact", "tests::is_skipped"])
            .env(REASON, reason)
            .env("CTRACE_SKIPPED", skipped.path())
            .env_remove("CTRACE_MAY_SKIP");
        if let Some(lines) = lines {
            program.env("CTRACE_MAY_SKIP", lines);
        }
        let passed = program.output().expect("it runs").status.success();
        let told = std::fs::read_to_string(skipped.path()).expect("a file");
        assert_eq!(told, format!("SKIP a test: {reason}\n"));
        passed
    }

    #[test]
    fn what_may_not_be_skipped_fails() {
        let no_btf = "the kernel has no type information";
        assert!(may_skip(no_btf, None));
        let lines = "is not set\n\n../shared/\n";
        assert!(may_skip("CTRACE_TEST_DOCKER is not set", Some(lines)));
        assert!(may_skip("../shared/a.scap is not there", Some(lines)));
        assert!(!may_skip(no_btf, Some(lines)));
        assert!(!may_skip(no_btf, Some("")));
    }
}

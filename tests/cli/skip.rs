//! Saying that a test was not run, and why.

use std::io::Write;

/// Reports on stderr and in the file that `CTRACE_SKIPPED` names.
pub(crate) fn skip(test: &str, reason: &str) {
    let line = format!("SKIP {test}: {reason}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("CTRACE_SKIPPED") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        file.and_then(|mut f| f.write_all(line.as_bytes()))
            .expect("CTRACE_SKIPPED must name a writable file");
    }
}

/// The value of a variable, or a reported skip.
pub(crate) fn variable(test: &str, name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|v| !v.is_empty());
    if value.is_none() {
        skip(test, &format!("{name} is not set"));
    }
    value
}

/// Whether the test runs as root; reports it where not.
pub(crate) fn is_root(test: &str) -> bool {
    // SAFETY: no preconditions.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        skip(test, "needs root");
    }
    root
}

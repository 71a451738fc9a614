//! Saying that a test was not run, and why; and where what it needs may lie. For tests only.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Reports on stderr and in the file that `CTRACE_SKIPPED` names.
pub fn skip(test: &str, reason: &str) {
    let line = format!("SKIP {test}: {reason}\n");
    eprint!("{line}");
    let Some(path) = std::env::var_os("CTRACE_SKIPPED") else {
        return;
    };
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    if let Err(error) = file.and_then(|mut f| f.write_all(line.as_bytes())) {
        eprintln!("CTRACE_SKIPPED cannot be written: {error}");
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

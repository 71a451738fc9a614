//! Saying that a test was not run, and why.

use std::io::Write;
use std::path::{Path, PathBuf};

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

/// A file of the data that was recorded for the project and is too large for its repository, or a reported skip.
pub(crate) fn shared(test: &str, path: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let places = ["../shared", "../../shared"].map(|place| root.join(place).join(path));
    let found = places.into_iter().find(|p| p.exists());
    if found.is_none() {
        skip(test, &format!("../shared/{path} is not there"));
    }
    found
}

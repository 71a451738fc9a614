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

/// A file of the shared test data (`CTRACE_SHARED`, or beside the project), or a reported skip.
pub(crate) fn shared(test: &str, path: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let named = std::env::var_os("CTRACE_SHARED").map(PathBuf::from);
    let places = ["../shared", "../../shared"].map(|place| root.join(place));
    let found = named
        .into_iter()
        .chain(places)
        .map(|p| p.join(path))
        .find(|p| p.exists());
    if found.is_none() {
        skip(test, &format!("../shared/{path} is not there"));
    }
    found
}

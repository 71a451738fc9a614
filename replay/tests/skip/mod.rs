//! Where the shared test data lie, and which tests were skipped for want of them.

use std::io::Write;
use std::path::PathBuf;

/// The folder of test data beside the repository, or the one that `CTRACE_SHARED` names.
pub(crate) fn shared() -> PathBuf {
    match std::env::var_os("CTRACE_SHARED") {
        Some(path) => path.into(),
        None => PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
    }
}

/// Prints the reason to stderr and, where `CTRACE_SKIPPED` names a file, appends it there.
pub(crate) fn skip(test: &str, reason: &str) {
    let line = format!("SKIP {test}: {reason}");
    eprintln!("{line}");
    let Some(path) = std::env::var_os("CTRACE_SKIPPED") else {
        return;
    };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    if let Err(error) = file.and_then(|mut f| writeln!(f, "{line}")) {
        eprintln!("CTRACE_SKIPPED cannot be written: {error}");
    }
}

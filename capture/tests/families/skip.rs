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

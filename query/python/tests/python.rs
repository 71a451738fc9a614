//! Runs the package's own tests, `query/python/tests/test_*.py`, over the extension module that Cargo has just built with
//! the rest of the workspace.
//!
//! `CTRACE_TEST_PYTHON` names the interpreter (tests/lab/python makes one); without it the test is skipped.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Says on stderr and in the file that `CTRACE_SKIPPED` names that a test was not run.
fn skip(test: &str, reason: &str) {
    let line = format!("SKIP {test}: {reason}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("CTRACE_SKIPPED") {
        let file = fs::OpenOptions::new().append(true).create(true).open(path);
        file.and_then(|mut f| f.write_all(line.as_bytes()))
            .expect("CTRACE_SKIPPED must name a writable file");
    }
}

/// Where Cargo puts what it builds in this profile: the folder above that of this test.
fn built() -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    let folder = test.parent().and_then(Path::parent);
    folder.expect("target/PROFILE/deps").to_owned()
}

/// A folder with the package as it is when installed.
fn install(package: &Path, into: &Path) {
    let target = into.join("ctrace");
    fs::create_dir(&target).expect("a folder");
    for entry in fs::read_dir(package.join("python/ctrace")).expect("the package") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            fs::copy(&path, target.join(path.file_name().expect("a name"))).expect("copied");
        }
    }
    let library = built().join("libctrace_python.so");
    fs::copy(&library, target.join("_ctrace.abi3.so")).expect("the extension module was built");
}

#[test]
fn package() {
    let Some(python) = std::env::var_os("CTRACE_TEST_PYTHON").filter(|p| !p.is_empty()) else {
        return skip("Python package", "CTRACE_TEST_PYTHON is not set");
    };
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = tempfile::tempdir().expect("a folder");
    install(package, scratch.path());
    let output = Command::new(python)
        .args(["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "tests"])
        .current_dir(package)
        .env("PYTHONPATH", scratch.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CTRACE_COMMAND", built().join("ctrace"))
        .output()
        .expect("pytest runs");
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.lines().filter_map(|l| l.strip_prefix("SKIPPED ")) {
        skip("Python package", line);
    }
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{}", text.lines().last().unwrap_or_default());
}

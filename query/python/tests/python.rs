//! Runs the package's own tests, `query/python/tests/test_*.py`, over the extension module that Cargo has just built with
//! the rest of the workspace.
//!
//! `CTRACE_TEST_PYTHON` names the interpreter (tests/lab/python makes one); without it the test is skipped.
//! `CTRACE_TEST_PACKAGE` names a folder with the package as pip installed it (`.ci/run wheel`), to be tested in place of the
//! one put together here.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use ctrace_skip::{skip, variable};
use ctrace_trace::case::{CaseConfig, CaseWriter, Opening};
use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::schema::Schema;
use ctrace_trace::segment::{CaseId, ClockReading};

/// Where Cargo puts what it builds for tests: the folder of this test.
fn built() -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    test.parent().expect("target/PROFILE/deps").to_owned()
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
    // Not the one in the folder above: Cargo brings that up to date only when the library itself was asked for.
    let library = built().join("libctrace_python.so");
    assert!(library.is_file(), "the extension module was built");
    symlink(&library, target.join("_ctrace.abi3.so")).expect("linked");
}

/// A case whose recorder lost 42 events: no sample did.
fn write_lossy_case(folder: &Path) {
    let clock = ClockReading {
        realtime_ns: 1_795_219_190_000_000_000,
        ..ClockReading::default()
    };
    let opener = move || Opening { clock, state: None };
    let schema = Schema::current();
    let config = CaseConfig::new(CaseId(*b"a case of losses"), schema.clone());
    let mut writer = CaseWriter::create(folder, config, Box::new(opener)).expect("a case");
    let given = [
        ("source", Arg::Str(b"syscall")),
        ("class", Arg::Num(0)),
        ("count", Arg::Num(42)),
    ];
    let params = &schema.get(EventType::GAP).expect("declared").params;
    let arg = |name: &str| given.iter().find(|(n, _)| *n == name).map_or(Arg::None, |(_, a)| *a);
    let args: Vec<Arg<'_>> = params.iter().map(|p| arg(&p.name)).collect();
    let event = Event {
        ts: clock.realtime_ns,
        kind: EventType::GAP,
        cpu: 0,
        tid: 0,
        image: None,
        ret: None,
        latency: None,
        fd_num: None,
        fd: None,
        args: &args,
        data: b"",
    };
    writer.push(&event).expect("the event is taken");
    writer.finish().expect("the case is finished");
}

#[test]
fn package() {
    let Some(python) = variable("Python package", "CTRACE_TEST_PYTHON") else {
        return;
    };
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = tempfile::tempdir().expect("a folder");
    let installed = match std::env::var_os("CTRACE_TEST_PACKAGE") {
        Some(folder) => PathBuf::from(folder),
        None => {
            install(package, scratch.path());
            scratch.path().to_owned()
        }
    };
    let lossy = scratch.path().join("lossy");
    write_lossy_case(&lossy);
    let output = Command::new(python)
        .args([
            "-m",
            "pytest",
            "-q",
            "-rs",
            "--durations=5",
            "-p",
            "no:cacheprovider",
            "tests",
        ])
        .current_dir(package)
        .env("PYTHONPATH", installed)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CTRACE_LOSSY_CASE", lossy)
        .env("CTRACE_COMMAND", built().join("../ctrace"))
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
    println!("{text}");
}

//! Runs the program and keeps what it said.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program under test.
pub(crate) const CTRACE: &str = env!("CARGO_BIN_EXE_ctrace");

/// Longer than anything here takes, even on a busy machine: what takes this long hangs.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a run of the program left behind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    /// The exit code; -1 for an end by a signal.
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `ctrace` with arguments.
pub(crate) fn ctrace<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    run(command(args))
}

/// `ctrace` with arguments, to be changed before it runs.
pub(crate) fn command<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(CTRACE);
    command.args(args);
    command
}

/// Runs a command to its end.
pub(crate) fn run(mut command: Command) -> Ran {
    let (mut out, mut err) = (scratch(), scratch());
    command
        .stdin(Stdio::null())
        .stdout(out.try_clone().expect("a file"))
        .stderr(err.try_clone().expect("a file"));
    let mut child = command.spawn().expect("the program starts");
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().expect("a child");
            panic!("{command:?} does not end; stderr: {}", text(&mut err));
        }
        thread::sleep(Duration::from_millis(2));
    };
    let ran = Ran {
        code: status.code().unwrap_or(-1),
        out: text(&mut out),
        err: text(&mut err),
    };
    assert!(!ran.err.contains("panicked"), "{command:?}: {}", ran.err);
    ran
}

fn scratch() -> File {
    tempfile::tempfile().expect("a temporary file")
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .expect("reads");
    String::from_utf8(bytes).expect("the program writes UTF-8")
}

impl Ran {
    /// The run, which must have ended with this code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Ran {
        assert_eq!(
            self.code,
            code,
            "stdout: {}\nstderr: {}",
            head(&self.out),
            head(&self.err)
        );
        self
    }

    /// What it printed, where it had nothing to tell on stderr.
    #[track_caller]
    pub(crate) fn silent(self) -> String {
        assert_eq!(self.err, "");
        self.out
    }

    /// What it told on stderr, where it printed nothing.
    #[track_caller]
    pub(crate) fn nothing(self) -> String {
        assert_eq!(head(&self.out), "");
        self.err
    }

    /// The lines that it printed, each a JSON object.
    #[track_caller]
    pub(crate) fn objects(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.out.lines().map(parse).collect()
    }

    /// What it printed, as one JSON object.
    #[track_caller]
    pub(crate) fn object(&self) -> Value {
        serde_json::from_str(&self.out).expect("one JSON object")
    }
}

fn head(text: &str) -> &str {
    text.get(..2000).unwrap_or(text)
}

/// A file or folder of the project.
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A folder that is removed with what is in it.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("ctrace-cli.")
        .tempdir()
        .expect("a temporary folder")
}

/// A file with this content in a folder.
pub(crate) fn file(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("writes");
    path
}

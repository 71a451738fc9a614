//! The recorder as a program, and what it recorded.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, ExitCode, Stdio};
use std::time::Duration;

use clap::Parser;
use ctrace_trace::case::Case;

use crate::process::{Process, cpu_of};
use crate::tool::Sum;

/// The recorder, as its small program runs it.
pub(crate) fn record(args: &[String]) -> ExitCode {
    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        record: ctrace_capture::RecordArgs,
    }
    ExitCode::from(ctrace_capture::run(&Cli::parse_from(args).record, "recorder", "bench"))
}

/// A running recorder; ended when dropped.
pub(crate) struct Recording {
    process: Process,
    stderr: BufReader<ChildStderr>,
    case: PathBuf,
}

impl Recording {
    /// Starts it and waits until it records.
    pub(crate) fn start(dir: &Path, options: &[&str]) -> Recording {
        let case = dir.join("case");
        let myself = std::env::current_exe().expect("a path");
        let mut command = Command::new(myself);
        command
            .arg("recorder")
            .arg("-o")
            .arg(&case)
            .args(["--sources", "syscalls"])
            .args(options);
        let mut process = Process::start(command.stderr(Stdio::piped()), libc::SIGINT).expect("runs");
        let mut stderr = BufReader::new(process.stderr().expect("piped"));
        let mut line = String::new();
        while !line.contains("recording") {
            line.clear();
            assert!(
                stderr.read_line(&mut line).expect("text") > 0,
                "the recorder does not start"
            );
        }
        process.is_ready();
        Recording { process, stderr, case }
    }

    /// CPU time that it took so far.
    pub(crate) fn cpu(&self) -> Duration {
        cpu_of(self.process.id())
    }

    /// Ends it and reads what it wrote.
    pub(crate) fn end(mut self) -> Sum {
        let cpu = self.process.stop();
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).expect("text");
        let case = Case::open(&self.case).unwrap_or_else(|e| panic!("{e}\n{said}"));
        let totals = case.totals();
        Sum {
            events: totals.events,
            bytes: case.segments().iter().map(|s| s.len()).sum(),
            lost: Some(totals.lost.values().sum()),
            cpu: Some(cpu),
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.process.stop();
        let _ = std::fs::remove_dir_all(&self.case);
    }
}

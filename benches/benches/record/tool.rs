//! The tools that are compared, and the recorder among them.

use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitCode, Stdio};
use std::time::Duration;

use clap::Parser;
use ctrace_trace::case::Case;

/// What watches a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Nothing,
    /// ctrace with this set of syscalls.
    Ctrace(&'static str),
    Strace,
}

impl Tool {
    /// `setns` stands for a set that the load's calls are not in.
    pub(crate) const ALL: [Tool; 5] = [
        Tool::Nothing,
        Tool::Ctrace("all"),
        Tool::Ctrace("security"),
        Tool::Ctrace("setns"),
        Tool::Strace,
    ];

    pub(crate) fn name(self) -> String {
        match self {
            Tool::Nothing => "nothing".to_owned(),
            Tool::Ctrace(set) => format!("ctrace --syscalls {set}"),
            Tool::Strace => "strace -f".to_owned(),
        }
    }

    /// Starts what has to run beside the load.
    pub(crate) fn start(self, dir: &Path) -> Option<Recording> {
        match self {
            Tool::Ctrace(set) => Some(Recording::start(dir, set)),
            Tool::Nothing | Tool::Strace => None,
        }
    }

    /// The command that runs a load.
    pub(crate) fn wrap(self, load: &[&OsStr]) -> Command {
        let (program, args) = load.split_first().expect("a program");
        let mut command = Command::new(if self == Tool::Strace {
            OsStr::new("strace")
        } else {
            program
        });
        if self == Tool::Strace {
            command.args(["-f", "-o", "/dev/null"]).arg(program);
        }
        command.args(args);
        command
    }
}

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
    child: Child,
    ended: bool,
    /// CPU time that it had taken when it was ready.
    start: Duration,
    stderr: BufReader<ChildStderr>,
    case: PathBuf,
}

/// What a recording came to.
pub(crate) struct Sum {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) lost: u64,
    /// From when it was ready to its end.
    pub(crate) cpu: Duration,
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.events < 10_000 {
            return write!(f, "{} events, {} lost", self.events, self.lost);
        }
        let events = self.events as f64;
        let (size, cpu) = (self.bytes as f64 / events, self.cpu.as_secs_f64() * 1e6 / events);
        let millions = events / 1e6;
        write!(
            f,
            "{millions:.2} M events, {} lost, {size:.2} bytes and {cpu:.2} µs of CPU an event",
            self.lost
        )
    }
}

impl Recording {
    /// Starts it and waits until it records.
    pub(crate) fn start(dir: &Path, set: &str) -> Recording {
        let case = dir.join("case");
        let myself = std::env::current_exe().expect("a path");
        let mut command = Command::new(myself);
        command
            .arg("recorder")
            .arg("-o")
            .arg(&case)
            .args(["--sources", "syscalls", "--syscalls", set]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("runs");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        while !line.contains("recording") {
            line.clear();
            assert!(
                stderr.read_line(&mut line).expect("text") > 0,
                "the recorder does not start"
            );
        }
        Recording {
            start: cpu_of(child.id()),
            child,
            ended: false,
            stderr,
            case,
        }
    }

    /// Ends it and reads what it wrote.
    pub(crate) fn end(mut self) -> Sum {
        let cpu = self.stop().saturating_sub(self.start);
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).expect("text");
        let case = Case::open(&self.case).unwrap_or_else(|e| panic!("{e}\n{said}"));
        let totals = case.totals();
        let bytes = case.segments().iter().map(|s| s.len()).sum();
        Sum {
            events: totals.events,
            bytes,
            lost: totals.lost.values().sum(),
            cpu,
        }
    }

    /// Stops the recorder and gives the CPU time that it took.
    fn stop(&mut self) -> Duration {
        if std::mem::replace(&mut self.ended, true) {
            return Duration::ZERO;
        }
        let pid = self.child.id() as i32;
        // SAFETY: the pid is a child's that was not waited for; status and usage live through the call.
        unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            let mut status = 0;
            libc::kill(pid, libc::SIGINT);
            if libc::wait4(pid, &raw mut status, 0, &raw mut usage) != pid {
                return Duration::ZERO;
            }
            [usage.ru_utime, usage.ru_stime]
                .map(|t| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000))
                .iter()
                .sum()
        }
    }
}

/// CPU time of a process so far (`proc(5)`: utime and stime, in ticks of 10 ms).
fn cpu_of(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a child that runs");
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks: u64 = fields.skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.case);
    }
}

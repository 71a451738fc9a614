//! The tools that are compared: how each is started, told to end, and what it wrote.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::auditd::Auditd;
use crate::ctrace::Recording;
use crate::empty_program::EmptyProgram;
use crate::load;
use crate::process::{Process, is_installed};

/// How long a tool may take until its output shows that it works.
const PATIENCE: Duration = Duration::from_secs(10);
/// A tool that wrote less may have said no more than that it begins.
const GREETING: u64 = 256;

/// What watches a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Nothing,
    /// A program at `sys_exit` that does nothing: the least that a recorder by tracepoints can cost.
    EmptyProgram,
    /// ctrace with these options.
    Ctrace(&'static [&'static str]),
    /// strace of the load alone, with these options.
    Strace(&'static [&'static str]),
    /// perf trace of all processes, with these options.
    PerfTrace(&'static [&'static str]),
    /// bpftrace with this program.
    Bpftrace(&'static str),
    /// sysdig, which needs a driver of its own.
    Sysdig,
    /// The audit daemon, with a rule about `openat`.
    Auditd,
}

/// As near to what ctrace writes as is fair: bpftrace has no six arguments where a call ends, and reads paths where it
/// begins.
const ALL_CALLS: &str = r#"
tracepoint:raw_syscalls:sys_exit /comm != "bpftrace"/ {
    printf("%llu %d %d %d %d %s %ld %ld\n", nsecs, cpu, pid, tid, uid, comm, args->id, args->ret);
}
tracepoint:syscalls:sys_enter_openat /comm != "bpftrace"/ {
    printf("path %llu %d %d %s\n", nsecs, tid, args->dfd, str(args->filename));
}"#;
const ONE_CALL: &str = r#"
tracepoint:syscalls:sys_exit_setns /comm != "bpftrace"/ { printf("%llu %d %d\n", nsecs, tid, args->ret); }"#;

impl Tool {
    /// What other tools are measured against.
    pub(crate) const ALL_OF_CTRACE: Tool = Tool::Ctrace(&["--syscalls", "all"]);

    /// All that run side by side, nothing first. `setns` stands for a set that the loads' calls are not in, `absent` for a
    /// name that no process has.
    pub(crate) const TOGETHER: [Tool; 13] = [
        Tool::Nothing,
        Tool::EmptyProgram,
        Tool::ALL_OF_CTRACE,
        Tool::Ctrace(&["--syscalls", "security"]),
        Tool::Ctrace(&["--syscalls", "setns"]),
        Tool::Ctrace(&["--syscalls", "all", "--scope", "comm=absent"]),
        Tool::Strace(&[]),
        Tool::Strace(&["--seccomp-bpf", "-e", "trace=setns"]),
        Tool::PerfTrace(&[]),
        Tool::PerfTrace(&["-e", "setns"]),
        Tool::Bpftrace(ALL_CALLS),
        Tool::Bpftrace(ONE_CALL),
        Tool::Sysdig,
    ];

    pub(crate) fn name(self) -> String {
        let with = |program: &str, options: &[&str]| [&[program], options].concat().join(" ");
        match self {
            Tool::Nothing => "nothing".to_owned(),
            Tool::EmptyProgram => "an empty program at sys_exit".to_owned(),
            Tool::Ctrace(options) => with("ctrace", options),
            Tool::Strace(options) => with("strace -f", options),
            Tool::PerfTrace(options) => with("perf trace -a", options),
            Tool::Bpftrace(ONE_CALL) => "bpftrace sys_exit_setns".to_owned(),
            Tool::Bpftrace(_) => "bpftrace sys_exit, paths".to_owned(),
            Tool::Sysdig => "sysdig -w".to_owned(),
            Tool::Auditd => "auditd -S openat".to_owned(),
        }
    }

    fn program(self) -> Option<&'static str> {
        match self {
            Tool::Nothing | Tool::EmptyProgram | Tool::Ctrace(_) => None,
            Tool::Strace(_) => Some("strace"),
            Tool::PerfTrace(_) => Some("perf"),
            Tool::Bpftrace(_) => Some("bpftrace"),
            Tool::Sysdig => Some("sysdig"),
            Tool::Auditd => Some("auditd"),
        }
    }

    /// Whether it is to record the calls of the loads.
    pub(crate) fn is_asked_for_them(self) -> bool {
        matches!(
            self,
            Tool::Strace([]) | Tool::PerfTrace([]) | Tool::Bpftrace(ALL_CALLS) | Tool::Sysdig | Tool::Auditd
        )
    }

    /// By how much the work is divided: a part of it tells as much where a tool is two orders slower.
    pub(crate) fn divide(self) -> u64 {
        match self {
            Tool::Strace(_) => 50,
            tool if tool.is_asked_for_them() => 20,
            _ => 1,
        }
    }

    /// Starts what has to run beside the load and waits until it records.
    ///
    /// # Errors
    /// Why it does not, in one line.
    pub(crate) fn start(self, dir: &Path) -> Result<Running, String> {
        if let Some(program) = self.program().filter(|program| !is_installed(program)) {
            return Err(format!("{program} is not installed"));
        }
        let begun = Instant::now();
        let output = dir.join("output");
        let _ = std::fs::remove_file(&output);
        let (watcher, output) = match self {
            Tool::Nothing | Tool::Strace(_) => (Watcher::None, output),
            Tool::EmptyProgram => {
                let program = EmptyProgram::attach().map_err(|e| e.to_string())?;
                (Watcher::EmptyProgram { _attached: program }, output)
            }
            Tool::Ctrace(options) => (Watcher::Ctrace(Recording::start(dir, options)), output),
            Tool::Auditd => {
                let auditd = Auditd::start(dir)?;
                let log = auditd.log();
                (Watcher::Auditd(auditd), log)
            }
            _ => (Watcher::Peer(self.peer(dir, &output)?), output),
        };
        Ok(Running {
            tool: self,
            watcher,
            output,
            said: dir.join("said"),
            ready: begun.elapsed(),
        })
    }

    /// A program that writes to a file; ready when that shows a call which was made meanwhile.
    fn peer(self, dir: &Path, output: &Path) -> Result<Process, String> {
        let mut command = Command::new(self.program().unwrap_or_default());
        let file = |path: &Path| File::create(path).map_err(|e| e.to_string());
        match self {
            Tool::PerfTrace(options) => command.args(["trace", "-a", "-o"]).arg(output).args(options),
            Tool::Bpftrace(program) => command.args(["-e", program]).stdout(file(output)?),
            _ => command.args(["-v", "-w"]).arg(output),
        };
        let said = dir.join("said");
        command.stdin(Stdio::null()).stderr(file(&said)?);
        let mut process = Process::start(&mut command, libc::SIGINT).map_err(|e| e.to_string())?;
        let begun = Instant::now();
        while std::fs::metadata(output).map_or(0, |file| file.len()) < GREETING {
            if process.has_ended() || begun.elapsed() > PATIENCE {
                let said = std::fs::read_to_string(&said).unwrap_or_default();
                return Err(said.lines().next().unwrap_or("it writes nothing").to_owned());
            }
            // Enough to fill the buffer before its output.
            load::setns(300);
            std::thread::sleep(Duration::from_millis(5));
        }
        process.is_ready();
        Ok(process)
    }

    /// Whether a line of its output is a call.
    fn is_event(self, line: &[u8]) -> bool {
        match self {
            Tool::Auditd => line.starts_with(b"type=SYSCALL"),
            Tool::PerfTrace(_) => lost_in(line).is_none(),
            Tool::Bpftrace(_) => line.first().is_some_and(u8::is_ascii_digit),
            _ => true,
        }
    }
}

enum Watcher {
    /// Nothing runs beside the load; strace runs it.
    None,
    EmptyProgram {
        _attached: EmptyProgram,
    },
    Ctrace(Recording),
    Peer(Process),
    Auditd(Auditd),
}

/// A tool that watches.
pub(crate) struct Running {
    tool: Tool,
    watcher: Watcher,
    output: PathBuf,
    /// What it said beside its output.
    said: PathBuf,
    /// From its start until it recorded.
    pub(crate) ready: Duration,
}

/// What a recording came to; what cannot be told is missing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) lost: Option<u64>,
    /// From when it was ready to its end.
    pub(crate) cpu: Option<Duration>,
}

impl Running {
    /// The command that runs a load.
    pub(crate) fn wrap(&self, load: &[&OsStr]) -> Command {
        let (program, args) = load.split_first().expect("a program");
        let mut command = match (&self.watcher, self.tool) {
            (_, Tool::Strace(options)) => {
                let mut command = Command::new("strace");
                command.arg("-f").args(options).arg("-o").arg(&self.output).arg(program);
                command
            }
            (Watcher::Auditd(auditd), _) => auditd.wrap(program),
            _ => Command::new(program),
        };
        command.args(args);
        command
    }

    /// Ends it and reads what it wrote; nothing where nothing watched.
    pub(crate) fn end(self) -> Option<Sum> {
        let (lost, cpu) = match self.watcher {
            Watcher::None if self.tool == Tool::Nothing => return None,
            Watcher::EmptyProgram { .. } => return None,
            Watcher::None => (Some(0), None),
            Watcher::Ctrace(recording) => return Some(recording.end()),
            Watcher::Peer(mut process) => (None, Some(process.stop())),
            Watcher::Auditd(auditd) => {
                let (lost, cpu) = auditd.end();
                (Some(lost), Some(cpu))
            }
        };
        let mut sum = match self.tool {
            Tool::Sysdig => of_scap(&self.output, &self.said),
            tool => of_lines(tool, &self.output),
        };
        (sum.lost, sum.cpu) = (lost.or(sum.lost), cpu);
        let _ = std::fs::remove_file(&self.output);
        Some(sum)
    }
}

fn of_lines(tool: Tool, output: &Path) -> Sum {
    let mut sum = Sum {
        lost: Some(0),
        ..Sum::default()
    };
    let Ok(file) = File::open(output) else { return sum };
    let mut lines = BufReader::with_capacity(1 << 20, file);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        sum.events += u64::from(tool.is_event(&line));
        sum.bytes += line.len() as u64;
        sum.lost = sum.lost.map(|lost| lost + lost_in(&line).unwrap_or(0));
        line.clear();
    }
    sum
}

/// `LOST 12 events!` of perf trace, `Lost 12 events` of bpftrace.
fn lost_in(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok()?;
    let (_, count) = text.split_once("LOST ").or_else(|| text.split_once("Lost "))?;
    let (count, _) = count.split_once(" events")?;
    count.parse().ok()
}

/// sysdig counts its own events again, those where a call ended.
fn of_scap(output: &Path, said: &Path) -> Sum {
    let mut sum = Sum {
        bytes: std::fs::metadata(output).map_or(0, |file| file.len()),
        ..Sum::default()
    };
    let read = Command::new("sysdig")
        .arg("-r")
        .arg(output)
        .args(["-p", "%evt.num", "evt.dir=<"])
        .output();
    sum.events = read.map_or(0, |read| read.stdout.split(|byte| *byte == b'\n').count() as u64);
    let said = std::fs::read_to_string(said).unwrap_or_default();
    let drops = said.lines().find_map(|line| line.strip_prefix("Driver Drops:"));
    sum.lost = drops.and_then(|drops| drops.trim().parse().ok());
    sum
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lost = self
            .lost
            .map_or("losses not told".to_owned(), |lost| format!("{lost} lost"));
        let events = self.events as f64;
        match self.events {
            0..100_000 => write!(f, "{} events, {lost}", self.events)?,
            _ => write!(f, "{:.2} M events, {lost}", events / 1e6)?,
        }
        if self.events < 1_000 {
            return Ok(());
        }
        write!(f, ", {:.2} bytes", self.bytes as f64 / events)?;
        match self.cpu {
            Some(cpu) => write!(f, " and {:.2} µs of CPU an event", cpu.as_secs_f64() * 1e6 / events),
            None => write!(f, " an event"),
        }
    }
}

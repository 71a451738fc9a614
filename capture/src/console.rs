//! `record` on a terminal: signals, messages on stderr, exit code. The same for `ctrace record` and `ctrace-recorder`.

use std::io::{self, IsTerminal, Read, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ctrace_trace::segment::Tool;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::record_args::RecordArgs;
use crate::recorder::{Notice, Outcome, RecordError, record};

/// Recorded, and closed in order.
const DONE: u8 = 0;
/// What was asked for does not exist, or the case would be where something else is.
const USAGE: u8 = 2;
/// The environment refuses: no source, no privilege, no room.
const REFUSED: u8 = 4;

/// Records, tells about it on stderr, and gives the process's exit code: 0, 2 or 4.
pub fn run(args: &RecordArgs, name: &str, version: &str) -> u8 {
    let mut stderr = io::stderr();
    let stop = Arc::new(AtomicBool::new(false));
    // Under nohup a hang-up is ignored, and stays so: the recording is to outlive the terminal.
    let hang_up = (!is_ignored(SIGHUP)).then_some(SIGHUP);
    for signal in [SIGINT, SIGTERM].into_iter().chain(hang_up) {
        if let Err(e) = signal_hook::flag::register(signal, stop.clone()) {
            let _ = writeln!(stderr, "{name}: signal {signal} cannot be caught: {e}");
        }
    }
    // A program of a hundred megabytes takes longer to read than the sources to open.
    let digest = std::thread::Builder::new()
        .name("own-digest".to_owned())
        .spawn(own_digest);
    let tool = || Tool {
        name: name.to_owned(),
        version: version.to_owned(),
        digest: digest.ok().and_then(|thread| thread.join().ok()).flatten(),
    };
    let mut console = Console {
        name,
        // What the command writes would run into the line.
        live: stderr.is_terminal() && args.command.is_empty(),
        drawn: false,
    };
    let result = record(args, tool, &stop, &mut |notice| console.tell(&notice));
    console.clear();
    match result {
        Ok(outcome) => {
            console.done(args, &outcome);
            match outcome {
                Outcome {
                    failure: None,
                    unkept: false,
                    ..
                } => DONE,
                _ => REFUSED,
            }
        }
        Err(error) => {
            let _ = writeln!(stderr, "{name}: {error}");
            match error {
                RecordError::Scope(_) => USAGE,
                RecordError::Case(error) if error.is_taken() => USAGE,
                _ => REFUSED,
            }
        }
    }
}

/// Whether this process was started with a signal ignored (`SigIgn` of proc(5): bit 0 is signal 1).
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

/// SHA-256 of the running program, so that a case tells which build made it.
fn own_digest() -> Option<[u8; 32]> {
    use sha2::Digest;
    let mut program = std::fs::File::open("/proc/self/exe").ok()?;
    let (mut hash, mut buffer) = (sha2::Sha256::new(), vec![0; 256 << 10]);
    loop {
        match program.read(&mut buffer) {
            Ok(0) => return Some(hash.finalize().into()),
            Ok(n) => hash.update(buffer.get(..n)?),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

struct Console<'a> {
    name: &'a str,
    /// Whether a line may be drawn over.
    live: bool,
    drawn: bool,
}

impl Console<'_> {
    fn tell(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Progress(summary) if self.live => {
                let _ = write!(
                    io::stderr(),
                    "\r\x1b[K{}: {} events, {:.1} MiB, {} segments",
                    self.name,
                    summary.events,
                    summary.bytes as f64 / 1_048_576.0,
                    summary.segments
                );
                self.drawn = true;
            }
            Notice::Progress(_) => {}
            Notice::Absent(absent) => self.line(&format!("not recorded: {absent}")),
            Notice::Missing(what) => self.line(&format!("this kernel does not tell {what}")),
            Notice::Ready(sources) => self.line(&format!("recording {}", sources.join(", "))),
            Notice::Shed { what: "", reason } => self.line(&format!("{reason}: all is recorded again")),
            Notice::Shed { what, reason } => self.line(&format!("{reason}: left out are {what}")),
            Notice::Awaited(scope) => self.line(&format!(
                "{scope}: no such container runs; it is recorded from its start on"
            )),
            Notice::Stays(what) | Notice::Heard(what) => self.line(what),
            Notice::Forgotten { what, count } => {
                self.line(&format!("{count} {what} were forgotten: there is too much to keep"))
            }
            Notice::Lost { source, count: 0 } => self.line(&format!("{source}: events were lost")),
            Notice::Lost { source, count } => self.line(&format!("{source}: {count} events were lost")),
        }
    }

    fn line(&mut self, text: &str) {
        self.clear();
        // Engines and daemons say why they are gone: nothing of that is for the terminal.
        let text = text.replace('\n', " ").replace(char::is_control, "\u{fffd}");
        let _ = writeln!(io::stderr(), "{}: {text}", self.name);
    }

    fn clear(&mut self) {
        if self.drawn {
            let _ = write!(io::stderr(), "\r\x1b[K");
            self.drawn = false;
        }
    }

    fn done(&mut self, args: &RecordArgs, outcome: &Outcome) {
        if let Some(status) = outcome.command.filter(|s| !s.success()) {
            self.line(&format!("the command ended with {status}"));
        }
        if !args.command.is_empty() && outcome.command.is_none() {
            self.line("the command goes on; it is not recorded any more");
        }
        if let Some(failure) = &outcome.failure {
            self.line(&failure.to_string());
            if failure.is_storage_full() {
                self.line("there is no more room; what was recorded is whole and says what is missing");
            }
        }
        let summary = &outcome.summary;
        let late = match outcome.late {
            0 => String::new(),
            late => format!(", {late} out of order"),
        };
        self.line(&format!(
            "{} events in {}, {:.2} bytes an event, {} lost{late}",
            summary.events,
            args.output.display(),
            summary.bytes as f64 / summary.events.max(1) as f64,
            outcome.lost
        ));
    }
}

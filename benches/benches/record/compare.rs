//! Measures the tools in turns and prints what came out.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::ctrace::Recording;
use crate::load::EVERYDAY;
use crate::process::Process;
use crate::tool::{Running, Sum, Tool};

/// How long nothing is done at a time, to see what the recorder takes by itself.
const QUIET: Duration = Duration::from_secs(1);
/// So often at most, until what ran before the recording is read.
const MOST_QUIET: usize = 30;

/// For how long a load goes on before what an event costs is measured.
const WARM_UP: Duration = Duration::from_secs(1);
/// Rounds of the programs of everyday.
const IN_A_ROW: usize = 5;

/// The loads with and without the tools that are there.
pub(crate) struct Comparison {
    dir: PathBuf,
    rounds: usize,
    /// Groups that are measured one after the other, each with nothing as its first: once the kernel has audited,
    /// processes pay for it ever after.
    groups: Vec<Vec<Tool>>,
    /// How long each start of a tool took until it recorded.
    ready: Vec<(Tool, Duration)>,
}

/// What came out for one tool.
struct Row {
    tool: Tool,
    best: f64,
    sum: Option<Sum>,
}

impl Comparison {
    /// Tries all tools once and says which are left out.
    pub(crate) fn new(dir: &Path, rounds: usize) -> Comparison {
        let mut comparison = Comparison {
            dir: dir.to_owned(),
            rounds,
            groups: vec![Tool::TOGETHER.to_vec(), vec![Tool::Nothing, Tool::Auditd]],
            ready: Vec::new(),
        };
        for group in &mut comparison.groups {
            group.retain(|tool| match tool.start(dir) {
                Ok(_) => true,
                Err(reason) => {
                    println!("SKIP {}: {reason}", tool.name());
                    false
                }
            });
        }
        comparison.groups.retain(|group| group.len() > 1);
        comparison
    }

    /// Without other tools.
    pub(crate) fn only_ctrace(dir: &Path) -> Comparison {
        Comparison {
            dir: dir.to_owned(),
            rounds: 1,
            groups: Vec::new(),
            ready: Vec::new(),
        }
    }

    fn start(&mut self, tool: Tool) -> Running {
        let running = tool.start(&self.dir).unwrap_or_else(|e| panic!("{}: {e}", tool.name()));
        self.ready.push((tool, running.ready));
        running
    }

    /// Measures a load under each tool, in turns, and prints the best time, what that is more than nothing, its ratio to
    /// nothing, what was added in ratio to what ctrace adds, and what the tool made of the last round.
    pub(crate) fn run(&mut self, title: &str, load: &dyn Fn(Tool, &Running) -> f64) {
        println!("\n{title}, best of {}", self.rounds);
        println!(
            "  {:44} {:>9} {:>9} {:>8} {:>9}",
            "", "time", "added", "ratio", "of ctrace"
        );
        let mut of_ctrace = f64::NAN;
        for group in self.groups.clone() {
            let rows = self.turns(&group, load);
            let base = rows.first().map_or(f64::NAN, |row| row.best);
            if let Some(row) = rows.iter().find(|row| row.tool == Tool::ALL_OF_CTRACE) {
                of_ctrace = row.best - base;
            }
            rows.iter().for_each(|row| row.print(base, of_ctrace));
        }
    }

    fn turns(&mut self, group: &[Tool], load: &dyn Fn(Tool, &Running) -> f64) -> Vec<Row> {
        let row = |tool: &Tool| Row {
            tool: *tool,
            best: f64::INFINITY,
            sum: None,
        };
        let mut rows: Vec<Row> = group.iter().map(row).collect();
        for _ in 0..self.rounds {
            for row in &mut rows {
                let running = self.start(row.tool);
                row.best = row.best.min(load(row.tool, &running));
                row.sum = running.end();
            }
        }
        rows
    }

    /// Programs that are started one after the other: how long each takes, and what processor time each costs the tool.
    pub(crate) fn starts(&mut self, starts: u64) {
        println!(
            "\n{starts} program starts: microseconds of each, best of {}",
            self.rounds
        );
        println!("  {:44} {:>9} {:>9} {:>9}", "", "time", "added", "tool CPU");
        let amount = |tool: Tool| (starts / tool.divide().min(10)).max(1);
        for group in self.groups.clone() {
            let rows = self.turns(&group, &|tool, running| {
                own_load(running, "starts", &amount(tool).to_string()) / 1e3
            });
            let base = rows.first().map_or(f64::NAN, |row| row.best);
            for Row { tool, best, sum } in &rows {
                let cpu = sum.as_ref().and_then(|sum| sum.cpu).map_or(String::new(), |cpu| {
                    format!("{:9.1}", cpu.as_secs_f64() * 1e6 / amount(*tool) as f64)
                });
                let sum = sum.as_ref().map_or_else(String::new, Sum::to_string);
                println!("  {:44} {best:9.0} {:+9.0} {cpu:>9}  {sum}", tool.name(), best - base);
            }
        }
    }

    /// One busy process per core: what was done, and what is known of it.
    pub(crate) fn loss(&mut self, busy: Duration) {
        println!("\none busy process per core for {busy:?}");
        let ctrace = [Tool::ALL_OF_CTRACE, Tool::Ctrace(&["--syscalls", "security"])];
        let mut runs = Vec::new();
        for tool in ctrace {
            runs.extend([(tool, "busy-files"), (tool, "busy-mixed")]);
        }
        let peers = self.groups.iter().flatten().filter(|tool| tool.is_asked_for_them());
        runs.extend(peers.map(|tool| (*tool, "busy-files")));
        for (tool, load) in runs {
            let running = self.start(tool);
            let made = busy_load(&running, load, busy);
            if let Some(sum) = running.end() {
                let rate = made as f64 / 1e6 / busy.as_secs_f64();
                println!("  {:44} {load} {rate:6.3} M calls/s: {sum}", tool.name());
            }
        }
    }

    /// Where the recorder's CPU time goes: what it takes once, what it takes every second while nothing happens, and what an
    /// event costs, all threads and all that they wake for included, while a load goes on.
    pub(crate) fn shares(&mut self, busy: Duration) {
        let loads = [
            ("round of find, grep, tar, 300 forks", &["load", "busy-everyday"][..]),
            ("start of programs on every core", &["load", "every-core", "busy-forks"]),
        ];
        for (step, load) in loads {
            println!("\nrecorder CPU with one {step} after the other for {busy:?}");
            for set in ["all", "security"] {
                self.share(set, load, busy);
            }
        }
    }

    fn share(&self, set: &str, load: &[&str], busy: Duration) {
        let recording = Recording::start(&self.dir, &["--syscalls", set]);
        let start = recording.cpu();
        let idle = settle(&recording);
        let quiet = recording.cpu();
        // Programs that were not seen before are read, and memory is taken.
        let (first, of_first) = step(&recording, load, WARM_UP);
        let (times, of_load) = step(&recording, load, busy);
        let after = recording.cpu();
        let sum = recording.end();
        let end = sum.cpu.unwrap_or_default().saturating_sub(after - start);
        // Each does the same, and makes as many events.
        let events = sum.events as f64 * times as f64 / (first + times).max(1) as f64;
        println!(
            "  {:44} start {start:.0?}, then {:.0?}, idle {:.1?} a second, end {end:.0?}; the first {first} {:.1?} each",
            format!("ctrace --syscalls {set}"),
            quiet - start,
            idle.div_f64(QUIET.as_secs_f64()),
            of_first.div_f64(first.max(1) as f64),
        );
        println!(
            "  {:44} {times} later {:.1?} each, {:.2} us an event",
            "",
            of_load.div_f64(times.max(1) as f64),
            of_load.as_secs_f64() * 1e6 / events.max(1.0),
        );
        println!("  {:44} {sum}, with its end", "");
    }

    /// How long the recorder takes until it records where many processes run: it reads each of them first.
    pub(crate) fn crowd(&self) {
        println!("\nready to record beside so many more processes: milliseconds, median of 5, and CPU time");
        let mut sleeping = Vec::new();
        for many in [0, 1000, 3000] {
            sleeping.resize_with(many, || {
                Process::start(Command::new("sleep").arg("3600"), libc::SIGKILL).expect("runs")
            });
            let mut starts: Vec<_> = (0..5)
                .map(|_| {
                    let begun = Instant::now();
                    let recording = Recording::start(&self.dir, &["--syscalls", "security"]);
                    (begun.elapsed(), recording.cpu())
                })
                .collect();
            starts.sort();
            let (took, cpu) = starts[starts.len() / 2];
            println!(
                "  {many:44} {:9.0} {:9.0}",
                took.as_secs_f64() * 1e3,
                cpu.as_secs_f64() * 1e3
            );
        }
    }

    /// How long the tools took until they recorded.
    pub(crate) fn ready(&self) {
        println!(
            "\nready to record: milliseconds, median of all starts (ctrace says so; others when they wrote something)"
        );
        for tool in self.groups.iter().flatten() {
            let starts = self.ready.iter().filter(|(of, _)| of == tool);
            let mut times: Vec<f64> = starts.map(|(_, took)| took.as_secs_f64() * 1e3).collect();
            times.sort_by(f64::total_cmp);
            match times.get(times.len() / 2) {
                Some(median) if !matches!(tool, Tool::Nothing | Tool::EmptyProgram | Tool::Strace(_)) => {
                    println!("  {:44} {median:9.0}", tool.name());
                }
                _ => {}
            }
        }
    }
}

impl Row {
    fn print(&self, base: f64, of_ctrace: f64) {
        let (added, ratio) = (self.best - base, self.best / base);
        let sum = self.sum.as_ref().map_or_else(String::new, Sum::to_string);
        let ratios = match self.tool {
            Tool::Nothing => " ".repeat(18),
            _ => format!("x{ratio:<7.2} x{:<8.2}", added / of_ctrace),
        };
        println!(
            "  {:44} {:9.0} {added:+9.0} {ratios}  {sum}",
            self.tool.name(),
            self.best
        );
    }
}

fn this_program() -> PathBuf {
    std::env::current_exe().expect("a path")
}

/// Nanoseconds of a call of a load that is part of this program.
pub(crate) fn own_load(running: &Running, load: &str, amount: &str) -> f64 {
    let myself = this_program();
    let load = [myself.as_os_str(), "load".as_ref(), load.as_ref(), amount.as_ref()];
    let out = running.wrap(&load).output().expect("runs");
    number(&out.stdout).expect("nanoseconds")
}

fn number(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// How many calls busy processes made, one per core.
fn busy_load(running: &Running, load: &str, busy: Duration) -> u64 {
    let (myself, seconds) = (this_program(), busy.as_secs().to_string());
    let load = ["load", "every-core", load, &seconds].map(OsStr::new);
    let words: Vec<&OsStr> = std::iter::once(myself.as_os_str()).chain(load).collect();
    let out = running.wrap(&words).output().expect("runs");
    number(&out.stdout).expect("a number of calls") as u64
}

/// Runs a load of this program for some seconds; says how often it did what it does.
fn own_number(load: &[&str], busy: Duration) -> u64 {
    let seconds = busy.as_secs().max(1).to_string();
    let out = Command::new(this_program()).args(load).arg(&seconds).output();
    number(&out.expect("runs").stdout).expect("a number") as u64
}

/// Milliseconds of a shell that runs the programs of everyday, of several one after the other: of what a recorder takes once,
/// at its end above all, an event bears less then.
pub(crate) fn shell_load(running: &Running) -> f64 {
    let script = [EVERYDAY; IN_A_ROW].join("; ");
    let begun = Instant::now();
    let mut command = running.wrap(&["sh".as_ref(), "-c".as_ref(), script.as_ref()]);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("sh runs");
    begun.elapsed().as_secs_f64() * 1e3 / IN_A_ROW as f64
}

/// Does something for so long while it is recorded; says how often, and what the recorder took for it.
fn step(recording: &Recording, load: &[&str], busy: Duration) -> (u64, Duration) {
    let before = recording.cpu();
    let times = own_number(load, busy);
    // What waits is written within a second.
    std::thread::sleep(Duration::from_secs(1));
    (times, recording.cpu() - before)
}

/// Waits until the recorder takes no less than before, since it has read what ran before the recording; says what it took of
/// the last [`QUIET`].
fn settle(recording: &Recording) -> Duration {
    let (mut taken, mut last) = (recording.cpu(), Duration::from_secs(3600));
    for _ in 0..MOST_QUIET {
        std::thread::sleep(QUIET);
        let now = recording.cpu();
        let of_this = now - taken;
        if of_this >= last.mul_f64(0.9) {
            return of_this;
        }
        (taken, last) = (now, of_this);
    }
    last
}

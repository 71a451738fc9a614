//! What recording costs, side by side: `cargo bench -p ctrace-benches --bench record`, as root.
//!
//! This program is also the recorder and the loads that it measures: it runs itself with the name of the part.
#![allow(missing_docs, reason = "a measuring program, not an interface")]

mod load;
mod tool;

use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use tool::{Recording, Sum, Tool};

/// Rounds of each measure; the tools take turns in each, so that a busy moment of the machine meets all of them.
const ROUNDS: usize = 5;
/// How long the cores are kept busy to see whether events are lost.
const BUSY: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["recorder", ..] => tool::record(&args),
        ["load", name, amount] => load::run(name, amount),
        _ => {
            // SAFETY: no preconditions.
            if unsafe { libc::geteuid() } != 0 {
                eprintln!("SKIP record: needs root");
                return ExitCode::SUCCESS;
            }
            // Without `--bench` it is a test that only tries whether all of it runs.
            let quick = args.iter().any(|a| a == "--quick") || !args.iter().any(|a| a == "--bench");
            measure(if quick {
                (2, Duration::from_secs(2), 20)
            } else {
                (ROUNDS, BUSY, 1)
            });
            ExitCode::SUCCESS
        }
    }
}

fn measure((rounds, busy, divide): (usize, Duration, u64)) {
    let dir = tempfile::tempdir_in("/var/tmp").expect("a folder in /var/tmp");
    println!("{} CPUs, kernel {}", cpus(), kernel());
    ready(dir.path());
    for (load, calls, unit) in [("getppid", 2_000_000 / divide, 1), ("files", 200_000 / divide, 5)] {
        println!("\n{load}: nanoseconds a syscall, best of {rounds}");
        let amount = (calls * unit).to_string();
        // strace is two orders slower: a part of the work tells as much.
        let less = (calls * unit / 50).to_string();
        compare(dir.path(), rounds, &|tool| {
            let amount = if *tool == Tool::Strace { &less } else { &amount };
            own_load(tool, load, amount)
        });
    }
    println!("\nfind, grep, tar, 300 forks: milliseconds, best of {rounds}");
    compare(dir.path(), rounds, &shell_load);
    loss(dir.path(), busy);
}

/// Measures each tool `rounds` times, in turns, and prints the best time, its difference to nothing and their ratio; of
/// the recorder also what it made of the last round.
fn compare(dir: &Path, rounds: usize, run: &dyn Fn(&Tool) -> f64) {
    let mut best = [f64::INFINITY; Tool::ALL.len()];
    let mut sums = [const { None }; Tool::ALL.len()];
    for _ in 0..rounds {
        for ((tool, best), sum) in Tool::ALL.iter().zip(&mut best).zip(&mut sums) {
            let recording = tool.start(dir);
            *best = best.min(run(tool));
            *sum = recording.map(Recording::end);
        }
    }
    for ((tool, time), sum) in Tool::ALL.iter().zip(&best).zip(&sums) {
        let (added, ratio) = (time - best[0], time / best[0]);
        let sum = sum.as_ref().map_or_else(String::new, Sum::to_string);
        println!("  {:22} {time:8.0}  {added:+9.0}  x{ratio:<6.2}  {sum}", tool.name());
    }
}

fn own_load(tool: &Tool, load: &str, amount: &str) -> f64 {
    let myself = std::env::current_exe().expect("a path");
    let mut command = tool.wrap(&[myself.as_os_str(), "load".as_ref(), load.as_ref(), amount.as_ref()]);
    let out = command.output().expect("runs");
    String::from_utf8_lossy(&out.stdout)
        .trim()
        .parse()
        .expect("nanoseconds")
}

const WORKLOAD: &str = "find /usr/share >/dev/null; grep -r ctrace /usr/include >/dev/null; \
    tar -C /usr/share/doc -c . | cat >/dev/null; i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done";

fn shell_load(tool: &Tool) -> f64 {
    let begun = Instant::now();
    let mut command = tool.wrap(&["sh".as_ref(), "-c".as_ref(), WORKLOAD.as_ref()]);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("sh runs");
    begun.elapsed().as_secs_f64() * 1e3
}

/// From the start of the program to its first event.
fn ready(dir: &Path) {
    let times = (0..5).map(|_| {
        let begun = Instant::now();
        let recording = Recording::start(dir, "all");
        let took = begun.elapsed();
        drop(recording);
        took.as_secs_f64() * 1e3
    });
    println!("ready to record after {:.0} ms, median of 5", median(times.collect()));
}

/// One busy process per core.
fn loss(dir: &Path, busy: Duration) {
    println!("\none busy process per core for {busy:?}");
    for set in ["all", "security"] {
        for load in ["busy-files", "busy-mixed"] {
            let recording = Recording::start(dir, set);
            let myself = std::env::current_exe().expect("a path");
            let start = |_| {
                Command::new(&myself)
                    .args(["load", load, &busy.as_secs().to_string()])
                    .spawn()
            };
            let children: Vec<_> = (0..cpus()).map(start).collect();
            for child in children {
                child.expect("runs").wait().expect("ends");
            }
            let end = recording.end();
            let rate = end.events as f64 / 1e6 / busy.as_secs_f64();
            println!("  {load} {set:9} {rate:.2} M/s: {end}");
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn kernel() -> String {
    let text = std::io::read_to_string(File::open("/proc/sys/kernel/osrelease").expect("Linux"));
    text.expect("text").trim().to_owned()
}

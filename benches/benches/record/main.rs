//! What recording costs, side by side: `cargo bench -p ctrace-benches --bench record`, as root.
//!
//! This program is also the recorder and the loads that it measures: it runs itself with the name of the part.
#![allow(missing_docs, reason = "a measuring program, not an interface")]

mod auditd;
mod compare;
mod ctrace;
mod load;
mod process;
mod tool;

use std::fs::File;
use std::process::ExitCode;
use std::time::Duration;

use compare::Comparison;

/// Rounds of each measure; the tools take turns in each, so that a busy moment of the machine meets all of them.
const ROUNDS: usize = 5;
/// How long the cores are kept busy to see whether events are lost.
const BUSY: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["recorder", ..] => ctrace::record(&args),
        ["load", "every-core", name, amount] => load::on_every_core(name, amount),
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
                (2, Duration::from_secs(5), 20)
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
    let mut comparison = Comparison::new(dir.path(), rounds);
    for (load, calls) in [("getppid", 2_000_000 / divide), ("files", 1_000_000 / divide)] {
        let amount = |tool: tool::Tool| (calls / tool.divide()).to_string();
        comparison.run(&format!("{load}: nanoseconds a syscall"), &|tool, running| {
            compare::own_load(running, load, &amount(tool))
        });
    }
    comparison.run("find, grep, tar, 300 forks: milliseconds", &|_, running| {
        compare::shell_load(running)
    });
    comparison.loss(busy);
    comparison.ready();
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn kernel() -> String {
    let text = std::io::read_to_string(File::open("/proc/sys/kernel/osrelease").expect("Linux"));
    text.expect("text").trim().to_owned()
}

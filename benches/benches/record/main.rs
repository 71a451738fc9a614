//! What recording costs, side by side: `cargo bench -p ctrace-benches --bench record`, as root.
//!
//! This program is also the recorder and the loads that it measures: it runs itself with the name of the part.
#![allow(missing_docs, reason = "a measuring program, not an interface")]

mod auditd;
mod compare;
mod ctrace;
mod empty_program;
mod load;
mod process;
mod tool;

use std::fs::File;
use std::path::Path;
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
            let dir = tempfile::tempdir_in("/var/tmp").expect("a folder in /var/tmp");
            let asked = |option: &str| args.iter().any(|a| a == option);
            if asked("--starts") {
                Comparison::new(dir.path(), Scale::QUICK.rounds).starts(2_000);
                return ExitCode::SUCCESS;
            }
            if asked("--shares") {
                let scale = if asked("--quick") { Scale::QUICK } else { Scale::WHOLE };
                Comparison::only_ctrace(dir.path()).shares(scale.busy);
                return ExitCode::SUCCESS;
            }
            if asked("--crowd") {
                Comparison::only_ctrace(dir.path()).crowd();
                return ExitCode::SUCCESS;
            }
            let scale = if !asked("--bench") {
                Scale::TRIAL
            } else if asked("--quick") {
                Scale::QUICK
            } else {
                Scale::WHOLE
            };
            if asked("--calls") {
                calls(&mut Comparison::new(dir.path(), scale.rounds), scale.divide);
                return ExitCode::SUCCESS;
            }
            if asked("--loss") {
                Comparison::new(dir.path(), scale.rounds).loss(scale.busy);
                return ExitCode::SUCCESS;
            }
            measure(dir.path(), scale);
            ExitCode::SUCCESS
        }
    }
}

/// How much is done.
struct Scale {
    rounds: usize,
    /// How long each core is kept busy.
    busy: Duration,
    /// By what the number of calls is divided.
    divide: u64,
    /// Whether programs are run too: minutes under some of the peers.
    programs: bool,
}

impl Scale {
    const WHOLE: Scale = Scale {
        rounds: ROUNDS,
        busy: BUSY,
        divide: 1,
        programs: true,
    };
    const QUICK: Scale = Scale {
        rounds: 2,
        busy: Duration::from_secs(5),
        divide: 20,
        programs: true,
    };
    /// A test that only tries whether everything starts.
    const TRIAL: Scale = Scale {
        rounds: 1,
        busy: Duration::from_millis(500),
        divide: 1_000,
        programs: false,
    };
}

fn measure(dir: &Path, scale: Scale) {
    let Scale {
        rounds,
        busy,
        divide,
        programs,
    } = scale;
    println!("{} CPUs, kernel {}", cpus(), kernel());
    let mut comparison = Comparison::new(dir, rounds);
    calls(&mut comparison, divide);
    if programs {
        comparison.run("find, grep, tar, 300 forks: milliseconds of a round", &|_, running| {
            compare::shell_load(running)
        });
    }
    comparison.starts(20_000 / divide.max(5));
    comparison.shares(busy);
    comparison.loss(busy);
    comparison.ready();
}

/// What a call costs whoever makes it.
fn calls(comparison: &mut Comparison, divide: u64) {
    for (load, calls) in [("getppid", 2_000_000 / divide), ("files", 1_000_000 / divide)] {
        let amount = |tool: tool::Tool| (calls / tool.divide()).to_string();
        comparison.run(&format!("{load}: nanoseconds a syscall"), &|tool, running| {
            compare::own_load(running, load, &amount(tool))
        });
    }
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn kernel() -> String {
    let text = std::io::read_to_string(File::open("/proc/sys/kernel/osrelease").expect("Linux"));
    text.expect("text").trim().to_owned()
}

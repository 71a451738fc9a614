//! Measures what recording costs on this host: `cargo run --release -p ctrace-capture --example syscall_cost`.
//!
//! Needs root. Prints load time, verifier cost, added nanoseconds per syscall, and throughput with busy workers.
#![allow(missing_docs, reason = "a measuring program, not an interface")]

use std::{
    fs::File,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ctrace_capture::syscall::{Config, OpenError, SyscallSource};
use ctrace_wire::spec::{Capture, RESULT, SyscallSpec};

const CALLS: u32 = 1_000_000;
const ROUNDS: usize = 7;
const POLL_EVERY: Duration = Duration::from_millis(5);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("syscall_cost: {error}");
            ExitCode::from(4)
        }
    }
}

fn run() -> Result<(), OpenError> {
    let plain = specs(|_| Some(SyscallSpec::PLAIN));
    let started = Instant::now();
    let source = SyscallSource::open(&config(plain.clone()))?;
    println!("load and attach {:?}", started.elapsed());
    for missing in source.missing() {
        println!("missing: {missing}");
    }
    for cost in source.program_costs() {
        let verified = cost
            .verified_instructions
            .map_or("?".to_owned(), |count| count.to_string());
        println!(
            "  {:14} {verified:>7} instructions verified, {:>6} bytes of machine code",
            cost.name, cost.jited_bytes
        );
    }
    drop(source);

    let base = (per_call(getppid), per_call(open_close));
    println!("base: getppid {:.0} ns, openat+close {:.0} ns", base.0, base.1);
    let cases: [(&str, Vec<SyscallSpec>); 4] = [
        ("nothing selected", Vec::new()),
        ("all, arguments only", plain),
        ("all, with strings and file objects", specs(|nr| Some(full(nr)))),
        (
            "the same, with the entry program for exit_group",
            specs(|nr| Some(with_entry(nr))),
        ),
    ];
    for (name, specs) in cases {
        let mut recording = Recording::start(specs)?;
        let costs = (per_call(getppid), per_call(open_close));
        let lost = recording.stop();
        println!(
            "{name}: getppid +{:.0} ns (x{:.2}), openat+close +{:.0} ns (x{:.2}), {lost} lost",
            costs.0 - base.0,
            costs.0 / base.0,
            costs.1 - base.1,
            costs.1 / base.1,
        );
    }
    execs()?;
    throughput("getppid", specs(|_| Some(SyscallSpec::PLAIN)), getppid)?;
    throughput(
        "openat+close, with strings and file objects",
        specs(|nr| Some(full(nr))),
        open_close,
    )
}

fn config(specs: Vec<SyscallSpec>) -> Config {
    // The measured calls are this process's own.
    Config {
        specs,
        self_tgid: 0,
        ..Config::default()
    }
}

fn specs(of: impl Fn(i64) -> Option<SyscallSpec>) -> Vec<SyscallSpec> {
    (0..512).map(|nr| of(nr).unwrap_or_default()).collect()
}

fn full(nr: i64) -> SyscallSpec {
    match nr {
        libc::SYS_openat => SyscallSpec::PLAIN.with(&[Capture::string(1)]).file(RESULT),
        _ => SyscallSpec::PLAIN,
    }
}

fn with_entry(nr: i64) -> SyscallSpec {
    if nr == libc::SYS_exit_group {
        full(nr).enter()
    } else {
        full(nr)
    }
}

fn getppid() {
    // SAFETY: no preconditions.
    unsafe { libc::getppid() };
}

fn open_close() {
    drop(File::open("/etc/passwd"));
}

/// What a start of a program costs with environments of some sizes; no syscall is recorded.
fn execs() -> Result<(), OpenError> {
    const SIZES: [usize; 4] = [500, 3_000, 8_000, 100_000];
    let time = |size: usize| {
        let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| start_programs(size)).collect();
        rounds.sort_by(f64::total_cmp);
        rounds[0]
    };
    let base = SIZES.map(time);
    let mut recording = Recording::start(Vec::new())?;
    let with = SIZES.map(time);
    let lost = recording.stop();
    for ((size, base), with) in SIZES.iter().zip(base).zip(with) {
        let added = with - base;
        println!("fork, exec and end with {size} bytes of environment: {base:.1} µs, {added:+.1} µs, {lost} lost");
    }
    Ok(())
}

/// Microseconds that a program takes from its fork to its end.
fn start_programs(environment: usize) -> f64 {
    const STARTS: u32 = 200;
    let variables = (0..environment / 50).map(|i| (format!("VARIABLE{i:06}"), "v".repeat(34)));
    let variables: Vec<_> = variables.collect();
    let started = Instant::now();
    for _ in 0..STARTS {
        let mut command = std::process::Command::new("/bin/true");
        command
            .env_clear()
            .envs(variables.iter().map(|(name, value)| (name, value)));
        if let Err(error) = command.status() {
            eprintln!("/bin/true: {error}");
        }
    }
    started.elapsed().as_secs_f64() * 1e6 / f64::from(STARTS)
}

/// The median over the rounds of the mean time of a call.
fn per_call(call: fn()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let calls = CALLS / 10;
            let started = Instant::now();
            (0..calls).for_each(|_| call());
            started.elapsed().as_nanos() as f64 / f64::from(calls)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

/// A source polled by a thread of its own.
struct Recording {
    stop: Arc<AtomicBool>,
    reader: Option<thread::JoinHandle<(u64, Duration)>>,
    seen: Arc<AtomicU64>,
}

impl Recording {
    fn start(specs: Vec<SyscallSpec>) -> Result<Self, OpenError> {
        let mut source = SyscallSource::open(&config(specs))?;
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(AtomicU64::new(0));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&seen));
        let reader = thread::spawn(move || {
            let mut busy = Duration::ZERO;
            while !stopped.load(Ordering::Relaxed) {
                let started = Instant::now();
                let records = source.poll(&mut |record| {
                    std::hint::black_box(&record);
                });
                busy += started.elapsed();
                count.fetch_add(records as u64, Ordering::Relaxed);
                thread::sleep(POLL_EVERY);
            }
            source.detach();
            while source.poll(&mut |_| {}) > 0 {}
            let lost = source
                .totals()
                .map(|totals| totals.iter().map(|cpu| cpu.lost).sum())
                .unwrap_or(u64::MAX);
            (lost, busy)
        });
        Ok(Self {
            stop,
            reader: Some(reader),
            seen,
        })
    }

    /// Records lost.
    fn stop(&mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let outcome = self.reader.take().and_then(|reader| reader.join().ok());
        let (lost, busy) = outcome.unwrap_or_default();
        let seen = self.seen.load(Ordering::Relaxed);
        if seen > u64::from(CALLS) {
            println!("  reader: {} ns a record", busy.as_nanos() / u128::from(seen));
        }
        lost
    }
}

fn throughput(name: &str, specs: Vec<SyscallSpec>, call: fn()) -> Result<(), OpenError> {
    let mut recording = Recording::start(specs)?;
    let started = Instant::now();
    let before = recording.seen.load(Ordering::Relaxed);
    let workers: Vec<_> = (0..3)
        .map(|_| thread::spawn(move || (0..CALLS).for_each(|_| call())))
        .collect();
    for worker in workers {
        let _ = worker.join();
    }
    let elapsed = started.elapsed();
    let seen = recording.seen.load(Ordering::Relaxed) - before;
    let lost = recording.stop();
    println!(
        "3 workers, {name}: {:.2} M records/s, {lost} lost",
        seen as f64 / elapsed.as_secs_f64() / 1e6
    );
    Ok(())
}

//! What is recorded: loops of system calls that tell what a call cost them.

use std::ffi::CStr;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// A file that is there on every host.
const FILE: &CStr = c"/etc/passwd";

/// What a shell does all day: many files once, some programs after another, and many short ones.
pub(crate) const EVERYDAY: &str = "find /usr/share >/dev/null; grep -r ctrace /usr/include >/dev/null; \
    tar -C /usr/share/doc -c . | cat >/dev/null; i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done";

/// Calls are made in so many bursts, of which the one counts that was disturbed least: by what else runs, the host of a virtual
/// machine, and the recorder where there is no core for it.
const BURSTS: u64 = 40;

/// Runs a load: so many calls, which prints the nanoseconds of one; or for so many seconds, which prints their number.
pub(crate) fn run(name: &str, amount: &str) -> ExitCode {
    let amount: u64 = amount.parse().expect("a number");
    let begun = Instant::now();
    match name {
        "getppid" => println!("{}", least(amount, getppid)),
        "files" => println!("{}", least(amount / 5, file) / 5.0),
        "busy-files" => println!("{}", 5 * busy(amount, file)),
        "busy-forks" => println!("{}", busy_forks(amount)),
        "busy-everyday" => println!("{}", repeat(amount, || shell(EVERYDAY))),
        "starts" => {
            start_programs(amount);
            println!("{}", begun.elapsed().as_nanos() as f64 / amount as f64);
        }
        "busy-mixed" => {
            let steps = busy(amount, || {
                file();
                (0..5).for_each(|_| getppid());
            });
            println!("{}", 10 * steps);
        }
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}

/// Runs a load once on every core and prints the sum of what they print.
pub(crate) fn on_every_core(name: &str, amount: &str) -> ExitCode {
    let myself = std::env::current_exe().expect("a path");
    let start = |_| {
        let mut command = Command::new(&myself);
        command.args(["load", name, amount]).stdout(Stdio::piped());
        command.spawn().expect("runs")
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let children: Vec<_> = (0..cores).map(start).collect();
    let ended = children
        .into_iter()
        .map(|child| child.wait_with_output().expect("ends"));
    let printed = ended.filter_map(|out| String::from_utf8(out.stdout).ok()?.trim().parse::<u64>().ok());
    println!("{}", printed.sum::<u64>());
    ExitCode::SUCCESS
}

/// Nanoseconds of a step in the fastest burst of so many steps.
fn least(steps: u64, mut step: impl FnMut()) -> f64 {
    let each = (steps / BURSTS).max(1);
    let bursts = (0..BURSTS).map(|_| {
        let begun = Instant::now();
        (0..each).for_each(|_| step());
        begun.elapsed().as_nanos() as f64 / each as f64
    });
    bursts.fold(f64::INFINITY, f64::min)
}

/// Repeats a step for so many seconds and counts; looks at the clock after each hundred.
fn busy(seconds: u64, mut step: impl FnMut()) -> u64 {
    100 * repeat(seconds, || (0..100).for_each(|_| step()))
}

/// Repeats what takes long for so many seconds and counts.
fn repeat(seconds: u64, mut long: impl FnMut()) -> u64 {
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut done = 0;
    while Instant::now() < end {
        long();
        done += 1;
    }
    done
}

/// Has a shell start programs one after the other.
fn start_programs(many: u64) {
    shell(&format!("i=0; while [ $i -lt {many} ]; do /bin/true; i=$((i+1)); done"));
}

fn shell(script: &str) {
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).stdout(Stdio::null()).stderr(Stdio::null());
    shell.status().expect("sh runs");
}

/// Has shells start programs one after the other for so many seconds, and counts these.
fn busy_forks(seconds: u64) -> u64 {
    const MANY: u64 = 50;
    MANY * repeat(seconds, || start_programs(MANY))
}

/// Calls that every tool is asked for, to see whether it records. Each fails.
pub(crate) fn setns(calls: u64) {
    // SAFETY: there is no such descriptor.
    (0..calls).for_each(|_| unsafe {
        libc::setns(-1, 0);
    });
}

fn getppid() {
    // SAFETY: no preconditions. Not libc's wrapper, so that nothing may be kept.
    unsafe { libc::syscall(libc::SYS_getppid) };
}

/// Five calls: open, stat, read, read again, close.
fn file() {
    let mut buffer = [0_u8; 4096];
    // SAFETY: the name ends with NUL, and buffer and stat are as large as is said.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        let fd = libc::open(FILE.as_ptr(), libc::O_RDONLY);
        libc::fstat(fd, &raw mut stat);
        libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len());
        libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len());
        libc::close(fd);
    }
}

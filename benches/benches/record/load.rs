//! What is recorded: loops of system calls that tell what a call cost them.

use std::ffi::CStr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// A file that is there on every host.
const FILE: &CStr = c"/etc/passwd";

/// Runs a load: so many calls, or for so many seconds. Prints the nanoseconds of one call.
pub(crate) fn run(name: &str, amount: &str) -> ExitCode {
    let amount: u64 = amount.parse().expect("a number");
    let begun = Instant::now();
    match name {
        "getppid" => (0..amount).for_each(|_| getppid()),
        "files" => (0..amount / 5).for_each(|_| file()),
        "busy-files" => busy(amount, file),
        "busy-mixed" => busy(amount, || {
            file();
            (0..5).for_each(|_| getppid());
        }),
        _ => return ExitCode::from(2),
    }
    if !name.starts_with("busy") {
        println!("{}", begun.elapsed().as_nanos() as f64 / amount as f64);
    }
    ExitCode::SUCCESS
}

fn busy(seconds: u64, mut step: impl FnMut()) {
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        (0..100).for_each(|_| step());
    }
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

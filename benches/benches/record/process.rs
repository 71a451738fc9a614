//! Programs that run beside a load, and the CPU time that they take.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command};
use std::time::Duration;

/// A program that is stopped when dropped.
pub(crate) struct Process {
    child: Child,
    /// What tells it to end.
    signal: i32,
    ended: bool,
    /// CPU time that it had taken when it was ready.
    start: Duration,
}

impl Process {
    /// Starts it. It is told to end also when this program is killed.
    pub(crate) fn start(command: &mut Command, signal: i32) -> std::io::Result<Process> {
        let until_then = move || {
            // SAFETY: no preconditions.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) };
            Ok(())
        };
        // SAFETY: the closure makes one system call and touches no memory.
        let child = unsafe { command.pre_exec(until_then) }.spawn()?;
        Ok(Process {
            child,
            signal,
            ended: false,
            start: Duration::ZERO,
        })
    }

    /// What it says on a pipe.
    pub(crate) fn stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// CPU time counts from now on.
    pub(crate) fn is_ready(&mut self) {
        self.start = cpu_of(self.child.id());
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.ended = self.ended || !matches!(self.child.try_wait(), Ok(None));
        self.ended
    }

    /// Tells it to end, waits for its end and gives the CPU time that it took since it was ready.
    pub(crate) fn stop(&mut self) -> Duration {
        if std::mem::replace(&mut self.ended, true) {
            return Duration::ZERO;
        }
        let pid = self.child.id() as i32;
        // SAFETY: the pid is a child's that was not waited for; status and usage live through the call.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            let mut status = 0;
            libc::kill(pid, self.signal);
            if libc::wait4(pid, &raw mut status, 0, &raw mut usage) != pid {
                return Duration::ZERO;
            }
            usage
        };
        let times = [usage.ru_utime, usage.ru_stime];
        let took: Duration = times
            .map(|t| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000))
            .iter()
            .sum();
        took.saturating_sub(self.start)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// CPU time of all threads that a process ever had.
pub(crate) fn cpu_of(pid: u32) -> Duration {
    let (mut clock, mut time) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
    // SAFETY: both structures live through the calls.
    let told = unsafe {
        libc::clock_getcpuclockid(pid as libc::pid_t, &raw mut clock) == 0
            && libc::clock_gettime(clock, &raw mut time) == 0
    };
    assert!(told, "a process that runs");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Where a program is found, as a shell and as root's shell would.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/sbin"])
        .any(|dir| Path::new(dir).join(program).is_file())
}

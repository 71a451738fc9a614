//! The command that is recorded while it runs.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::process::{Child, Command, ExitStatus};

/// A running command. Dropped, it goes on: a recorder that fails must not take the observed program with it.
pub(super) struct Observed {
    child: Child,
    /// Readable when it has ended; Linux 5.3 and later have it.
    end: Option<OwnedFd>,
}

impl Observed {
    /// Starts a command; its name is looked up in PATH. Standard streams are inherited.
    pub(super) fn start(command: &[OsString]) -> Option<io::Result<Observed>> {
        let (program, arguments) = command.split_first()?;
        Some(Command::new(program).args(arguments).spawn().map(|child| Observed {
            end: pidfd(child.id()),
            child,
        }))
    }

    /// Becomes readable when it ends.
    pub(super) fn end(&self) -> Option<BorrowedFd<'_>> {
        self.end.as_ref().map(AsFd::as_fd)
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }
}

/// A descriptor of a child, which cannot be another process before it is waited for.
fn pidfd(pid: u32) -> Option<OwnedFd> {
    // SAFETY: the call takes two numbers and touches no memory.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: a new descriptor, which nobody else has.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

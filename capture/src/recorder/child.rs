//! The command that is recorded while it runs.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
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

    /// Whether there is such a command, so that nothing is begun for one that is mistyped.
    pub(super) fn find(command: &[OsString]) -> io::Result<()> {
        let Some(program) = command.first() else {
            return Ok(());
        };
        if program.as_bytes().contains(&b'/') {
            return executable(Path::new(program));
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        // As the C library: one that may not be executed says more than one that is not there.
        let mut refusal = io::Error::from_raw_os_error(libc::ENOENT);
        for dir in std::env::split_paths(&path) {
            match executable(&dir.join(program)) {
                Ok(()) => return Ok(()),
                Err(error) if refusal.kind() == io::ErrorKind::NotFound => refusal = error,
                Err(_) => {}
            }
        }
        Err(refusal)
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

fn executable(file: &Path) -> io::Result<()> {
    let file = std::fs::metadata(file)?;
    if file.is_file() && file.permissions().mode() & 0o111 != 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::EACCES))
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

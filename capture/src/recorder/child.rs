//! The command that is recorded while it runs.

use std::ffi::OsString;
use std::io;
use std::process::{Child, Command, ExitStatus};

/// A running command. Dropped, it goes on: a recorder that fails must not take the observed program with it.
pub(super) struct Observed {
    child: Child,
}

impl Observed {
    /// Starts a command; its name is looked up in PATH. Standard streams are inherited.
    pub(super) fn start(command: &[OsString]) -> Option<io::Result<Observed>> {
        let (program, arguments) = command.split_first()?;
        Some(
            Command::new(program)
                .args(arguments)
                .spawn()
                .map(|child| Observed { child }),
        )
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }
}

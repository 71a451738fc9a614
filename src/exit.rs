//! Exit codes, and how an error becomes one.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// Done; nothing found.
pub(crate) const DONE: u8 = 0;
/// Findings: alerts, differences.
pub(crate) const FINDINGS: u8 = 1;
/// Wrong usage, or rules and statements that are wrong.
pub(crate) const USAGE: u8 = 2;
/// Damaged input; what could be read was used.
pub(crate) const DAMAGED: u8 = 3;
/// The environment refuses: no privilege, no kernel feature, no such file, disk full.
pub(crate) const REFUSED: u8 = 4;

/// An error whose exit code is not [`REFUSED`].
#[derive(Debug)]
pub(crate) struct Coded {
    code: u8,
    error: anyhow::Error,
}

impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

impl std::error::Error for Coded {}

/// Gives an error the exit code of wrong usage.
pub(crate) fn usage(error: impl Into<anyhow::Error>) -> anyhow::Error {
    Coded {
        code: USAGE,
        error: error.into(),
    }
    .into()
}

/// Gives an error the exit code of damaged input.
pub(crate) fn damaged(error: impl Into<anyhow::Error>) -> anyhow::Error {
    Coded {
        code: DAMAGED,
        error: error.into(),
    }
    .into()
}

/// Prints the error, if there is one, and gives the process's exit code.
pub(crate) fn code(result: anyhow::Result<u8>) -> ExitCode {
    let error = match result {
        Ok(code) => return ExitCode::from(code),
        Err(e) => e,
    };
    // Whoever reads our output has seen enough (`ctrace read case | head`): that is success.
    if error
        .chain()
        .filter_map(|e| e.downcast_ref::<io::Error>())
        .any(|e| e.kind() == io::ErrorKind::BrokenPipe)
    {
        return ExitCode::from(DONE);
    }
    let code = error.downcast_ref::<Coded>().map_or(REFUSED, |c| c.code);
    eprintln!("ctrace: {error:#}");
    ExitCode::from(code)
}

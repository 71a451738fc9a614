//! Exit codes, and how an error becomes one.

use std::fmt;
use std::io;
use std::process::ExitCode;

use ctrace_query::QueryError;
use ctrace_trace::escape;

use crate::{diagnosis, output};

/// Done; nothing found.
pub(crate) const DONE: u8 = 0;
/// Findings: alerts, differences, tests that fail.
pub(crate) const FINDINGS: u8 = 1;
/// Wrong usage, or rules and statements that are wrong.
pub(crate) const USAGE: u8 = 2;
/// Damaged input; what could be read was used.
pub(crate) const DAMAGED: u8 = 3;
/// The environment refuses: no privilege, a file that may not be read, no kernel feature, no such file, disk full, no such store or
/// cluster.
pub(crate) const REFUSED: u8 = 4;

/// Ctrl-C, as shells tell it of a process that the signal ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// An error whose exit code is not [`REFUSED`].
#[derive(Debug)]
pub(crate) struct Coded {
    code: u8,
    error: anyhow::Error,
}

impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&message(&self.error))
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

/// Gives an error the exit code of a process that Ctrl-C ended.
pub(crate) fn interrupted(error: impl Into<anyhow::Error>) -> anyhow::Error {
    Coded {
        code: INTERRUPTED,
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
    if error.chain().any(is_broken_pipe) {
        return ExitCode::from(DONE);
    }
    let code = error.downcast_ref::<Coded>().map_or(REFUSED, |c| c.code);
    // Names of files, and what is quoted from them, may be hostile.
    output::note(&escape::text(&message(&error)));
    if let Some((line, column)) = statement(&error).and_then(QueryError::place) {
        output::raw_note(&diagnosis::mark(line, column));
    }
    ExitCode::from(code)
}

/// What is wrong with a statement, if that is the error.
fn statement(error: &anyhow::Error) -> Option<&QueryError> {
    let error = error.downcast_ref::<Coded>().map_or(error, |c| &c.error);
    error.chain().find_map(|e| e.downcast_ref())
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    let io = error.downcast_ref::<io::Error>().map(io::Error::kind);
    let json = error
        .downcast_ref::<serde_json::Error>()
        .and_then(serde_json::Error::io_error_kind);
    io.or(json) == Some(io::ErrorKind::BrokenPipe)
}

/// An error with its causes, those left out that the text before them tells already: libraries differ in whether an
/// error's text holds that of its cause.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if message.is_empty() {
            message = cause;
        } else if !message.contains(&cause) {
            message.push_str(": ");
            message.push_str(&cause);
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_cause_is_told_once() {
        let refused = || io::Error::other("refused");
        let whole = anyhow::Error::from(refused())
            .context("case: refused")
            .context("recording");
        assert_eq!(message(&whole), "recording: case: refused");
        let parts = Err::<(), _>(refused()).context("case");
        assert_eq!(parts.map_err(|e| message(&e)), Err("case: refused".to_owned()));
    }

    #[test]
    fn a_closed_pipe_is_found_wherever_it_was_met() {
        let io = || io::Error::from(io::ErrorKind::BrokenPipe);
        let json = serde_json::Error::io(io());
        assert!(is_broken_pipe(&io()) && is_broken_pipe(&json));
        assert!(
            anyhow::Error::from(io())
                .context("printing")
                .chain()
                .any(is_broken_pipe)
        );
        assert!(!is_broken_pipe(&io::Error::from(io::ErrorKind::StorageFull)));
    }
}

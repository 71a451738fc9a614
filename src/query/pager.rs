//! Results through a pager: `$PAGER`, or `less`.

use std::env;
use std::io::{self, BufWriter, Write};
use std::process::{Command, Stdio};

use ctrace_query::QueryError;

/// Does not wrap lines, and shows short results without waiting.
const DEFAULT: &str = "less -SFX";

/// Whether results can go through a pager without being asked for: the user names one, or the usual one is installed.
pub(super) fn is_there() -> bool {
    let installed = |name: &str| {
        let folders = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&folders).any(|folder| folder.join(name).is_file())
    };
    command().is_some() || installed("less")
}

/// What the user wants as pager.
fn command() -> Option<String> {
    env::var("PAGER").ok().filter(|p| !p.trim().is_empty())
}

/// Starts the pager for what is written. A reader who leaves early has seen enough.
pub(super) fn through(write: impl FnOnce(&mut dyn Write) -> Result<u64, QueryError>) -> Result<(), QueryError> {
    let command = command().unwrap_or_else(|| DEFAULT.to_owned());
    let mut pager = Command::new("sh")
        .arg("-c")
        .arg(&command)
        .stdin(Stdio::piped())
        .spawn()?;
    let written = match pager.stdin.take() {
        Some(stdin) => {
            let mut out = BufWriter::new(stdin);
            write(&mut out).and_then(|_| Ok(out.flush()?))
        }
        None => Ok(()),
    };
    pager.wait()?;
    match written {
        Err(QueryError::Output(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

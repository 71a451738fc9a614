//! Results through a pager: `$PAGER`, or `less`.

use std::env;
use std::io::{self, BufWriter, Write};
use std::process::{Command, Stdio};

use ctrace_query::QueryError;

/// Does not wrap lines, and shows short results without waiting.
const DEFAULT: &str = "less -SFX";

/// Starts the pager for what is written. A reader who leaves early has seen enough.
pub(super) fn through(write: impl FnOnce(&mut dyn Write) -> Result<u64, QueryError>) -> Result<(), QueryError> {
    let command = env::var("PAGER").ok().filter(|p| !p.trim().is_empty());
    let command = command.unwrap_or_else(|| DEFAULT.to_owned());
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

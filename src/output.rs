//! What the subcommands share when they print: opening cases, messages, times, numbers.

use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::Path;

use ctrace_trace::calendar::Iso8601;
use ctrace_trace::case::{Case, CaseError};
use ctrace_trace::escape;
use ctrace_trace::segment::{Problem, ProblemKind};

use crate::exit;

/// Standard output, locked and buffered.
pub(crate) fn stdout() -> BufWriter<StdoutLock<'static>> {
    BufWriter::with_capacity(1 << 16, io::stdout().lock())
}

/// Tells something on stderr. Never fails: whoever reads stderr may have gone (`2>&1 | head`).
pub(crate) fn note(text: &str) {
    raw_note(&format!("ctrace: {text}"));
}

/// The same without the program's name, for lines that begin with that of a file.
pub(crate) fn raw_note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Opens a case and tells on stderr what is wrong with it.
pub(crate) fn open_case(path: &Path) -> anyhow::Result<Case> {
    let case = Case::open(path).map_err(|e| match e {
        CaseError::Unreadable(ref p) if is_no_case(p, path) => exit::usage(anyhow::anyhow!(
            "{}: neither a case folder nor a segment of one{}",
            path.display(),
            // Who comes from another tool names its file first.
            if path.is_file() {
                "; ctrace import makes a case of what other tools wrote"
            } else {
                ""
            }
        )),
        CaseError::Unreadable(ref p) if matches!(p.kind, ProblemKind::Io | ProblemKind::Denied) => e.into(),
        CaseError::Unreadable(_) => exit::damaged(e),
        CaseError::Empty(_) => exit::usage(e),
        other => other.into(),
    })?;
    report(case.problems());
    Ok(case)
}

/// Whether something else was named than a case: what is called like a segment may be a damaged one.
fn is_no_case(problem: &Problem, path: &Path) -> bool {
    let called_so = path.extension().is_some_and(|e| e == "ctrace" || e == "open");
    let is_device = !path.is_dir() && !path.is_file();
    !called_so && problem.path == path && (problem.kind == ProblemKind::Foreign || is_device)
}

/// One thread per CPU that this process may use.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Prints problems to stderr, escaped: names of files may be hostile too.
pub(crate) fn report(problems: &[Problem]) {
    for problem in problems {
        note(&escape::text(&problem.to_string()));
    }
}

/// [`exit::DAMAGED`] where there is damage, [`exit::REFUSED`] where something may not be read, else the given code.
pub(crate) fn exit_code<'a>(problems: impl IntoIterator<Item = &'a Problem>, otherwise: u8) -> u8 {
    let mut code = otherwise;
    for problem in problems {
        match problem.kind {
            kind if kind.is_damage() => return exit::DAMAGED,
            ProblemKind::Denied => code = exit::REFUSED,
            _ => {}
        }
    }
    code
}

/// A time as `2026-11-21T10:11:12.123456789Z`.
pub(crate) fn time(ns: u64) -> String {
    Iso8601(ns).to_string()
}

/// A length of time as `1h 2m 3.456s`.
pub(crate) fn span(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, (ns % 60_000_000_000) as f64 / 1e9);
    match (h, m) {
        (0, 0) => format!("{s:.3}s"),
        (0, m) => format!("{m}m {s:.3}s"),
        (h, m) => format!("{h}h {m}m {s:.3}s"),
    }
}

/// A size as `12.3 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// A number of things: `1 segment`, `2 segments`; what is counted is given as for one.
pub(crate) fn count(n: u64, thing: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} {thing}{s}")
}

/// Right-aligned first columns and a left-aligned last one.
pub(crate) fn table(out: &mut impl Write, indent: &str, rows: &[Vec<String>]) -> io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| {
        rows.iter()
            .filter_map(|r| r.get(c))
            .map(|s| s.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        write!(out, "{indent}")?;
        for (i, cell) in row.iter().enumerate() {
            if i + 1 == row.len() {
                writeln!(out, "{cell}")?;
            } else {
                write!(out, "{cell:>w$}  ", w = widths[i])?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        assert_eq!(span(1_500_000_000), "1.500s");
        assert_eq!(span(3_723_000_000_000), "1h 2m 3.000s");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1 << 20), "1.0 MiB");
    }

    #[test]
    fn one_and_several() {
        assert_eq!(count(1_u64, "event"), "1 event");
        assert_eq!(count(0_u64, "event"), "0 events");
        assert_eq!(count(2_u64, "event"), "2 events");
    }
}

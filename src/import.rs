//! `ctrace import`: captures and logs of other tools, made into a case.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ctrace_capture::import::{self, End, FileReport, ImportError, ImportOptions, ImportOutcome, Origin};
use ctrace_trace::escape;
use ctrace_trace::segment::Tool;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::{exit, output};

/// Arguments of `ctrace import`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Files to import, plain or gzip; their events are merged by time
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Folder of the case; made if it does not exist, must hold no case yet
    #[arg(short = 'o', long = "output", value_name = "CASE")]
    output: PathBuf,
    /// Format of the files, where it is not to be found out from what they hold
    #[arg(long, value_name = "NAME")]
    format: Option<String>,
    /// Year of the first line of a syslog file whose lines have none; otherwise the file's own time says it
    #[arg(long, value_name = "YEAR", value_parser = clap::value_parser!(u16).range(1970..=2500))]
    year: Option<u16>,
    /// Time zone of a syslog file whose lines have none
    #[arg(long, value_name = "+HH:MM", default_value = "+00:00", allow_hyphen_values = true, value_parser = utc_offset)]
    time_zone: i32,
}

/// Seconds east of UTC.
fn utc_offset(text: &str) -> Result<i32, String> {
    let wrong = || "write it as +01:00 or -05:30".to_owned();
    let (sign, rest) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(rest), _) => (1, rest),
        (None, Some(rest)) => (-1, rest),
        (None, None) => return Err(wrong()),
    };
    let (hours, minutes) = rest.split_once(':').ok_or_else(wrong)?;
    match (hours.parse::<u8>(), minutes.parse::<u8>()) {
        (Ok(hours @ 0..=14), Ok(minutes @ 0..=59)) => Ok(sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60)),
        _ => Err(wrong()),
    }
}

/// Imports.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let options = ImportOptions {
        files: args.files.clone(),
        format: args.format.clone(),
        year: args.year,
        utc_offset_s: args.time_zone,
        output: args.output.clone(),
        tool: Tool {
            name: "ctrace".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            digest: None,
        },
        command_line: std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect(),
    };
    let bar = bar();
    let outcome = import::import(&options, &mut |p| {
        bar.set_length(p.total);
        bar.set_position(p.read);
        bar.set_message(p.events.to_string());
        !stop.load(Ordering::Relaxed)
    });
    bar.finish_and_clear();
    Ok(tell(&outcome.map_err(coded)?))
}

/// Gives an error its exit code.
fn coded(error: ImportError) -> anyhow::Error {
    match error {
        ImportError::Unknown { .. }
        | ImportError::Empty { .. }
        | ImportError::NoSuchFormat(_)
        | ImportError::NoFile => exit::usage(error),
        ImportError::Case(ref case) if case.is_taken() => exit::usage(error),
        other => other.into(),
    }
}

/// A bar on stderr; nothing where that is no terminal.
fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}, {msg} events, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Of more files only those are named of which there is something to say.
const NAMED: usize = 10;

/// Says on stderr what became of the files.
fn tell(outcome: &ImportOutcome) -> u8 {
    for file in &outcome.files {
        let path = escape::text(&file.path.to_string_lossy());
        let unknown = match file.unknown {
            0 => String::new(),
            n => format!(", {n} of unknown kind kept as they are"),
        };
        if outcome.files.len() <= NAMED || file.is_damaged() || file.unknown > 0 || file.events == 0 {
            let events = output::count(file.events, "event");
            output::note(&format!("{path}: {}, {events}{unknown}", file.format));
        }
        tell_damage(&path, file);
    }
    tell_left_out(&outcome.left_out);
    if outcome.files.len() > NAMED {
        output::note(&formats(&outcome.files));
    }
    for path in &outcome.twice {
        let path = escape::text(&path.to_string_lossy());
        output::note(&format!("{path}: given twice, read once"));
    }
    for (one, other) in same_contents(&outcome.files) {
        let (one, other) = (one.path.to_string_lossy(), other.path.to_string_lossy());
        output::note(&format!(
            "{} and {} have the same contents: their events are there twice",
            escape::text(&one),
            escape::text(&other)
        ));
    }
    let summary = &outcome.summary;
    output::note(&format!(
        "{} in {}, {}",
        output::count(summary.events, "event"),
        output::count(summary.blocks, "block"),
        output::size(summary.bytes)
    ));
    if outcome
        .files
        .iter()
        .chain(&outcome.left_out)
        .any(FileReport::is_damaged)
    {
        exit::DAMAGED
    } else {
        exit::DONE
    }
}

/// Of files that are left out so many are named; `ctrace info` names all.
const NAMED_LEFT_OUT: usize = 50;

/// Says what was not read, and what can be done about it.
fn tell_left_out(files: &[FileReport]) {
    for file in files.iter().take(NAMED_LEFT_OUT) {
        let path = escape::text(&file.path.to_string_lossy());
        match &file.end {
            End::Unread { reason } => output::note(&format!("{path}: left out: {}", escape::text(reason))),
            _ => output::note(&format!("{path}: empty, left out")),
        }
        tell_damage(&path, file);
    }
    if let more @ 1.. = files.len().saturating_sub(NAMED_LEFT_OUT) {
        output::note(&format!("{more} more left out; ctrace info names them"));
    }
    let unread = files.iter().filter(|f| matches!(f.end, End::Unread { .. })).count() as u64;
    if unread > 0 {
        output::note(&format!(
            "{} not imported; where ctrace has the format, import such a file apart with --format NAME ({})",
            output::count(unread, "file"),
            import::names()
        ));
    }
}

/// Many files in a line: how many of each format.
fn formats(files: &[FileReport]) -> String {
    let mut formats: BTreeMap<&str, u64> = BTreeMap::new();
    for file in files {
        *formats.entry(file.format).or_default() += 1;
    }
    let formats: Vec<String> = formats.iter().map(|(name, n)| format!("{n} {name}")).collect();
    let events: u64 = files.iter().map(|f| f.events).sum();
    let damaged = match files.iter().filter(|f| f.is_damaged()).count() {
        0 => String::new(),
        n => format!(", {n} damaged"),
    };
    let files = output::count(files.len() as u64, "file");
    format!(
        "{files} ({}){damaged}: {}",
        formats.join(", "),
        output::count(events, "event")
    )
}

/// Files that are copies of another one.
fn same_contents(files: &[FileReport]) -> Vec<(&FileReport, &FileReport)> {
    let mut known: BTreeMap<[u8; 32], &FileReport> = BTreeMap::new();
    let mut copies = Vec::new();
    for file in files.iter().filter(|f| f.bytes > 0) {
        match known.entry(file.sha256) {
            Entry::Occupied(first) => copies.push((*first.get(), file)),
            Entry::Vacant(place) => {
                place.insert(file);
            }
        }
    }
    copies
}

fn tell_damage(path: &str, file: &FileReport) {
    for (origin, reason) in &file.problems {
        output::note(&format!("{path}: {}: {}", place(*origin), escape::text(reason)));
    }
    let more = file.bad.saturating_sub(file.problems.len() as u64);
    if more > 0 {
        output::note(&format!("{path}: {more} more damaged pieces"));
    }
    if let End::Cut { offset, reason } = &file.end {
        let reason = escape::text(reason);
        output::note(&format!(
            "{path}: offset {offset}: {reason}; what came before was imported"
        ));
    }
}

fn place(origin: Origin) -> String {
    match origin.line {
        0 => format!("offset {}", origin.offset),
        line => format!("line {line}"),
    }
}

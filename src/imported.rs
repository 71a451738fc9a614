//! The files that a case was imported from, as the case says.

use std::io::{self, Write};

use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::EventView;
use ctrace_trace::case::Case;
use ctrace_trace::escape;
use ctrace_trace::event::{Arg, EventType};
use ctrace_trace::segment::{BlockReader, Problem};
use serde_json::{Value, json};

use crate::output;

/// A file that was imported.
pub(crate) struct ImportedFile {
    file: String,
    format: String,
    sha256: String,
    bytes: i64,
    events: i64,
    unknown: i64,
    bad: i64,
    cut: Option<(i64, String)>,
    /// Why nothing of it was read.
    unread: Option<String>,
}

/// The files in the order in which they were imported, and what of the case could not be read.
pub(crate) fn files(case: &Case) -> (Vec<ImportedFile>, Vec<Problem>) {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    let mut reader = BlockReader::new();
    let holds = |kind| kind == EventType::IMPORTED;
    for block in case.blocks().filter(|b| b.head().kinds.iter().any(|k| holds(k.id))) {
        match reader.read(block, Need(Need::KIND.0 | Need::ARGS_HOT.0)) {
            Ok(decoded) => files.extend(decoded.events().filter(|e| e.kind().is_some_and(holds)).map(file)),
            Err(problem) => problems.push(problem),
        }
    }
    (files, problems)
}

fn file(event: EventView<'_>) -> ImportedFile {
    let text = |name| match event.arg_named(name) {
        Arg::Str(s) => String::from_utf8_lossy(s).into_owned(),
        _ => String::new(),
    };
    let number = |name| match event.arg_named(name) {
        Arg::Num(n) => Some(n),
        _ => None,
    };
    let (cut, reason) = (number("cut_offset"), text("cut_reason"));
    ImportedFile {
        file: text("file"),
        format: text("format"),
        sha256: text("sha256"),
        bytes: number("bytes").unwrap_or(0),
        events: number("events").unwrap_or(0),
        unknown: number("unknown").unwrap_or(0),
        bad: number("bad").unwrap_or(0),
        unread: (cut.is_none() && !reason.is_empty()).then(|| reason.clone()),
        cut: cut.map(|at| (at, reason)),
    }
}

impl ImportedFile {
    /// Writes it for people.
    pub(crate) fn text(&self, out: &mut impl Write) -> io::Result<()> {
        let (file, format) = (escape::text(&self.file), escape::text(&self.format));
        if let Some(reason) = &self.unread {
            writeln!(
                out,
                "left out   {file} ({} bytes): {}",
                self.bytes,
                escape::text(reason)
            )?;
            // A folder has no digest.
            return match self.bytes {
                0 => Ok(()),
                _ => writeln!(out, "  sha256 {}", escape::text(&self.sha256)),
            };
        }
        writeln!(out, "imported   {file} ({format}, {} bytes)", self.bytes)?;
        writeln!(out, "  sha256 {}", escape::text(&self.sha256))?;
        let kept = |n: i64, what: &str| if n == 0 { String::new() } else { format!(", {n} {what}") };
        let (unknown, bad) = (kept(self.unknown, "of unknown kind"), kept(self.bad, "damaged"));
        writeln!(
            out,
            "  {}{unknown}{bad}",
            output::count(self.events.unsigned_abs(), "event")
        )?;
        match &self.cut {
            Some((at, reason)) => writeln!(out, "  cut at offset {at}: {}", escape::text(reason)),
            None => Ok(()),
        }
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        json!({
            "file": self.file, "format": self.format, "bytes": self.bytes, "sha256": self.sha256,
            "events": self.events, "unknown": self.unknown, "bad": self.bad,
            "cut": self.cut.as_ref().map(|(at, reason)| json!({"offset": at, "reason": reason})),
            "unread": self.unread,
        })
    }
}

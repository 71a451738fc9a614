//! `ctrace verify`: whether a case is what was recorded, or gives with rules what a certificate says.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use ctrace_replay::{AlertDigest, Certificate, Engine, Options};
use ctrace_trace::case::{COPIES, Case, CheckedSegment, Verification, verify};
use ctrace_trace::escape;
use ctrace_trace::segment::{Hex, Problem, ProblemKind, SegmentName};
use serde_json::{Value, json};

use crate::{certificate, exit, losses, output, rule_files};

/// A certificate may have this many bytes; the largest that is written has some hundred thousand.
const MAX_CERTIFICATE: u64 = 16 << 20;

const USAGE: &str = "ctrace verify [OPTIONS] <CASE>";

/// Arguments of `ctrace verify`.
#[derive(clap::Args)]
#[command(override_usage = USAGE)]
pub(crate) struct Args {
    /// Case folder or segment file
    case: Option<PathBuf>,
    /// Compare with this certificate, as `ctrace replay --certificate` wrote it; without it every byte of the case is
    /// checked
    #[arg(long, value_name = "FILE", requires = "rules")]
    certificate: Option<PathBuf>,
    /// The rules files, in the order in which they were given to the replay
    #[arg(short = 'r', long = "rules", requires = "certificate", num_args = 1.., value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// Threads to use; changes the time it takes and nothing else [default: one per CPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// One JSON object instead of text
    #[arg(long, conflicts_with = "certificate")]
    json: bool,
}

/// Checks the case, or replays and compares.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let (case, rules) = rule_files::and_case(args.case.as_deref(), &args.rules, USAGE)?;
    match &args.certificate {
        Some(certificate) => compare(args, case, rules, certificate),
        None => check(args, case),
    }
}

/// What is known of a file of the case after a check.
struct Row<'a> {
    path: &'a Path,
    /// `None` where it could not be opened as a segment of the case.
    checked: Option<&'a CheckedSegment>,
    problems: Vec<&'a Problem>,
}

impl Row<'_> {
    fn status(&self) -> &'static str {
        let is = |kind: ProblemKind| self.problems.iter().any(|p| p.kind == kind);
        let own = |p: &&Problem| {
            p.kind.is_damage() && !matches!(p.kind, ProblemKind::MissingSegment | ProblemKind::MissingCopy)
        };
        match self.checked {
            _ if self.problems.iter().any(own) => "damaged",
            _ if is(ProblemKind::MissingCopy) => "missing",
            _ if is(ProblemKind::Denied) => "not readable",
            Some(segment) if segment.closed => "ok",
            _ => "unfinished",
        }
    }

    /// The file's name; of copies and their folders where they are in the case.
    fn name(&self) -> String {
        let folder = self.path.ancestors().find(|a| a.ends_with(COPIES));
        let case = folder.and_then(|f| f.ancestors().nth(Path::new(COPIES).iter().count()));
        let within = case.and_then(|case| self.path.strip_prefix(case).ok());
        let name = within.map_or_else(|| self.path.file_name().unwrap_or_default(), Path::as_os_str);
        escape::text(&name.to_string_lossy())
    }

    fn number(&self) -> Option<u32> {
        let named = || {
            self.path
                .file_name()
                .and_then(|n| n.to_str())
                .and_then(SegmentName::parse)
        };
        named().map(|n| n.number).or_else(|| self.checked.map(|s| s.number))
    }
}

/// Checks every byte of a case: checksums, digests, the chain of records and of segments, footers, totals and order. 3
/// where something is wrong, 4 where something may not be read.
fn check(args: &Args, case: &Path) -> anyhow::Result<u8> {
    let case = output::open_case(case)?;
    let found = verify(&case);
    let rows = rows(&found);
    let missing = missing(&rows);
    let mut out = output::stdout();
    if args.json {
        let json = json_of(&case, &found, &rows, &missing);
        writeln!(out, "{}", escape::json(&serde_json::to_string_pretty(&json)?))?;
    } else {
        text(&mut out, &found, &rows, &missing)?;
    }
    out.flush()?;
    let told = |p: &&Problem| !case.problems().contains(p);
    let new: Vec<Problem> = found.problems.iter().filter(told).cloned().collect();
    output::report(&new);
    Ok(output::exit_code(&found.problems, exit::DONE))
}

fn rows(found: &Verification) -> Vec<Row<'_>> {
    let checked = found.segments.iter().map(|s| s.path.as_path());
    let paths: BTreeSet<&Path> = checked.chain(found.problems.iter().map(|p| p.path.as_path())).collect();
    let row = |path| Row {
        path,
        checked: found.segments.iter().find(|s| s.path == path),
        problems: found.problems.iter().filter(|p| p.path == path).collect(),
    };
    paths.into_iter().map(row).collect()
}

/// Numbers that no file has, between those that there are.
fn missing(rows: &[Row<'_>]) -> Vec<(u32, u32)> {
    let numbers: BTreeSet<u32> = rows.iter().filter_map(Row::number).collect();
    let sorted: Vec<u32> = numbers.into_iter().collect();
    let holes = sorted.windows(2).filter_map(|pair| match pair {
        [a, b] if b - a > 1 => Some((a + 1, b - 1)),
        _ => None,
    });
    holes.collect()
}

fn text(out: &mut impl Write, found: &Verification, rows: &[Row<'_>], missing: &[(u32, u32)]) -> std::io::Result<()> {
    let mut holes = missing.iter().peekable();
    for row in rows {
        while let Some((from, to)) = holes.next_if(|hole| row.number().is_some_and(|n| hole.0 < n)) {
            match from == to {
                true => writeln!(out, "{from:06}.ctrace  missing")?,
                false => writeln!(out, "{from:06}.ctrace to {to:06}.ctrace  missing")?,
            }
        }
        write!(out, "{}  {}", row.name(), row.status())?;
        if let Some(s) = row.checked {
            let size = output::size(s.bytes);
            write!(
                out,
                ", {}, {}, {size}, SHA-256 {}",
                output::count(s.blocks, "block"),
                output::count(s.events, "event"),
                Hex(&s.sha256)
            )?;
        }
        writeln!(out)?;
    }
    if let Some(first) = rows.iter().find_map(Row::number).filter(|first| *first > 1) {
        writeln!(
            out,
            "begins with segment {first}: those before were rotated away, or taken out"
        )?;
    }
    for window in losses::windows(&found.losses) {
        writeln!(out, "incomplete: {}", losses::line(&window))?;
    }
    let events = output::count(found.totals.events, "event");
    let readable = output::count(found.segments.len() as u64, "segment");
    let other = |kind: ProblemKind| found.problems.iter().any(|p| p.kind == kind);
    let damage = |p: &Problem| p.kind.is_damage() && p.kind != ProblemKind::MissingCopy;
    if found.is_intact() {
        writeln!(out, "intact: {events} in {readable}")
    } else if found.problems.iter().any(damage) {
        writeln!(out, "damaged: {events} in {readable} can be read")
    } else if other(ProblemKind::MissingCopy) {
        writeln!(out, "copies are missing: {events} in {readable} can be read")
    } else {
        writeln!(out, "not all may be read: nothing wrong in {events} in {readable}")
    }
}

fn json_of(case: &Case, found: &Verification, rows: &[Row<'_>], missing: &[(u32, u32)]) -> Value {
    let segments = rows.iter().map(|row| {
        let checked = row.checked;
        json!({
            "file": row.name(),
            "number": row.number(),
            "status": row.status(),
            "sha256": checked.map(|s| Hex(&s.sha256).to_string()),
            "bytes": checked.map(|s| s.bytes),
            "blocks": checked.map(|s| s.blocks),
            "events": checked.map(|s| s.events),
            "closed": checked.map(|s| s.closed),
            "problems": row.problems.iter().map(|p| json!({
                "kind": p.kind.name(), "offset": p.offset, "message": p.message,
            })).collect::<Vec<_>>(),
        })
    });
    json!({
        "case_id": case.id().map(|id| id.to_string()),
        "intact": found.is_intact(),
        "events": found.totals.events,
        "segments": segments.collect::<Vec<_>>(),
        "missing": missing.iter().map(|(from, to)| json!({"from": from, "to": to})).collect::<Vec<_>>(),
        "losses": losses::windows(&found.losses).iter().map(losses::json).collect::<Vec<_>>(),
    })
}

/// Replays and compares. 1 where something differs.
fn compare(args: &Args, case: &Path, rules: &[PathBuf], certificate: &Path) -> anyhow::Result<u8> {
    let claimed = Certificate::parse(&certificate_text(certificate)?)
        .and_then(|certificate| certificate.options().map(|options| (certificate, options)))
        .map_err(|e| exit::usage(anyhow::anyhow!("certificate {}: {e}", certificate.display())))?;
    let (claimed, (load, options)) = claimed;
    let Some(rules) = rule_files::load(rules, &load)? else {
        return Ok(exit::USAGE);
    };
    let case = output::open_case(case)?;
    let options = Options {
        threads: args.threads.map_or_else(output::threads, |n| n as usize),
        ..options
    };
    let mut alerts = AlertDigest::default();
    let outcome = Engine::new(&rules.set).replay(&case, &options, &mut |alert| alerts.add(alert));
    output::report(&outcome.problems);
    let (found, copies) = certificate::of(&case, &rules, &load, &options, &alerts);
    let mut out = output::stdout();
    let code = match claimed.first_difference(&found) {
        None => {
            writeln!(
                out,
                "the same: case, rules, engine, options and {}",
                output::count(outcome.alerts, "alert")
            )?;
            exit::DONE
        }
        Some(difference) => {
            writeln!(out, "{}", escape::text(&difference))?;
            exit::FINDINGS
        }
    };
    out.flush()?;
    Ok(output::exit_code(&copies, code))
}

fn certificate_text(path: &Path) -> anyhow::Result<String> {
    let name = || format!("certificate {}", path.display());
    let mut text = Vec::new();
    File::open(path)
        .with_context(name)?
        .take(MAX_CERTIFICATE)
        .read_to_end(&mut text)
        .with_context(name)?;
    String::from_utf8(text).map_err(|_| exit::usage(anyhow::anyhow!("{}: not UTF-8", name())))
}

//! `ctrace diff`: the alerts that two versions of rules give, compared.

use std::io::{self, Write};
use std::path::PathBuf;

use ctrace_replay::{Change, Diff, Difference, Options};
use ctrace_trace::escape;
use serde_json::{Value as Json, json};

use crate::read::Resolve;
use crate::rule_files::{self, Selection};
use crate::{exit, output};

/// Arguments of `ctrace diff`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The old rules: a file, or a folder of files
    old: PathBuf,
    /// The new rules
    new: PathBuf,
    /// Case folders or segment files
    #[arg(required = true)]
    cases: Vec<PathBuf>,
    /// Markdown, for a pull request
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Show at most so many differences of each case; all are counted
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1000)]
    limit: usize,
    /// Threads to use; changes the time it takes and nothing else [default: one per CPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Whose knowledge names containers: the whole case's, or only what was known when an event was recorded
    #[arg(long, value_enum, default_value_t = Resolve::Case, value_name = "WHOSE")]
    resolve: Resolve,
    #[command(flatten)]
    selection: Selection,
}

/// Compares. 1 when any alert differs.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let load = |path: &PathBuf| rule_files::load(std::slice::from_ref(path), &args.selection.options());
    let (Some(old), Some(new)) = (load(&args.old)?, load(&args.new)?) else {
        return Ok(exit::USAGE);
    };
    let options = Options {
        threads: args.threads.map_or_else(output::threads, |n| n as usize),
        resolve_late: args.resolve == Resolve::Case,
        matching: args.selection.matching.into(),
    };
    let mut out = output::stdout();
    let mut totals = [0; 3];
    let mut damaged = false;
    for path in &args.cases {
        let case = output::open_case(path)?;
        let diff = ctrace_replay::diff(&old.set, &new.set, &case, &options, args.limit);
        let name = path.display().to_string();
        match (args.markdown, args.json) {
            (true, _) => markdown(&mut out, &name, &diff)?,
            (_, true) => json_lines(&mut out, &name, &diff)?,
            _ => text(&mut out, &name, &diff)?,
        }
        for (total, count) in totals.iter_mut().zip(diff.counts) {
            *total += count;
        }
        let problems = || diff.old.problems.iter().chain(&diff.problems);
        problems().for_each(|p| output::report(std::slice::from_ref(p)));
        damaged |= output::exit_code(case.problems().iter().chain(problems()), exit::DONE) == exit::DAMAGED;
    }
    out.flush()?;
    output::note(&counts(totals));
    Ok(match (damaged, totals == [0; 3]) {
        (true, _) => exit::DAMAGED,
        (false, true) => exit::DONE,
        (false, false) => exit::FINDINGS,
    })
}

fn counts([added, removed, changed]: [u64; 3]) -> String {
    let added = output::count(added, "alert");
    format!("{added} added, {removed} removed, {changed} changed")
}

fn mark(change: Change) -> char {
    match change {
        Change::Added => '+',
        Change::Removed => '-',
        Change::Changed => '~',
    }
}

fn text(out: &mut impl Write, case: &str, diff: &Diff) -> io::Result<()> {
    if diff.is_empty() {
        return Ok(());
    }
    writeln!(out, "{}: {}", escape::text(case), counts(diff.counts))?;
    for d in &diff.differences {
        let alert = escape::text(&d.alert.text());
        writeln!(
            out,
            "{} {alert} (event {}, rule '{}')",
            mark(d.change),
            d.alert.event,
            escape::text(d.alert.rule())
        )?;
        for reason in &d.reasons {
            writeln!(out, "    {}", escape::text(reason))?;
        }
    }
    rest(diff).map_or(Ok(()), |rest| writeln!(out, "{rest}"))
}

/// How many differences are not shown.
fn rest(diff: &Diff) -> Option<String> {
    let all: u64 = diff.counts.iter().sum();
    let more = all.saturating_sub(diff.differences.len() as u64);
    (more > 0).then(|| format!("and {more} more"))
}

fn json_lines(out: &mut impl Write, case: &str, diff: &Diff) -> anyhow::Result<()> {
    for d in &diff.differences {
        let alert: Json = serde_json::from_str(&d.alert.json())?;
        let change = match d.change {
            Change::Added => "added",
            Change::Removed => "removed",
            Change::Changed => "changed",
        };
        let line =
            json!({ "case": case, "change": change, "event": d.alert.event, "reasons": d.reasons, "alert": alert });
        writeln!(out, "{}", escape::json(&line.to_string()))?;
    }
    Ok(())
}

fn markdown(out: &mut impl Write, case: &str, diff: &Diff) -> io::Result<()> {
    writeln!(out, "### {}: {}\n", code(case), counts(diff.counts))?;
    if diff.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "| | rule | event | alert | condition responsible |\n| --- | --- | --- | --- | --- |"
    )?;
    diff.differences.iter().try_for_each(|d| row(out, d))?;
    writeln!(out)?;
    rest(diff).map_or(Ok(()), |rest| writeln!(out, "{rest}\n"))
}

fn row(out: &mut impl Write, d: &Difference) -> io::Result<()> {
    let reasons: Vec<String> = d.reasons.iter().map(|r| code(r)).collect();
    let word = match d.change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Changed => "changed",
    };
    writeln!(
        out,
        "| {word} | {} | {} | {} | {} |",
        code(d.alert.rule()),
        d.alert.event,
        code(&d.alert.text()),
        reasons.join("<br>"),
    )
}

/// Text as a code span of a table: nothing in it is Markdown, ends the span or the cell.
fn code(text: &str) -> String {
    let safe = escape::text(text).replace('`', "'").replace('|', "\\|");
    format!("`{safe}`")
}

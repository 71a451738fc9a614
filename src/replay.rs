//! `ctrace replay`: rules over a case or an export, alerts on stdout.

mod printing;
mod table;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use ctrace_query::{ClusterAddress, Data, Session};
use ctrace_replay::{Engine, Options, Outcome, RuleSet, Shape, Suppression, Triage, sources_of};
use ctrace_trace::case::Case;
use ctrace_trace::escape;

use crate::place::Place;
use crate::read::Resolve;
use crate::rule_files::{self, Selection};
use crate::{certificate, exit, losses, output, query, triage};
use printing::Printing;

/// So many incomplete windows are told; `ctrace info` tells them all.
const MAX_WINDOWS: usize = 20;

const USAGE: &str = "ctrace replay [OPTIONS] <CASE> --rules <FILE>...";

/// Arguments of `ctrace replay`.
#[derive(clap::Args)]
#[command(override_usage = USAGE)]
pub(crate) struct Args {
    /// Case folder, segment file, or what `ctrace export` wrote: a folder, or s3://BUCKET/PREFIX
    case: Option<PathBuf>,
    /// Rules files in Falco's or Sigma's format, or folders of them (*.yaml, *.yml in order of their paths)
    #[arg(short = 'r', long = "rules", required = true, num_args = 1.., value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// One JSON object a line, in Falco's own shape
    #[arg(long)]
    json: bool,
    /// Have the Ballista cluster whose scheduler listens there select the events, over an export that its executors can read
    #[arg(long, value_name = "HOST:PORT")]
    cluster: Option<ClusterAddress>,
    /// Threads to use; changes the time it takes and nothing else [default: one per CPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Whose knowledge names containers: the whole case's, or only what was known when an event was recorded
    #[arg(long, value_enum, default_value_t = Resolve::Case, value_name = "WHOSE")]
    resolve: Resolve,
    /// Show each alert's id and the number of its event
    #[arg(long)]
    ids: bool,
    /// Write a certificate: digests of case, rules, engine and alerts, for `ctrace verify`
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Afterwards, tell on stderr how long the case takes with each rule alone
    #[arg(long)]
    profile: bool,
    #[command(flatten)]
    triage: triage::Options,
    #[command(flatten)]
    selection: Selection,
    /// No summary on stderr
    #[arg(short, long)]
    quiet: bool,
}

impl Args {
    /// How alerts are printed.
    fn shape(&self) -> Shape {
        if self.json { Shape::Json } else { Shape::Text }
    }

    /// A session over an export.
    fn export(&self, export: Data, threads: usize) -> anyhow::Result<Session> {
        let only_cases = [
            (self.certificate.is_some(), "--certificate"),
            (self.profile, "--profile"),
            (self.resolve != Resolve::Case, "--resolve"),
        ];
        if let Some((_, option)) = only_cases.iter().find(|(given, _)| *given) {
            return Err(exit::usage(anyhow::anyhow!(
                "{option} takes a case, and this is an export"
            )));
        }
        let options = ctrace_query::Options {
            threads,
            cluster: self.cluster.clone(),
            ..ctrace_query::Options::default()
        };
        Session::over(vec![export], &options).map_err(query::coded)
    }
}

/// Replays over the tables of a session.
fn over_table(
    args: &Args,
    session: &Session,
    engine: &Engine<'_>,
    options: &Options,
    suppressions: &[Suppression],
    triage: Triage,
) -> anyhow::Result<u8> {
    let mut printing = Printing::new(args, suppressions, triage, 0);
    printing.triage.summary.idle = engine.idle(&table::sources(session)?);
    let done = table::over(session, engine, options.matching, &mut |alert| printing.alert(alert))?;
    let summary = printing.finish()?;
    if !args.quiet {
        output::note(&done.to_string());
        summary.tell();
    }
    Ok(summary.code())
}

/// Replays.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let (case, rules) = rule_files::and_case(args.case.as_deref(), &args.rules, USAGE)?;
    let load = args.selection.options();
    let (Some(rules), Some((inspection, triage))) = (rule_files::load(rules, &load)?, args.triage.prepare()?) else {
        return Ok(exit::USAGE);
    };
    let mut engine = Engine::new(&rules.set);
    if let Some(inspection) = &inspection {
        engine = engine.inspecting(inspection);
    }
    let suppressions = inspection.as_ref().map_or(&[][..], |i| i.suppressions());
    let options = Options {
        threads: args.threads.map_or_else(output::threads, |n| n as usize),
        resolve_late: args.resolve == Resolve::Case,
        matching: args.selection.matching.into(),
    };
    let case = match Place::of(case, args.cluster.as_ref())? {
        Place::Export(export) => {
            let session = args.export(export, options.threads)?;
            return over_table(args, &session, &engine, &options, suppressions, triage);
        }
        Place::Case(path) => output::open_case(&path)?,
    };
    let mut printing = Printing::new(args, suppressions, triage, case.totals().events);
    printing.triage.summary.idle = engine.idle(&sources_of(&case));
    let engine = match args.triage.summary {
        true => engine,
        false => engine.printing(args.shape()),
    };
    let outcome = engine.replay(&case, &options, &mut |alert| printing.alert(alert));
    let summary = printing.finish()?;
    output::report(&outcome.problems);
    if !args.quiet {
        output::note(&outcome.to_string());
        tell_losses(&outcome);
        summary.tell();
    }
    if args.profile {
        profile(&rules.set, &case, &options);
    }
    if let (Some(path), Some(digest)) = (&args.certificate, &summary.digest) {
        let (certificate, _) = certificate::of(&case, &rules, &load, &options, digest);
        fs::write(path, certificate.text()).with_context(|| format!("certificate {}", path.display()))?;
    }
    Ok(output::exit_code(
        case.problems().iter().chain(&outcome.problems),
        summary.code(),
    ))
}

/// Tells in which windows events are missing.
fn tell_losses(outcome: &Outcome) {
    let windows = losses::windows(&outcome.losses);
    for window in windows.iter().take(MAX_WINDOWS) {
        output::note(&format!("incomplete: {}", losses::line(window)));
    }
    if windows.len() > MAX_WINDOWS {
        output::note(&format!(
            "incomplete: {} more windows (ctrace info)",
            windows.len() - MAX_WINDOWS
        ));
    }
}

/// Tells how long the case takes with each rule alone, the longest first: decoding what the rule needs, matching, and
/// making its alerts.
fn profile(rules: &RuleSet, case: &Case, options: &Options) {
    let mut costs: Vec<(Duration, u64, u64, &str)> = Vec::new();
    for (i, rule) in rules.rules().iter().enumerate().filter(|(_, r)| r.active) {
        let begun = Instant::now();
        let outcome = Engine::new(rules).only(i).replay(case, options, &mut |_| {});
        costs.push((begun.elapsed(), outcome.alerts, outcome.blocks_read, &rule.name));
    }
    costs.sort_by(|a, b| b.0.cmp(&a.0).then(a.3.cmp(b.3)));
    let total: f64 = costs.iter().map(|c| c.0.as_secs_f64()).sum();
    let mut rows = vec![["ms", "share", "alerts", "blocks", "rule"].map(str::to_owned).to_vec()];
    rows.extend(costs.iter().map(|(time, alerts, blocks, rule)| {
        let seconds = time.as_secs_f64();
        vec![
            format!("{:.2}", seconds * 1e3),
            format!("{:.0} %", 100.0 * seconds / total.max(f64::MIN_POSITIVE)),
            alerts.to_string(),
            blocks.to_string(),
            escape::text(rule),
        ]
    }));
    let mut text = Vec::new();
    // Writing to memory cannot fail.
    let _ = output::table(&mut text, "  ", &rows);
    output::note("the time that the case takes with each rule alone:");
    output::raw_note(String::from_utf8_lossy(&text).trim_end_matches('\n'));
}

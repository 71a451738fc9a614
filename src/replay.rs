//! `ctrace replay`: rules over a case, alerts on stdout.

use std::io::Write;
use std::path::{Path, PathBuf};

use ctrace_replay::{Alert, Engine, Options};
use ctrace_trace::escape;

use crate::progress::Progress;
use crate::read::Resolve;
use crate::rule_files::{self, Selection};
use crate::{exit, output};

/// Arguments of `ctrace replay`.
#[derive(clap::Args)]
#[command(override_usage = "ctrace replay [OPTIONS] <CASE> --rules <FILE>...")]
pub(crate) struct Args {
    /// Case folder or segment file
    // Optional for the parser alone: in `--rules FILE CASE` it takes the case for another file.
    case: Option<PathBuf>,
    /// Rules files in Falco's or Sigma's format, or folders of them (*.yaml, *.yml in order of their paths)
    #[arg(short = 'r', long = "rules", required = true, num_args = 1.., value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// One JSON object a line, in Falco's own shape
    #[arg(long)]
    json: bool,
    /// Threads to use; changes the time it takes and nothing else [default: one per CPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Whose knowledge names containers: the whole case's, or only what was known when an event was recorded
    #[arg(long, value_enum, default_value_t = Resolve::Case, value_name = "WHOSE")]
    resolve: Resolve,
    #[command(flatten)]
    selection: Selection,
    /// No summary on stderr
    #[arg(short, long)]
    quiet: bool,
}

impl Args {
    /// The case and the rules files, wherever the case stood.
    fn inputs(&self) -> anyhow::Result<(&Path, &[PathBuf])> {
        match (&self.case, self.rules.split_last()) {
            (Some(case), _) => Ok((case, &self.rules)),
            (None, Some((case, rules))) if !rules.is_empty() => Ok((case, rules)),
            _ => Err(exit::usage(anyhow::anyhow!(
                "no case given: ctrace replay <CASE> --rules <FILE>..."
            ))),
        }
    }
}

/// Replays.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let (case, rules) = args.inputs()?;
    let Some(rules) = rule_files::load(rules, &args.selection.options())? else {
        return Ok(exit::USAGE);
    };
    let case = output::open_case(case)?;
    let options = Options {
        threads: args.threads.map_or_else(output::threads, |n| n as usize),
        resolve_late: args.resolve == Resolve::Case,
        matching: args.selection.matching.into(),
    };
    let progress = Progress::new(case.totals().events);
    let mut out = output::stdout();
    let mut written = Ok(());
    let outcome = Engine::new(&rules.set).replay(&case, &options, &mut |alert| {
        if written.is_ok() {
            written = progress.line(&mut out, &line(alert, args.json));
        }
    });
    drop(progress);
    written?;
    out.flush()?;
    output::report(&outcome.problems);
    if !args.quiet {
        output::note(&outcome.to_string());
    }
    let found = if outcome.alerts > 0 { exit::FINDINGS } else { exit::DONE };
    Ok(output::exit_code(
        case.problems().iter().chain(&outcome.problems),
        found,
    ))
}

/// An alert as it is printed. Names in it are hostile.
fn line(alert: &Alert, json: bool) -> String {
    if json {
        output::visible_json(&alert.json()).into_owned()
    } else {
        escape::text(&alert.text())
    }
}

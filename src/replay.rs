//! `ctrace replay`: rules over a case, alerts on stdout.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ctrace_replay::{Engine, LoadOptions, Options, RuleFile, RuleSet};

use crate::read::Resolve;
use crate::{exit, output};

/// Arguments of `ctrace replay`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Case folder or segment file
    case: PathBuf,
    /// Rules file in Falco's format, or a folder of them (*.yaml, *.yml in order of their names); may be repeated
    #[arg(short = 'r', long = "rules", required = true, num_args = 1.., value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// One JSON object a line, in Falco's own shape
    #[arg(long)]
    json: bool,
    /// Threads to use; changes the time it takes and nothing else [default: one per CPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// Use what was known when an event was recorded, not what the case learned later
    #[arg(long, value_enum, default_value_t = Resolve::Case)]
    resolve: Resolve,
    /// No summary on stderr
    #[arg(short, long)]
    quiet: bool,
}

/// Replays.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let rules = load(&args.rules)?;
    let case = output::open_case(&args.case)?;
    let options = Options {
        threads: args.threads.map_or_else(output::threads, |n| n as usize),
        resolve_late: args.resolve == Resolve::Case,
        ..Options::default()
    };
    let mut out = output::stdout();
    let mut written = Ok(());
    let outcome = Engine::new(&rules).replay(&case, &options, &mut |alert| {
        if written.is_ok() {
            written = writeln!(out, "{}", if args.json { alert.json() } else { alert.text() });
        }
    });
    written?;
    out.flush()?;
    if !args.quiet {
        eprintln!("ctrace: {outcome}");
    }
    output::report(&outcome.problems);
    let found = if outcome.alerts > 0 { exit::FINDINGS } else { exit::DONE };
    Ok(output::exit_code(
        case.problems().iter().chain(&outcome.problems),
        found,
    ))
}

/// Reads and checks rules; everything that is wrong with them is told at once.
fn load(paths: &[PathBuf]) -> anyhow::Result<RuleSet> {
    let mut texts = Vec::new();
    for path in paths
        .iter()
        .map(|p| files(p))
        .collect::<anyhow::Result<Vec<_>>>()?
        .into_iter()
        .flatten()
    {
        let text = fs::read_to_string(&path).with_context(|| format!("rules {}", path.display()))?;
        texts.push((path.display().to_string(), text));
    }
    let files: Vec<RuleFile<'_>> = texts.iter().map(|(name, text)| RuleFile { name, text }).collect();
    let rules = ctrace_replay::load(&files, &LoadOptions::default()).map_err(exit::usage)?;
    rules.warnings().iter().for_each(|w| eprintln!("ctrace: {w}"));
    Ok(rules)
}

/// A file as it is; the rules files of a folder in order of their names.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let is_rules = |p: &PathBuf| p.extension().is_some_and(|e| e == "yaml" || e == "yml");
    let entries = fs::read_dir(path).with_context(|| format!("rules {}", path.display()))?;
    let mut files: Vec<PathBuf> = entries
        .map(|e| e.map(|e| e.path()))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .filter(is_rules)
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(exit::usage(anyhow::anyhow!(
            "{}: no *.yaml or *.yml in this folder",
            path.display()
        )));
    }
    Ok(files)
}

//! `ctrace replay`: rules over a case, alerts on stdout.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use ctrace_replay::{Alert, Engine, LoadOptions, Options, RuleFile, RuleSet};
use ctrace_trace::escape;

use crate::progress::Progress;
use crate::read::Resolve;
use crate::{diagnosis, exit, output};

/// A rules file may have this many bytes; all of Falco's rules have half a million.
const MAX_RULES: u64 = 64 << 20;

/// Arguments of `ctrace replay`.
#[derive(clap::Args)]
#[command(override_usage = "ctrace replay [OPTIONS] <CASE> --rules <FILE>...")]
pub(crate) struct Args {
    /// Case folder or segment file
    // Optional for the parser alone: in `--rules FILE CASE` it takes the case for another file.
    case: Option<PathBuf>,
    /// Rules files in Falco's format, or folders of them (*.yaml, *.yml in order of their names)
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
    let Some(rules) = load(rules)? else {
        return Ok(exit::USAGE);
    };
    let case = output::open_case(case)?;
    let options = Options {
        threads: args.threads.map_or_else(output::threads, |n| n as usize),
        resolve_late: args.resolve == Resolve::Case,
        ..Options::default()
    };
    let progress = Progress::new(case.totals().events);
    let mut out = output::stdout();
    let mut written = Ok(());
    let outcome = Engine::new(&rules).replay(&case, &options, &mut |alert| {
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

/// Reads and checks rules; everything that is wrong with them is told at once, and then there is nothing.
pub(crate) fn load(paths: &[PathBuf]) -> anyhow::Result<Option<RuleSet>> {
    let mut texts = Vec::new();
    for path in paths
        .iter()
        .map(|p| files(p))
        .collect::<anyhow::Result<Vec<_>>>()?
        .into_iter()
        .flatten()
    {
        texts.push((path.display().to_string(), text(&path)?));
    }
    let files: Vec<RuleFile<'_>> = texts.iter().map(|(name, text)| RuleFile { name, text }).collect();
    let text_of = |name: &str| texts.iter().find(|t| t.0 == name).map(|t| t.1.as_str());
    let rules = match ctrace_replay::load(&files, &LoadOptions::default()) {
        Ok(rules) => rules,
        Err(wrong) => {
            diagnosis::print(&wrong.0, text_of);
            let errors = if wrong.0.len() == 1 {
                "an error".to_owned()
            } else {
                format!("{} errors", wrong.0.len())
            };
            output::note(&format!("{errors} in the rules; no event was looked at"));
            return Ok(None);
        }
    };
    diagnosis::print(rules.warnings(), text_of);
    if !rules.rules().iter().any(|r| r.active) {
        let why = if rules.rules().is_empty() {
            "no rule in"
        } else {
            "no rule is enabled in"
        };
        let names: Vec<&str> = files.iter().map(|f| f.name).collect();
        return Err(exit::usage(anyhow::anyhow!("{why} {}", names.join(", "))));
    }
    Ok(Some(rules))
}

/// A rules file's text.
fn text(path: &Path) -> anyhow::Result<String> {
    let name = || format!("rules {}", path.display());
    let mut bytes = Vec::new();
    File::open(path)
        .with_context(name)?
        .take(MAX_RULES + 1)
        .read_to_end(&mut bytes)
        .with_context(name)?;
    if bytes.len() as u64 > MAX_RULES {
        return Err(exit::usage(anyhow::anyhow!(
            "{}: larger than {}",
            name(),
            output::size(MAX_RULES)
        )));
    }
    String::from_utf8(bytes).map_err(|e| {
        let valid = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|b| **b == b'\n').count() + 1;
        exit::usage(anyhow::anyhow!("{}:{line}: not UTF-8", path.display()))
    })
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

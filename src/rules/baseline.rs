//! `ctrace rules baseline`: learning what is normal.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use ctrace_replay::Baseline;

use crate::{exit, output};

/// Arguments of `ctrace rules baseline`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Learn from captures, per image, which programs, users, written folders and connections are normal, and write
    /// rules that report everything else
    Learn(Learn),
}

/// Arguments of `ctrace rules baseline learn`.
#[derive(clap::Args)]
struct Learn {
    /// Captures in which nothing bad happened
    #[arg(required = true, value_name = "CASE")]
    cases: Vec<PathBuf>,
    /// Where to write the rules [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let Command::Learn(args) = &args.command;
    let mut baseline = Baseline::new()?;
    for path in &args.cases {
        baseline.add(&output::open_case(path)?, output::threads());
    }
    output::report(baseline.problems());
    let rules = baseline.rules();
    match &args.output {
        Some(path) => fs::write(path, rules).with_context(|| format!("rules {}", path.display()))?,
        None => {
            let mut out = output::stdout();
            out.write_all(rules.as_bytes())?;
            out.flush()?;
        }
    }
    output::note(&format!(
        "learned what is normal in {} images (the host counts as one)",
        baseline.images()
    ));
    Ok(output::exit_code(baseline.problems(), exit::DONE))
}

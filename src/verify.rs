//! `ctrace verify`: whether a case and rules give what a certificate says.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;

use anyhow::Context;
use ctrace_replay::{AlertDigest, Certificate, Engine, Options};
use ctrace_trace::escape;

use crate::{certificate, exit, output, rule_files};

/// A certificate may have this many bytes; the largest that is written has some hundred thousand.
const MAX_CERTIFICATE: u64 = 16 << 20;

/// Arguments of `ctrace verify`.
#[derive(clap::Args)]
#[command(override_usage = "ctrace verify [OPTIONS] <CASE> --certificate <FILE> --rules <FILE>...")]
pub(crate) struct Args {
    /// Case folder or segment file
    case: PathBuf,
    /// The certificate, as `ctrace replay --certificate` wrote it
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// The rules files, in the order in which they were given to the replay
    #[arg(short = 'r', long = "rules", required = true, num_args = 1.., value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// Threads to use; changes the time it takes and nothing else [default: one per CPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
}

/// Replays and compares. 1 where something differs.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let claimed = Certificate::parse(&text(args)?)
        .and_then(|certificate| certificate.options().map(|options| (certificate, options)))
        .map_err(|e| exit::usage(anyhow::anyhow!("certificate {}: {e}", args.certificate.display())))?;
    let (claimed, (load, options)) = claimed;
    let Some(rules) = rule_files::load(&args.rules, &load)? else {
        return Ok(exit::USAGE);
    };
    let case = output::open_case(&args.case)?;
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
                "the same: case, rules, engine, options and {} alerts",
                outcome.alerts
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

fn text(args: &Args) -> anyhow::Result<String> {
    let name = || format!("certificate {}", args.certificate.display());
    let mut text = Vec::new();
    File::open(&args.certificate)
        .with_context(name)?
        .take(MAX_CERTIFICATE)
        .read_to_end(&mut text)
        .with_context(name)?;
    String::from_utf8(text).map_err(|_| exit::usage(anyhow::anyhow!("{}: not UTF-8", name())))
}

//! `ctrace export`: the tables of a case as Parquet.

use std::path::PathBuf;
use std::time::Instant;

use ctrace_query::export::{export, rows_expected};
use ctrace_query::{Options, Session};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::query::coded;
use crate::read::Resolve;
use crate::{exit, output};

/// Arguments of `ctrace export`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Case folder or segment file
    case: PathBuf,
    /// Folder for the files: new or empty
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Write what was known when an event was recorded, not what the case learned later
    #[arg(long, value_enum, default_value_t = Resolve::Case)]
    resolve: Resolve,
    /// Threads to use [default: one per CPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
    /// No summary on stderr
    #[arg(short, long)]
    quiet: bool,
}

/// Exports.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let case = output::open_case(&args.case)?;
    let mut options = Options {
        resolve_late: args.resolve == Resolve::Case,
        ..Options::default()
    };
    options.threads = args.threads.map_or(options.threads, |n| n as usize);
    let known = case.problems().to_vec();
    let session = Session::case(case, &options).map_err(coded)?;
    let start = Instant::now();
    let bar = progress_bar(rows_expected(&session), args.quiet);
    let exported = export(&session, &args.output, &|done, _| bar.set_position(done));
    bar.finish_and_clear();
    let exported = exported.map_err(coded)?;
    let fresh: Vec<_> = exported
        .problems
        .iter()
        .filter(|p| !known.contains(p))
        .cloned()
        .collect();
    output::report(&fresh);
    if !args.quiet {
        let rows: Vec<String> = exported
            .tables
            .iter()
            .map(|(name, rows)| format!("{name} {rows}"))
            .collect();
        let (size, time) = (
            output::size(exported.bytes),
            output::span(start.elapsed().as_nanos() as u64),
        );
        output::note(&format!(
            "{}; {}, {size}, {time}",
            rows.join(", "),
            output::count(exported.files as u64, "file")
        ));
    }
    Ok(output::exit_code(&exported.problems, exit::DONE))
}

/// A bar on stderr; hidden where that is no terminal.
fn progress_bar(rows: u64, quiet: bool) -> ProgressBar {
    let target = if quiet {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(Some(rows), target);
    match ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} rows, {per_sec}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

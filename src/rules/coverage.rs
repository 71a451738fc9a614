//! `ctrace rules coverage`: what rules cover, and what of it captures fire.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use ctrace_replay::Coverage;
use ctrace_trace::escape;

use crate::rule_files::{self, Selection};
use crate::{exit, output};

/// Arguments of `ctrace rules coverage`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rules files, or folders of them
    #[arg(required = true, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// Captures to replay: case folders or segment files
    #[arg(long = "case", num_args = 1.., value_name = "CASE")]
    cases: Vec<PathBuf>,
    /// Write a layer for the ATT&CK Navigator
    #[arg(long, value_name = "FILE")]
    navigator: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: Selection,
}

/// Tells.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let Some(loaded) = rule_files::load(&args.rules, &args.selection.options())? else {
        return Ok(exit::USAGE);
    };
    let mut coverage = Coverage::new(&loaded.set);
    for path in &args.cases {
        let case = output::open_case(path)?;
        coverage.add(&case, output::threads());
    }
    output::report(coverage.problems());
    if let Some(path) = &args.navigator {
        let layer = format!("{:#}\n", coverage.navigator("ctrace rules"));
        fs::write(path, layer).with_context(|| format!("layer {}", path.display()))?;
    }
    let mut out = output::stdout();
    if args.json {
        writeln!(out, "{}", escape::json(&coverage.json().to_string()))?;
    } else {
        text(&mut out, &coverage, !args.cases.is_empty())?;
    }
    out.flush()?;
    Ok(output::exit_code(coverage.problems(), exit::DONE))
}

fn text(out: &mut impl Write, coverage: &Coverage<'_>, replayed: bool) -> io::Result<()> {
    let techniques = coverage.techniques();
    let fired = techniques.values().filter(|t| t.alerts > 0).count();
    writeln!(out, "{} techniques covered, {fired} fired", techniques.len())?;
    let head = ["technique", "rules", "alerts", "names"].map(str::to_owned).to_vec();
    let rows = techniques.iter().map(|(id, t)| {
        let names = escape::text(&t.rules.join(", "));
        vec![id.clone(), t.rules.len().to_string(), t.alerts.to_string(), names]
    });
    output::table(out, "  ", &[head].into_iter().chain(rows).collect::<Vec<_>>())?;
    if !replayed {
        return Ok(());
    }
    let dead: Vec<&str> = coverage
        .fired()
        .filter(|(_, n)| *n == 0)
        .map(|(name, _)| name)
        .collect();
    writeln!(
        out,
        "\n{} of {} rules never fired",
        dead.len(),
        coverage.fired().count()
    )?;
    for name in dead {
        writeln!(out, "  {}", escape::text(name))?;
    }
    let never = coverage.never_true();
    writeln!(out, "\n{} comparisons were never true", never.len())?;
    for (comparison, rules) in never {
        let line = format!("{comparison}   ({})", rules.join(", "));
        writeln!(out, "  {}", escape::text(&line))?;
    }
    Ok(())
}

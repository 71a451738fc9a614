//! `ctrace rules list`: the rules of some files.

use std::io::Write;
use std::path::PathBuf;

use ctrace_replay::Rule;
use ctrace_trace::escape;
use serde_json::json;

use crate::rule_files::{self, Selection};
use crate::{exit, output};

/// Arguments of `ctrace rules list`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rules files, or folders of them
    #[arg(required = true, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// Rules that do not run too: disabled ones, and those that the options leave out
    #[arg(short, long)]
    all: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: Selection,
}

/// Lists.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let Some(loaded) = rule_files::load(&args.rules, &args.selection.options())? else {
        return Ok(exit::USAGE);
    };
    let shown: Vec<&Rule> = loaded.set.rules().iter().filter(|r| args.all || r.active).collect();
    let mut out = output::stdout();
    if args.json {
        for rule in shown {
            let line = json!({
                "rule": rule.name,
                "description": rule.description.trim(),
                "priority": rule.priority.name(),
                "source": rule.source,
                "tags": rule.tags,
                "active": rule.active,
            });
            writeln!(out, "{}", escape::json(&line.to_string()))?;
        }
    } else {
        let row = |rule: &&Rule| {
            let off = if rule.active { "" } else { " (off)" };
            let tags = rule.tags.join(", ");
            vec![
                rule.priority.to_string(),
                rule.source.clone(),
                escape::text(&format!("{}{off}  [{tags}]", rule.name)),
            ]
        };
        let rows: Vec<Vec<String>> = shown.iter().map(row).collect();
        output::table(&mut out, "", &rows)?;
    }
    out.flush()?;
    Ok(exit::DONE)
}

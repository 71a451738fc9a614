//! `ctrace rules sql`: the conditions of rules as SQL.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use ctrace_trace::escape;

use crate::rule_files::{self, Selection};
use crate::{exit, output};

/// Arguments of `ctrace rules sql`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rules files, or folders of them
    #[arg(required = true, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// Only the rule of that name; may be given several times
    #[arg(long = "rule", value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    selection: Selection,
}

/// Prints a statement for each rule; exit code 1 where SQL has no words for one of them.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let Some(loaded) = rule_files::load(&args.rules, &args.selection.options())? else {
        return Ok(exit::USAGE);
    };
    let rules = loaded.set.rules().iter().enumerate();
    let rules: Vec<_> = rules
        .filter(|(_, rule)| rule.active && (args.names.is_empty() || args.names.contains(&rule.name)))
        .collect();
    if let Some(name) = args
        .names
        .iter()
        .find(|name| rules.iter().all(|(_, r)| r.name != **name))
    {
        return Err(exit::usage(anyhow::anyhow!("no rule '{}' runs", escape::text(name))));
    }
    let is_shown = io::stdout().is_terminal();
    let mut out = output::stdout();
    let mut code = exit::DONE;
    for (at, rule) in rules {
        let name = escape::text(&rule.name);
        match loaded.set.sql(at) {
            Ok(condition) => {
                // As it is for engines; a terminal does not obey what stands in a rule.
                let condition = if is_shown { escape::text(&condition) } else { condition };
                writeln!(out, "-- {name}\nSELECT * FROM events WHERE {condition};")?;
            }
            Err(why) => {
                writeln!(out, "-- {name}\n-- not SQL: {}", escape::text(&why.to_string()))?;
                code = exit::FINDINGS;
            }
        }
    }
    out.flush()?;
    Ok(code)
}

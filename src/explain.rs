//! `ctrace explain`: why a rule fires on an event, or does not.

use std::io::Write;
use std::path::PathBuf;

use ctrace_replay::{Finder, LoadOptions};
use ctrace_trace::block::decoded::EventView;
use ctrace_trace::catalogue::{self, FieldArg, Value};
use ctrace_trace::escape;

use crate::read::Resolve;
use crate::{exit, output, rule_files};

const USAGE: &str = "ctrace explain [OPTIONS] <RULE> <EVENT> <CASE> --rules <FILE>...";

/// Arguments of `ctrace explain`.
#[derive(clap::Args)]
#[command(override_usage = USAGE)]
pub(crate) struct Args {
    /// Name of the rule, or the beginning of it
    rule: String,
    /// Number of the event (evt.num; `replay --ids` shows it)
    event: u64,
    /// Case folder or segment file
    case: Option<PathBuf>,
    /// Rules files in Falco's format, or folders of them
    #[arg(short = 'r', long = "rules", required = true, num_args = 1.., value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// One JSON object
    #[arg(long)]
    json: bool,
    /// Whose knowledge names containers: the whole case's, or only what was known when the event was recorded
    #[arg(long, value_enum, default_value_t = Resolve::Case, value_name = "WHOSE")]
    resolve: Resolve,
}

/// Explains.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let (case, rules) = rule_files::and_case(args.case.as_deref(), &args.rules, USAGE)?;
    let Some(rules) = rule_files::load(rules, &LoadOptions::default())? else {
        return Ok(exit::USAGE);
    };
    let rule = rules.set.named(&args.rule).map_err(exit::usage)?;
    let case = output::open_case(case)?;
    let mut finder = Finder::new(&case, args.resolve == Resolve::Case);
    let found = match finder.with(args.event, |e| (about(e), rules.set.explain(rule, e))) {
        Ok(found) => found,
        Err(problem) => return Err(exit::damaged(anyhow::anyhow!("{problem}"))),
    };
    let Some((about, explanation)) = found else {
        return Err(exit::usage(anyhow::anyhow!("the case has no event {}", args.event)));
    };
    let Some(explanation) = explanation else {
        return Err(exit::usage(anyhow::anyhow!(
            "the rule's macros nest too deeply to be shown"
        )));
    };
    let mut out = output::stdout();
    if args.json {
        writeln!(out, "{}", escape::json(&explanation.json().to_string()))?;
    } else {
        for line in explanation.report(Some(&about)) {
            writeln!(out, "{}", escape::text(&line))?;
        }
    }
    out.flush()?;
    Ok(exit::DONE)
}

/// What stands above the tree: when, what, by whom.
fn about(event: EventView<'_>) -> String {
    let field = |name: &str| match catalogue::find(name).map(|f| f.of(event, &FieldArg::None)) {
        None | Some(Value::Absent) => "<NA>".to_owned(),
        Some(Value::Str(s)) => escape::bytes(&s),
        Some(other) => other.to_string(),
    };
    format!(
        "{}: {} by {} (pid {}, container {})",
        output::time(event.ts()),
        field("evt.type"),
        field("proc.name"),
        field("proc.pid"),
        field("container.name"),
    )
}

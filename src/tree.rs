//! `ctrace tree`: the processes of a case under those that started them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;

use ctrace_query::tree::{Tree, Which};
use ctrace_query::{Options, Session};
use ctrace_replay::Engine;
use ctrace_trace::case::Case;
use ctrace_trace::escape;
use ctrace_trace::segment::Problem;

use crate::query::coded;
use crate::rule_files::{self, Loaded, Selection};
use crate::{exit, output, when};

const USAGE: &str = "ctrace tree [OPTIONS] <CASE>";

/// Arguments of `ctrace tree`.
#[derive(clap::Args)]
#[command(override_usage = USAGE)]
pub(crate) struct Args {
    /// Case folder or segment file
    case: Option<PathBuf>,
    /// Show the processes that there were at this time (2026-11-21T10:11:12Z, or seconds since 1970)
    #[arg(long, value_name = "TIME", value_parser = when::time, allow_hyphen_values = true)]
    at: Option<u64>,
    /// Show only processes with this id and their descendants
    #[arg(long, value_name = "N")]
    pid: Option<u32>,
    /// Show the alerts of these rules under the processes that raised them
    #[arg(short = 'r', long = "rules", num_args = 1.., value_name = "FILE")]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    selection: Selection,
    /// One JSON object a line for each process, parents first
    #[arg(long)]
    json: bool,
}

/// Prints it.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let (case, rules) = rule_files::and_case(args.case.as_deref(), &args.rules, USAGE)?;
    let loaded = match rules {
        [] => None,
        rules => match rule_files::load(rules, &args.selection.options())? {
            Some(loaded) => Some(loaded),
            None => return Ok(exit::USAGE),
        },
    };
    let case = output::open_case(case)?;
    let mut problems = case.problems().to_vec();
    let alerts = loaded.map(|l| alerts(&case, &l, &args.selection, &mut problems));
    let session = Session::case(case, &Options::default()).map_err(coded)?;
    let mut tree = Tree::of(&session).map_err(coded)?;
    for (rule, events) in alerts.unwrap_or_default() {
        tree.add_alerts(&session, &rule, &events).map_err(coded)?;
    }
    let late = session.problems();
    output::report(&late);
    problems.extend(late);
    print(&tree, args)?;
    Ok(output::exit_code(&problems, exit::DONE))
}

/// A rule that matched: what is shown of it, and the numbers of the events.
type Matched = (String, BTreeSet<u64>);

fn alerts(case: &Case, loaded: &Loaded, selection: &Selection, problems: &mut Vec<Problem>) -> Vec<Matched> {
    let options = ctrace_replay::Options {
        threads: output::threads(),
        resolve_late: true,
        matching: selection.matching.into(),
    };
    let mut matched: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    let outcome = Engine::new(&loaded.set).replay(case, &options, &mut |alert| {
        let shown = format!("{} {}", alert.priority().name(), alert.rule());
        matched.entry(shown).or_default().insert(alert.event);
    });
    output::report(&outcome.problems);
    problems.extend(outcome.problems);
    matched.into_iter().collect()
}

fn print(tree: &Tree, args: &Args) -> anyhow::Result<()> {
    let mut out = output::stdout();
    let which = Which {
        pid: args.pid,
        at: args.at,
    };
    if args.json {
        for object in tree.objects(which) {
            writeln!(out, "{}", escape::json(&object.to_string()))?;
        }
    } else {
        output::table(&mut out, "", &tree.lines(which))?;
    }
    Ok(out.flush()?)
}

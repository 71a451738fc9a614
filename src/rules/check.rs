//! `ctrace rules check`: what becomes of each rule of some files.

use std::io::Write;
use std::path::PathBuf;

use ctrace_replay::{Checked, Severity, Verdict};
use ctrace_trace::escape;
use serde_json::json;

use crate::rule_files::{self, Selection};
use crate::{diagnosis, exit, output};

/// Arguments of `ctrace rules check`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rules files in Falco's or Sigma's format, or folders of them
    #[arg(required = true, value_name = "FILE")]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    selection: Selection,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// No summary and no messages on stderr
    #[arg(short, long)]
    quiet: bool,
}

/// Checks. The exit code is 2 when something is wrong, 1 when a rule cannot run here.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let texts = rule_files::texts(&args.rules)?;
    let files = rule_files::as_files(&texts);
    let report = ctrace_replay::check(&files, &args.selection.options());
    let mut out = output::stdout();
    for rule in &report.rules {
        let line = if args.json { as_json(rule) } else { as_text(rule) };
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    let wrong = report.diagnostics.iter().any(|d| d.severity == Severity::Error);
    let loaded = report
        .rules
        .iter()
        .filter(|r| matches!(r.verdict, Verdict::Loads { .. }));
    let loaded = loaded.count();
    if !args.quiet {
        let errors: Vec<_> = report
            .diagnostics
            .into_iter()
            .filter(|d| d.severity == Severity::Error)
            .collect();
        diagnosis::print(&errors, |name| texts.iter().find(|t| t.0 == name).map(|t| t.1.as_str()));
        output::note(&format!("{loaded} of {} rules load", report.rules.len()));
    }
    Ok(match (wrong, loaded == report.rules.len()) {
        (true, _) => exit::USAGE,
        (false, false) => exit::FINDINGS,
        (false, true) => exit::DONE,
    })
}

fn as_text(rule: &Checked) -> String {
    let place = format!("{}:{}", rule.file, rule.line);
    let line = match &rule.verdict {
        Verdict::Loads {
            source,
            active,
            never_recorded,
        } => {
            let off = if *active { "" } else { ", disabled" };
            let notes: String = never_recorded.iter().map(|n| format!("\n    {n}")).collect();
            return format!(
                "{}{notes}",
                escape::text(&format!("loads    {}  [{source}{off}]  {place}", rule.name))
            );
        }
        Verdict::LeftOut(why) => format!("left out {}  {place}: {why}", rule.name),
        Verdict::Wrong(why) => format!("wrong    {}  {place}: {why}", rule.name),
    };
    escape::text(&line)
}

fn as_json(rule: &Checked) -> String {
    let mut object = json!({
        "rule": rule.name,
        "file": rule.file,
        "line": rule.line,
        "language": rule.language.name(),
    });
    let more = match &rule.verdict {
        Verdict::Loads {
            source,
            active,
            never_recorded,
        } => json!({ "verdict": "loads", "source": source, "enabled": active, "never_recorded": never_recorded }),
        Verdict::LeftOut(why) => json!({ "verdict": "left_out", "why": why }),
        Verdict::Wrong(why) => json!({ "verdict": "wrong", "why": why }),
    };
    if let (Some(object), serde_json::Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    escape::json(&object.to_string()).into_owned()
}

//! What table function `alerts('RULES', …)` does: the replay of rules over the session's case.

use std::path::PathBuf;
use std::sync::Arc;

use ctrace_query::{AlertRow, Options, ReplayRules};
use ctrace_replay::{Alert, Engine, LoadOptions};
use ctrace_trace::case::Case;

use crate::rule_files;

/// Replays with the settings of the session.
pub(super) fn replay(options: &Options) -> Arc<ReplayRules> {
    let options = ctrace_replay::Options {
        threads: options.threads,
        resolve_late: options.resolve_late,
        ..ctrace_replay::Options::default()
    };
    Arc::new(move |case: &Case, rules: &[String]| {
        let paths: Vec<PathBuf> = rules.iter().map(PathBuf::from).collect();
        let rules = rule_files::load(&paths, &LoadOptions::default()).map_err(|e| format!("{e:#}"))?;
        let rules = rules.ok_or("the rules have errors")?;
        let mut rows = Vec::new();
        Engine::new(&rules.set).replay(case, &options, &mut |alert| rows.push(row(alert)));
        Ok(rows)
    })
}

fn row(alert: &Alert) -> AlertRow {
    AlertRow {
        id: alert.id.clone(),
        seq: alert.event,
        ts: alert.ts,
        rule: alert.rule.clone(),
        priority: alert.priority.to_string(),
        tags: alert.tags.clone(),
        output: alert.message.clone(),
        fields: serde_json::Value::Object(alert.fields.clone()).to_string(),
    }
}

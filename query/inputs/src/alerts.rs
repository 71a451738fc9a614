//! Alerts as rows: what table function `alerts('RULES', …)` does, and the replay of a session's cases.

use std::path::PathBuf;
use std::sync::Arc;

use ctrace_query::{AlertRow, ReplayRules};
use ctrace_replay::{Alert, Engine, Options};
use ctrace_trace::case::Case;

use crate::rules::Loaded;

/// What `alerts(…)` does in a session whose statements run with these options. `load` reads the rules, or says in one
/// line why not.
pub fn function(
    options: &ctrace_query::Options,
    load: impl Fn(&[PathBuf]) -> Result<Loaded, String> + Send + Sync + 'static,
) -> Arc<ReplayRules> {
    let options = Options {
        threads: options.threads,
        resolve_late: options.resolve_late,
        ..Options::default()
    };
    Arc::new(move |case: &Case, files: &[String]| {
        let paths: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
        let rules = load(&paths)?;
        let mut rows = Vec::new();
        Engine::new(&rules.set).replay(case, &options, &mut |alert| rows.push(row(alert)));
        Ok(rows)
    })
}

/// An alert as a row.
pub fn row(alert: &Alert) -> AlertRow {
    AlertRow {
        id: alert.id(),
        seq: alert.event,
        ts: alert.ts,
        rule: alert.rule().to_owned(),
        priority: alert.priority().to_string(),
        tags: alert.tags().to_vec(),
        output: alert.message(),
        fields: alert.fields_json(),
    }
}

//! Rules over the cases of a session.

use std::path::PathBuf;

use ctrace_inputs::rules::{self, Loaded};
use ctrace_inputs::{InputError, alerts};
use ctrace_query::{AlertRow, QueryError, Session};
use ctrace_replay::{
    Diagnostics, Engine, Fate, Finder, Inspection, LoadOptions, Matching, Options, Priority, Suppressions, Triage,
};
use ctrace_trace::case::Case;
use ctrace_trace::escape;
use pyo3::prelude::*;

use crate::error::{self, Error, RulesError, StatementError};

/// What is replayed, and which alerts are wanted.
#[derive(FromPyObject)]
pub(crate) struct Wanted {
    rules: Vec<PathBuf>,
    suppress: Vec<PathBuf>,
    tags: Vec<String>,
    without_tags: Vec<String>,
    enable: Vec<String>,
    disable: Vec<String>,
    priority: Option<String>,
    /// All rules that match an event raise an alert, not the first alone.
    all_matching: bool,
}

/// What became of it beside the alerts.
#[derive(Default)]
pub(crate) struct Told {
    /// Warnings about the rules.
    pub(crate) warnings: Vec<String>,
    /// Blocks that could not be read.
    pub(crate) problems: Vec<String>,
    /// Alerts that suppressions left out.
    pub(crate) suppressed: u64,
}

impl Wanted {
    fn load(&self) -> PyResult<Loaded> {
        let priority = self.priority.as_deref().map(priority).transpose()?;
        let options = LoadOptions {
            min_priority: priority,
            tags: self.tags.clone(),
            without_tags: self.without_tags.clone(),
            enable: self.enable.clone(),
            disable: self.disable.clone(),
            ..LoadOptions::default()
        };
        rules::load(&self.rules, &options).map_err(|e| error::of_rules(&e))
    }

    fn inspection(&self) -> PyResult<Option<Inspection>> {
        if self.suppress.is_empty() {
            return Ok(None);
        }
        let wrong = |texts: Vec<(String, String)>| {
            move |Diagnostics(wrong): Diagnostics| error::of_rules(&InputError::Rules { wrong, texts })
        };
        let texts = rules::read(&self.suppress, "suppressions").map_err(|e| error::of_rules(&e))?;
        let found = Suppressions::load(&rules::as_files(&texts)).map_err(wrong(texts.clone()))?;
        Inspection::new(&[], found).map(Some).map_err(wrong(texts))
    }

    /// The alerts of all cases.
    pub(crate) fn replay(
        &self,
        session: &Session,
        options: &ctrace_query::Options,
        told: &mut Told,
    ) -> PyResult<crate::table::Table> {
        let loaded = self.load()?;
        told.warnings = ctrace_inputs::diagnosis::lines(loaded.set.warnings(), |name| loaded.text(name));
        let inspection = self.inspection()?;
        let mut engine = Engine::new(&loaded.set);
        if let Some(inspection) = &inspection {
            engine = engine.inspecting(inspection);
        }
        let options = Options {
            threads: options.threads,
            resolve_late: options.resolve_late,
            matching: if self.all_matching {
                Matching::All
            } else {
                Matching::First
            },
        };
        let replay = |case: &Case| -> Result<Vec<AlertRow>, QueryError> {
            let mut rows = Vec::new();
            let mut triage = Triage::default();
            let outcome = engine.replay(case, &options, &mut |alert| match triage.judge(alert) {
                Fate::Suppressed(_) => told.suppressed += 1,
                Fate::Shown | Fate::Repeated | Fate::Limited => rows.push(alerts::row(alert)),
            });
            told.problems
                .extend(outcome.problems.iter().map(|p| escape::text(&p.to_string())));
            Ok(rows)
        };
        let (schema, batches) = session.alerts(replay).map_err(|e| error::of_query(&e))?;
        crate::table::Table::new(&schema, &batches).map_err(|e| error::of_query(&e))
    }
}

fn priority(text: &str) -> PyResult<Priority> {
    Priority::parse(text).ok_or_else(|| {
        let names = Priority::ALL.map(|p| p.name().to_ascii_lowercase()).join(", ");
        StatementError::new_err(format!("priority: not one of {names}"))
    })
}

/// Why a rule fires on an event of a case, or does not: lines, safe to show.
pub(crate) fn explain(case: &Case, rules: &[PathBuf], rule: &str, event: u64, resolve_late: bool) -> PyResult<String> {
    let loaded = rules::load(rules, &LoadOptions::default()).map_err(|e| error::of_rules(&e))?;
    let at = loaded.set.named(rule);
    let at = at.map_err(|e| RulesError::new_err(escape::text(&e.to_string())))?;
    let mut finder = Finder::new(case, resolve_late);
    let found = finder.with(event, |e| loaded.set.explain(at, e));
    let found = found.map_err(|p| error::DataError::new_err(escape::text(&p.to_string())))?;
    let explanation = found
        .ok_or_else(|| Error::new_err(format!("the case has no event {event}")))?
        .ok_or_else(|| RulesError::new_err("the rule's macros nest too deeply to be shown"))?;
    let lines: Vec<String> = explanation.report(None).iter().map(|l| escape::text(l)).collect();
    Ok(lines.join("\n"))
}

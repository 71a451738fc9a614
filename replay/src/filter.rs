//! A single condition without lists and macros, as `ctrace read` takes it.

use std::collections::BTreeSet;

use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::event::EventType;
use ctrace_trace::schema::{EventSpec, Schema};

use crate::condition::{self, ast::Value};
use crate::diagnostics::{Diagnostic, Diagnostics, Severity};
use crate::engine::confirm;
use crate::engine::plan::{Plan, Wanted};
use crate::source::{Loc, Origin, Sources, Style, Text};
use crate::typed::compile::{self, CompileError, ErrorKind, Names};
use crate::typed::formula::{Formulas, NodeId};

/// A condition over events of every source.
#[derive(Debug)]
pub struct Filter {
    pub(crate) formulas: Formulas,
    pub(crate) condition: NodeId,
    warnings: Vec<Diagnostic>,
}

impl Filter {
    /// Parses and checks a condition.
    ///
    /// # Errors
    /// Everything that is wrong with it; the "file" of the messages is `filter`.
    pub fn parse(text: &str) -> Result<Filter, Diagnostics> {
        let (sources, id) = sources_of("filter", text);
        let mut formulas = Formulas::default();
        let mut errors = Vec::new();
        let parsed = condition::parse(text, id).map_err(|e| {
            Diagnostics(vec![Diagnostic {
                suggestion: e.suggestion,
                ..sources.at_loc(Severity::Error, e.loc, e.message)
            }])
        })?;
        let node = compile::condition(&parsed, &mut NoNames, &mut formulas, &mut errors);
        let warnings = settle(&sources, errors)?;
        let condition = node.ok_or_else(|| Diagnostics(warnings.clone()))?;
        Ok(Filter {
            formulas,
            condition,
            warnings,
        })
    }

    /// What is odd about the condition.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Columns that must be decoded for [`Filter::rows`].
    pub fn needs(&self) -> Need {
        let mut need = Need::KIND | Need::CONTEXT;
        (0..self.formulas.atom_count()).for_each(|i| {
            let atom = self.formulas.atom_of(crate::typed::formula::AtomId(i as u32));
            need |= atom.map_or(Need::NOTHING, |a| a.needs());
        });
        need
    }

    /// The columns that [`Filter::rows`] needs of a block with these event types; `None` when no event can match.
    pub fn needs_of(&self, schema: &Schema, kinds: impl Iterator<Item = EventType> + Clone) -> Option<Need> {
        self.plan(schema, &kinds.clone().collect()).need(kinds)
    }

    /// The rows of a block for which the condition holds, ascending.
    pub fn rows(&self, block: &Decoded) -> Vec<u32> {
        let specs: Vec<EventSpec> = block.kinds.iter().map(|k| EventSpec::clone(&k.spec)).collect();
        let present = specs.iter().map(|s| s.id).collect();
        let plan = self.plan(&Schema::new(specs), &present);
        confirm::matches(&plan, block, true)
            .into_iter()
            .map(|h| h.row)
            .collect()
    }

    fn plan(&self, schema: &Schema, present: &BTreeSet<EventType>) -> Plan {
        let wanted = [Wanted {
            condition: self.condition,
            source: None,
            independent: false,
        }];
        Plan::new(&self.formulas, &wanted, schema, present)
    }
}

/// The sources for a text that stands in no file.
pub(crate) fn sources_of(name: &str, text: &str) -> (Sources, u32) {
    let mut sources = Sources::default();
    let file = sources.add_file(name, text);
    let id = sources.add_text(Text::scalar(
        text,
        Origin {
            file,
            start: 0,
            style: Style::Verbatim,
        },
    ));
    (sources, id)
}

/// Errors as diagnostics, or the warnings when there are none.
pub(crate) fn settle(sources: &Sources, errors: Vec<CompileError>) -> Result<Vec<Diagnostic>, Diagnostics> {
    let diagnostic = |e: CompileError| {
        let severity = if e.kind == ErrorKind::NeverRecorded {
            Severity::Warning
        } else {
            Severity::Error
        };
        Diagnostic {
            suggestion: e.suggestion,
            ..sources.at_loc(severity, e.loc, e.message)
        }
    };
    let all: Vec<Diagnostic> = errors.into_iter().map(diagnostic).collect();
    let (errors, warnings): (Vec<_>, Vec<_>) = all.into_iter().partition(|d| d.severity == Severity::Error);
    if errors.is_empty() {
        Ok(warnings)
    } else {
        Err(Diagnostics(errors))
    }
}

/// A filter has neither macros nor lists.
pub(crate) struct NoNames;

impl Names for NoNames {
    fn macro_node(&mut self, name: &str, loc: Loc, _: &mut Formulas, errors: &mut Vec<CompileError>) -> Option<NodeId> {
        let mut error = CompileError::new(loc, format!("expected a field and an operator, found '{name}'"));
        error.suggestion = crate::diagnostics::nearest(name, crate::fields::all_names());
        errors.push(error);
        None
    }

    fn list_items(&mut self, _: &str, _: &mut Vec<CompileError>) -> Option<Vec<Value>> {
        None
    }
}

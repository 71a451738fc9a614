//! A single condition, as `ctrace read` takes it.

use ctrace_trace::block::decoded::{Decoded, EventView};
use ctrace_trace::block::{BlockHead, Need};
use ctrace_trace::schema::Schema;

use crate::condition;
use crate::condition::ast::Value;
use crate::diagnostics::{Diagnostics, nearest};
use crate::engine::{self, Root};
use crate::source::{Loc, Origin, Sources, Style, Text};
use crate::typed::compile::{self, CompileError, Names};
use crate::typed::eval::Subject;
use crate::typed::formula::{Formulas, NodeId};

/// A condition in Falco's language: `proc.name = cat and evt.type in (open, openat)`.
#[derive(Debug)]
pub struct Filter {
    formulas: Formulas,
    node: NodeId,
}

impl Filter {
    /// Parses a condition.
    ///
    /// # Errors
    /// What is not of the language, unknown fields and event types, fields that ctrace cannot know, constants that do
    /// not fit their field.
    pub fn parse(text: &str) -> Result<Filter, Diagnostics> {
        let mut sources = Sources::default();
        let file = sources.add_file("filter", text);
        let id = sources.add_text(Text::scalar(text, Origin { file, start: 0, style: Style::Verbatim }));
        let expr = condition::parse(text, id).map_err(|e| Diagnostics::of_text(vec![e.into()], &sources))?;
        let (mut formulas, mut errors) = (Formulas::default(), Vec::new());
        match compile::condition(&expr, &mut NoNames, &mut formulas, &mut errors) {
            Some(node) if errors.is_empty() => Ok(Filter { formulas, node }),
            _ => Err(Diagnostics::of_text(errors, &sources)),
        }
    }

    /// Columns that must be decoded to ask an event.
    pub fn needs(&self) -> Need {
        let atoms = self.formulas.graph.atoms_of([self.node]);
        atoms.iter().filter_map(|a| self.formulas.atoms().get(a.0 as usize)).fold(Need::KIND, |n, a| n | a.needs())
    }

    /// Whether a block may hold an event that satisfies the filter, as its head tells.
    pub fn may_match(&self, head: &BlockHead, schema: &Schema) -> bool {
        let specs = head.kinds.iter().filter_map(|k| schema.get(k.id));
        engine::may_match(self.formulas.atoms(), &self.formulas.graph, self.root(), specs)
    }

    /// The rows of the events that satisfy the filter, ascending. The block must hold [`Filter::needs`].
    pub fn rows(&self, block: &Decoded) -> Vec<u32> {
        engine::rows(self.formulas.atoms(), &self.formulas.graph, self.root(), block)
    }

    /// Whether one event satisfies the filter; [`Filter::rows`] is faster for many.
    pub fn holds(&self, event: EventView<'_>) -> bool {
        self.formulas.holds(self.node, Subject::Event(event))
    }

    fn root(&self) -> Root {
        Root { node: self.node, source: None }
    }
}

/// A filter stands alone: there are neither macros nor lists.
struct NoNames;

impl Names for NoNames {
    fn macro_node(
        &mut self,
        name: &str,
        loc: Loc,
        _: &mut Formulas,
        errors: &mut Vec<CompileError>,
    ) -> Option<NodeId> {
        let mut error = CompileError::new(loc, format!("'{name}' is no comparison: expected FIELD OPERATOR VALUE"));
        error.suggestion = nearest(name, crate::fields::all_names());
        errors.push(error);
        None
    }

    fn list_items(&mut self, _: &str, _: &mut Vec<CompileError>) -> Option<Vec<Value>> {
        None
    }
}

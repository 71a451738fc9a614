//! Why a rule fires on an event, or does not: its condition as it was written, each part with its truth and each
//! comparison with the value it looked at.
//!
//! The engine works on formulas in which macros and constants are dissolved. Here the syntax that was kept when the
//! rules were loaded is walked, and each comparison is asked as the engine asks it.

mod build;
mod deciding;
mod difference;
mod find;
mod text;

use std::sync::Arc;

use ctrace_trace::block::decoded::EventView;

use crate::rules::RuleSet;
pub(crate) use build::comparisons;
pub use deciding::Deciding;
pub use difference::{Side, responsible};
pub use find::Finder;

/// A rule's condition on one event.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Name of the rule.
    pub rule: String,
    /// Number of the event.
    pub event: u64,
    /// Whether the rule fires on the event.
    pub fires: bool,
    /// Source of the rule and source of the event, where they differ: the condition was not asked then.
    pub other_source: Option<(String, String)>,
    /// The condition.
    pub tree: Arc<Explained>,
}

/// A part of a condition.
#[derive(Clone, Debug)]
pub struct Explained {
    /// What it is.
    pub step: Step,
    /// Whether it holds.
    pub holds: bool,
    /// Its parts. A macro that is used twice is one part that stands in two places.
    pub children: Vec<Arc<Explained>>,
}

/// What a part of a condition is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Holds when all its parts do.
    And,
    /// Holds when one of its parts does.
    Or,
    /// Holds when its part does not.
    Not,
    /// The condition of a macro.
    Macro(String),
    /// An exception of the rule: a `not` over what is excepted.
    Exception(String),
    /// A comparison.
    Check {
        /// As it was written.
        text: String,
        /// What it looked at, escaped; `<NA>` where the event has no such value.
        value: String,
    },
}

impl RuleSet {
    /// Explains the rule at an index of [`RuleSet::rules`] on an event all of whose columns were decoded
    /// ([`ctrace_trace::block::Need::ALL`]); `None` where there is no such rule, or where macros nest it too deeply to be shown.
    pub fn explain(&self, rule: usize, event: EventView<'_>) -> Option<Explanation> {
        let found = self.rules.get(rule)?;
        let tree = build::tree(self, found, event)?;
        let source = event.spec().map_or("", |s| s.source.name());
        let other = (!found.concerns(source)).then(|| (found.source.clone(), source.to_owned()));
        Some(Explanation {
            rule: found.name.clone(),
            event: event.seq(),
            fires: tree.holds && other.is_none(),
            other_source: other,
            tree,
        })
    }
}

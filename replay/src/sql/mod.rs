//! Conditions as SQL over table `events`, as cases and their exports have it.
//!
//! Only functions that DataFusion itself has are used, so that executors of a cluster need none of ctrace's own; except for
//! conditions on single audit records, which take `audit_matches` (a statement that selects candidates does without). A
//! comparison with an absent field does not hold, `!=` included: SQL says "unknown" there, and below a `not` that must
//! become true. `X IS NOT TRUE` does that; `and` and `or` over unknowns need nothing, since a condition counts only where
//! it is true.
//!
//! Texts of the table that are not UTF-8 show their bytes as `\xNN`; `?` and sets in patterns match one ASCII character.

mod atom;
mod condition;
mod literal;
mod pattern;
mod record;
mod text;
mod value;

use std::fmt;

use crate::rules::{Rule, RuleSet};
use condition::{Mode, Writer};

/// What SQL over table `events` cannot say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotExpressible {
    /// The field, or the comparison, as the rule has it.
    pub field: String,
    /// Why.
    pub why: &'static str,
}

impl fmt::Display for NotExpressible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.why)
    }
}

impl std::error::Error for NotExpressible {}

impl RuleSet {
    /// The condition of the rule at an index of [`RuleSet::rules`], its source included, as a condition in SQL: it is true
    /// for the events that satisfy the rule and for no others.
    ///
    /// # Errors
    /// Names the first comparison that SQL has no words for.
    pub fn sql(&self, rule: usize) -> Result<String, NotExpressible> {
        let Some(rule) = self.rules.get(rule) else {
            return Ok("false".to_owned());
        };
        self.condition_sql(rule, Mode::Exact)
    }

    /// A condition in SQL that holds for every event that satisfies the rule, and maybe for others.
    pub(crate) fn candidates_sql(&self, rule: &Rule) -> String {
        // Nothing is beyond an upper bound, but size.
        self.condition_sql(rule, Mode::Bound).unwrap_or_else(|_| sources(rule))
    }

    fn condition_sql(&self, rule: &Rule, mode: Mode) -> Result<String, NotExpressible> {
        let condition = Writer::new(&self.formulas, mode).write(rule.condition)?;
        Ok(match condition.as_str() {
            "true" => sources(rule),
            "false" => condition,
            _ => format!("{} AND ({condition})", sources(rule)),
        })
    }
}

/// That one of some conditions holds.
pub(crate) fn any(conditions: Vec<String>) -> String {
    condition::Sql::any(conditions.into_iter().map(condition::Sql::Text)).into_text()
}

/// That an event is of a source that the rule looks at.
fn sources(rule: &Rule) -> String {
    let names: Vec<String> = rule.source.split(", ").map(|s| literal::text(s.as_bytes())).collect();
    match names.as_slice() {
        [only] => format!("source = {only}"),
        several => format!("source IN ({})", several.join(", ")),
    }
}

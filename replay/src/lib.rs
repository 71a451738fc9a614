//! Rules over traces: Falco's language and Sigma, evaluated on dictionaries.
//!
//! Pure: files are handed over as text, time comes from events only, and neither threads nor hash order can change an
//! output.

mod alert;
mod condition;
mod diagnostics;
mod diff;
mod engine;
mod explain;
mod fields;
mod filter;
mod output;
mod rules;
mod sigma;
mod source;
mod typed;
mod yaml;

pub use alert::Alert;
pub use diagnostics::{Diagnostic, Diagnostics, Severity};
pub use diff::{Change, Diff, Difference, diff};
pub use engine::{Engine, Matching, Options, Outcome};
pub use explain::{Deciding, Explained, Explanation, Finder, Side, Step, responsible};
pub use filter::Filter;
pub use output::Format;
pub use rules::{
    Checked, ENGINE_VERSION, Language, LoadOptions, Priority, Report, Rule, RuleFile, RuleSet, Verdict, check, load,
};

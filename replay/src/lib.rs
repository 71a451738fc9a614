//! Rules over traces: Falco's language, evaluated on dictionaries.
//!
//! Pure: files are handed over as text, time comes from events only, and neither threads nor hash order can change an
//! output.

mod condition;
mod diagnostics;
mod engine;
mod fields;
mod filter;
mod output;
mod rules;
mod source;
mod typed;
mod yaml;

pub use filter::Filter;
pub use output::Format;
pub use engine::{Alert, Engine, Options, Outcome, RuleMatching};
pub use diagnostics::{Diagnostic, Diagnostics, Severity};
pub use rules::{ENGINE_VERSION, LoadOptions, Priority, Rule, RuleFile, RuleSet, load};

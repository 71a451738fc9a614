//! Rules over traces: Falco's language and Sigma, evaluated on dictionaries.
//!
//! Pure: files are handed over as text, time comes from events only, and neither threads nor hash order can change an
//! output.

mod alert;
mod baseline;
mod calendar;
mod certificate;
mod condition;
mod coverage;
mod diagnostics;
mod diff;
mod engine;
mod explain;
mod fields;
mod filter;
mod output;
mod rules;
mod shown;
mod sigma;
mod source;
mod sql;
mod table;
pub mod testing;
mod triage;
mod typed;
mod yaml;

pub use alert::{Alert, Extras, Incomplete, Shape};
pub use baseline::Baseline;
pub use certificate::{AlertDigest, Certificate, CertificateError};
pub use condition::quoted;
pub use coverage::{Coverage, Technique};
pub use diagnostics::{Diagnostic, Diagnostics, Severity};
pub use diff::{Change, Diff, Difference, diff};
pub use engine::{Engine, Matching, Options, Outcome, sources_of};
pub use explain::{Deciding, Explained, Explanation, Finder, Side, Step, responsible};
pub use filter::Filter;
pub use output::{Format, Lines};
pub use rules::{
    Checked, ENGINE_VERSION, Language, LoadOptions, NameError, Priority, Report, Rule, RuleFile, RuleSet, Verdict,
    check, load,
};
pub use sql::NotExpressible;
pub use table::{Columns, Missing, Recording, Selection, TableReplay};
pub use triage::{
    Counts, Dedupe, Fate, Inspection, RateLimit, Summary, Suppression, Suppressions, Triage, parse_span, techniques,
};

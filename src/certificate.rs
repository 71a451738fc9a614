//! Making certificates: what has to be read from disk for them.

use ctrace_replay::{AlertDigest, Certificate, LoadOptions, Options};
use ctrace_trace::case::{self, Case};

use crate::output;
use crate::rule_files::Loaded;

/// The certificate of a replay. Every byte of the case is read for it.
pub(crate) fn of(
    case: &Case,
    rules: &Loaded,
    load: &LoadOptions,
    options: &Options,
    alerts: &AlertDigest,
) -> Certificate {
    let checked = case::verify(case);
    output::report(&checked.copies.problems);
    let checked = checked.segments;
    let digests: Vec<[u8; 32]> = checked.iter().map(|s| s.sha256).collect();
    Certificate::new(case, &digests, &rules.texts, load, options, alerts)
}

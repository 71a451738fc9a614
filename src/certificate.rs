//! Making certificates: what has to be read from disk for them.

use ctrace_replay::{AlertDigest, Certificate, LoadOptions, Options};
use ctrace_trace::case::{self, Case};
use ctrace_trace::segment::Problem;

use crate::output;
use crate::rule_files::Loaded;

/// The certificate of a replay, and what is wrong with copies of executed files, which it does not cover. Every byte of the
/// case is read for it.
pub(crate) fn of(
    case: &Case,
    rules: &Loaded,
    load: &LoadOptions,
    options: &Options,
    alerts: &AlertDigest,
) -> (Certificate, Vec<Problem>) {
    let checked = case::verify(case);
    output::report(&checked.copies.problems);
    let digests: Vec<[u8; 32]> = checked.segments.iter().map(|s| s.sha256).collect();
    let certificate = Certificate::new(case, &digests, &rules.texts, load, options, alerts);
    (certificate, checked.copies.problems)
}

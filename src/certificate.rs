//! Making certificates: what has to be read from disk for them.

use ctrace_replay::{AlertDigest, Certificate, Engine, LoadOptions, Options, sources_of};
use ctrace_trace::case::{self, Case};

use crate::rule_files::Loaded;

/// The certificate of a replay. Every byte of the case is read for it.
pub(crate) fn of(
    case: &Case,
    rules: &Loaded,
    load: &LoadOptions,
    options: &Options,
    alerts: &AlertDigest,
) -> Certificate {
    let checked = case::verify(case).segments;
    let digests: Vec<[u8; 32]> = checked.iter().map(|s| s.sha256).collect();
    let idle = Engine::new(&rules.set).idle(&sources_of(case));
    Certificate::new(case, &digests, &rules.texts, load, options, &idle, alerts)
}

//! A case as tables read it: its blocks, what later blocks told about earlier ones, and the damage met on the way.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::case::{Case, LateFacts};
use ctrace_trace::segment::{BlockRef, Host, Problem};

use crate::socket_values::SocketValues;

/// A case that several tables and threads read.
#[derive(Debug)]
pub(crate) struct CaseSource {
    case: Case,
    blocks: Arc<[BlockRef]>,
    resolve_late: bool,
    threads: usize,
    problems: Mutex<BTreeSet<Problem>>,
    /// Done when the problems of the late facts are among the others.
    late_noted: OnceLock<()>,
    socket_values: SocketValues,
}

impl CaseSource {
    /// Takes a case; with `resolve_late`, what was learned later is applied to earlier events.
    pub(crate) fn new(case: Case, resolve_late: bool, threads: usize) -> CaseSource {
        let blocks = case.blocks().cloned().collect();
        CaseSource {
            case,
            blocks,
            resolve_late,
            threads,
            problems: Mutex::default(),
            late_noted: OnceLock::new(),
            socket_values: SocketValues::default(),
        }
    }

    /// The case.
    pub(crate) fn case(&self) -> &Case {
        &self.case
    }

    /// What is known of the sockets of blocks.
    pub(crate) fn socket_values(&self) -> &SocketValues {
        &self.socket_values
    }

    /// All blocks in recording order.
    pub(crate) fn blocks(&self) -> &Arc<[BlockRef]> {
        &self.blocks
    }

    /// How many events there are, as the heads say.
    pub(crate) fn events(&self) -> u64 {
        self.blocks.iter().map(|b| u64::from(b.head().events)).sum()
    }

    /// Whether what was learned later is applied to earlier events.
    pub(crate) fn resolves_late(&self) -> bool {
        self.resolve_late
    }

    /// How many threads may read at once.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Name of the host where the recording began.
    pub(crate) fn host(&self) -> &str {
        self.case
            .segments()
            .first()
            .map_or(UNKNOWN_HOST, |s| host_name(&s.header().about.host))
    }

    /// When the recording began, as far as blocks tell.
    pub(crate) fn began(&self) -> u64 {
        let heads = self.blocks.iter().map(BlockRef::head).filter(|h| h.events > 0);
        let header = || {
            self.case
                .segments()
                .first()
                .map_or(0, |s| s.header().about.clock.realtime_ns)
        };
        heads.map(|h| h.min_ts).min().unwrap_or_else(header)
    }

    /// What the whole case knows; collected at the first call.
    pub(crate) fn late_facts(&self) -> &LateFacts {
        let facts = self.case.late_facts(self.threads);
        self.late_noted
            .get_or_init(|| facts.problems().iter().for_each(|p| self.note(p.clone())));
        facts
    }

    /// Applies what was learned later.
    pub(crate) fn resolve(&self, decoded: &mut Decoded) {
        if self.resolve_late && !decoded.dict.containers.is_empty() {
            self.late_facts().resolve(decoded);
        }
    }

    /// Notes damage.
    pub(crate) fn note(&self, problem: Problem) {
        self.problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(problem);
    }

    /// Damage that reading blocks met so far, beside [`Case::problems`]. In the order of files and offsets.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        self.problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }
}

const UNKNOWN_HOST: &str = "unknown";

/// Name of a host; exports make a folder of it, so it is never empty.
pub(crate) fn host_name(host: &Host) -> &str {
    if host.name.is_empty() { UNKNOWN_HOST } else { &host.name }
}

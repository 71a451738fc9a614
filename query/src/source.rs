//! A case as tables read it: its blocks, what later blocks told about earlier ones, and the damage met on the way.

use std::sync::{Mutex, PoisonError};

use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::case::{Case, LateFacts};
use ctrace_trace::segment::{BlockRef, Problem};

/// A case that several tables and threads read.
#[derive(Debug)]
pub struct CaseSource {
    case: Case,
    blocks: Vec<BlockRef>,
    late: Option<LateFacts>,
    problems: Mutex<Vec<Problem>>,
}

impl CaseSource {
    /// Takes a case; with `late`, what was learned later is applied to earlier events.
    pub fn new(case: Case, late: Option<LateFacts>) -> CaseSource {
        let blocks = case.blocks().cloned().collect();
        CaseSource {
            case,
            blocks,
            late,
            problems: Mutex::default(),
        }
    }

    /// The case.
    pub fn case(&self) -> &Case {
        &self.case
    }

    /// All blocks in recording order.
    pub fn blocks(&self) -> &[BlockRef] {
        &self.blocks
    }

    /// Applies what was learned later.
    pub(crate) fn resolve(&self, decoded: &mut Decoded) {
        if let Some(late) = &self.late {
            late.resolve(decoded);
        }
    }

    /// Notes damage; gives the nothing that was read.
    pub(crate) fn note<T>(&self, problem: Problem) -> Option<T> {
        self.problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(problem);
        None
    }

    /// Damage that reading blocks met so far, beside [`Case::problems`]. In the order of files and offsets.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone();
        problems.sort_by(|a, b| (&a.path, a.offset).cmp(&(&b.path, b.offset)));
        problems.dedup();
        problems
    }
}

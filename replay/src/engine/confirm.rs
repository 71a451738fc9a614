//! Which of the candidates satisfy their conditions.

use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::Decoded;

use super::candidates::Candidate;
use super::evaluate::{Place, holds};
use super::mask;
use super::plan::{Asked, Plan};
use super::scan::Scan;

/// An event that satisfies a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) row: u32,
    pub(crate) rule: usize,
    /// Whether its type is of the bulk family.
    pub(crate) bulk: bool,
}

impl Scan<'_> {
    /// Columns that confirming a candidate takes.
    pub(super) fn needs(&self, candidate: &Candidate) -> Need {
        self.plan.slot(candidate.slot).map_or(Need::NOTHING, |i| i.row_need)
    }

    /// The rule that a candidate is about.
    fn rule(&self, candidate: &Candidate) -> Option<usize> {
        self.plan.slot(candidate.slot).map(|i| i.rule)
    }

    /// The candidates that satisfy their rules; with `first`, of each event only the first. The columns that confirming
    /// them takes must be there.
    pub(super) fn hits(&self, decoded: &Decoded, candidates: &[Candidate], first: bool) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::new();
        let mut taken = None;
        for candidate in candidates {
            let Some(rule) = self.rule(candidate) else { continue };
            let free = !first || self.plan.is_independent(rule);
            if (free || taken != Some(candidate.row)) && self.confirm(decoded, candidate) {
                taken = if free { taken } else { Some(candidate.row) };
                hits.push(Hit {
                    row: candidate.row,
                    rule,
                    bulk: candidate.bulk,
                });
            }
        }
        hits
    }

    /// Whether a candidate's event satisfies the slot. The columns that the slot needs must be there.
    fn confirm(&self, decoded: &Decoded, candidate: &Candidate) -> bool {
        if let Some(verdict) = candidate.verdict {
            return verdict;
        }
        let (Some(slot), Some(side)) = (self.plan.slot(candidate.slot), self.fds.get(self.live.as_slice())) else {
            return false;
        };
        let event = decoded.event(candidate.row as usize);
        let (image, fd) = (self.images.bits(candidate.image), side.classes().bits(candidate.fd));
        self.plan
            .formulas
            .eval(slot.condition, &mut |atom| match self.plan.asked(atom) {
                Asked::Image(bit) => mask::has(image, bit),
                Asked::Fd(bit) => mask::has(fd, bit),
                Asked::Event => self
                    .plan
                    .formulas
                    .atom_of(atom)
                    .is_some_and(|a| holds(a, Place::Event(event))),
            })
    }
}

/// Matches the events of a block whose columns are all there; in event order, and within an event in the order of rules.
///
/// With `first`, only the first rule of each event counts.
pub(crate) fn matches(plan: &Plan, block: &Decoded, first: bool) -> Vec<Hit> {
    let mut scan = Scan::new(plan);
    if !scan.begin(block.kinds.iter().map(|k| k.spec.id)) || (scan.wants_images() && !scan.images(&block.dict)) {
        return Vec::new();
    }
    if !scan.objects(block) {
        return Vec::new();
    }
    if !scan.threads(block) || !scan.pairs(block) {
        return Vec::new();
    }
    if scan.argument_needs(block) != Need::NOTHING && !scan.arguments(block) {
        return Vec::new();
    }
    let candidates = scan.candidates(block).to_vec();
    scan.hits(block, &candidates, first)
}

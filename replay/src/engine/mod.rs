//! The engine: rules over blocks.
//!
//! A condition is split by what its comparisons depend on. What the event's type decides is filled in once per type
//! ([`plan`]); what the process image or the open object decides is asked once per dictionary entry of a block
//! ([`dictionary`]); an event then only combines sets of bits ([`scan`]), and the full condition is asked of the few
//! events that are left. The result is that of asking every rule of every event, which the tests do.

mod alert;
mod blocks;
mod dictionary;
mod mask;
mod matcher;
mod plan;
mod replay;
mod scan;

use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::schema::EventSpec;

use crate::typed::atom::Atom;
use crate::typed::formula::Graph;
use plan::Plan;
use scan::Scan;

pub use alert::Alert;
pub(crate) use plan::Root;
pub use replay::{Engine, Options, Outcome, RuleMatching};

/// Whether events of some types may satisfy a condition.
pub(crate) fn may_match<'s>(
    atoms: &[Atom],
    graph: &Graph,
    root: Root,
    specs: impl Iterator<Item = &'s EventSpec>,
) -> bool {
    !Plan::new(atoms, graph.clone(), &[root], specs).instances.is_empty()
}

/// The rows of a block whose events satisfy a condition.
pub(crate) fn rows(atoms: &[Atom], graph: &Graph, root: Root, block: &Decoded) -> Vec<u32> {
    let plan = Plan::new(atoms, graph.clone(), &[root], block.kinds.iter().map(|k| &*k.spec));
    let mut scan = Scan::new(&plan);
    if !scan.begin(block.kinds.iter().map(|k| k.spec.id)) {
        return Vec::new();
    }
    if scan.wants_images() && !scan.images(&block.dict) {
        return Vec::new();
    }
    let candidates = scan.candidates(block).to_vec();
    candidates.iter().filter(|c| scan.confirm(block, c)).map(|c| c.row).collect()
}

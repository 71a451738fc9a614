//! Matching the events of one block: process images and open objects are tested once, events only combine the results.

use ctrace_trace::block::decoded::{Context, Decoded};
use ctrace_trace::event::EventType;

use super::evaluate::{Place, holds};
use super::plan::{Memo, Plan, Slot};
use crate::fields::Scope;
use crate::typed::formula::{AtomId, NodeId};

/// An event that satisfies a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hit {
    pub(crate) row: u32,
    pub(crate) rule: usize,
}

/// A set of slots of one block, one bit each.
type Bits = Vec<u64>;

/// Matches the events of a block; in event order, and within an event in the order of the rules.
///
/// With `first`, only the first rule of each event counts.
pub(crate) fn matches(plan: &Plan, block: &Decoded, first: bool) -> Vec<Hit> {
    let live = Live::new(plan, block);
    if live.slots.is_empty() {
        return Vec::new();
    }
    let mut scan = Scan::new(plan, block, &live);
    let mut hits = Vec::new();
    for (index, kind) in block.kinds.iter().enumerate() {
        if let Some(wanted) = live.by_kind.get(index).filter(|bits| bits.iter().any(|w| *w != 0)) {
            scan.kind(kind.spec.id, &kind.rows, wanted, first, &mut hits);
        }
    }
    hits.sort_unstable();
    hits
}

/// The slots that can match in a block, renumbered.
struct Live<'a> {
    slots: Vec<&'a Slot>,
    /// Per event type of the block: its slots.
    by_kind: Vec<Bits>,
}

impl<'a> Live<'a> {
    fn new(plan: &'a Plan, block: &Decoded) -> Live<'a> {
        let mut ids: Vec<usize> = block
            .kinds
            .iter()
            .flat_map(|k| plan.slots_of(k.spec.id))
            .copied()
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let slots: Vec<&Slot> = ids.iter().filter_map(|i| plan.slots.get(*i)).collect();
        let words = slots.len().div_ceil(64);
        let by_kind = block.kinds.iter().map(|k| {
            let mut bits = vec![0; words];
            for slot in plan.slots_of(k.spec.id) {
                if let Ok(at) = ids.binary_search(slot) {
                    set(&mut bits, at);
                }
            }
            bits
        });
        Live {
            by_kind: by_kind.collect(),
            slots,
        }
    }
}

fn set(bits: &mut Bits, at: usize) {
    if let Some(word) = bits.get_mut(at / 64) {
        *word |= 1 << (at % 64);
    }
}

/// What is known of an entry: the slots whose weakened condition it satisfies, once it was looked at.
type Known = Vec<Option<Box<[u64]>>>;

struct Scan<'a> {
    plan: &'a Plan,
    block: &'a Decoded,
    slots: &'a [&'a Slot],
    images: Known,
    fds: Known,
    /// For events without an image, and without an object.
    no_image: Box<[u64]>,
    no_fd: Box<[u64]>,
    memo: Memo,
}

impl<'a> Scan<'a> {
    fn new(plan: &'a Plan, block: &'a Decoded, live: &'a Live<'a>) -> Scan<'a> {
        let mut scan = Scan {
            plan,
            block,
            slots: &live.slots,
            images: vec![None; block.dict.images.len()],
            fds: vec![None; block.dict.fds.len()],
            no_image: Box::default(),
            no_fd: Box::default(),
            memo: Memo::default(),
        };
        scan.no_image = scan.passing(|s| s.image, None);
        scan.no_fd = scan.passing(|s| s.fd, None);
        scan
    }

    /// The slots whose weakened condition holds at a dictionary entry.
    fn passing(&mut self, node: fn(&Slot) -> NodeId, place: Option<Place<'_>>) -> Box<[u64]> {
        self.memo.reset(self.plan.formulas.atom_count());
        let mut bits = vec![0; self.slots.len().div_ceil(64)];
        let (plan, memo) = (self.plan, &mut self.memo);
        for (at, slot) in self.slots.iter().enumerate() {
            let mut ask = |id: AtomId| match (place, plan.formulas.atom_of(id)) {
                (Some(place), Some(atom)) => memo.get(id, || holds(atom, place)),
                _ => false,
            };
            if plan.formulas.eval(node(slot), &mut ask) {
                set(&mut bits, at);
            }
        }
        bits.into()
    }

    fn image_bits(&mut self, index: Option<u32>) -> &[u64] {
        let Some(index) = index.filter(|i| (*i as usize) < self.images.len()) else {
            return &self.no_image;
        };
        if self.images.get(index as usize).is_some_and(Option::is_none) {
            let place = self.block.dict.image(index).map(Place::Image);
            let bits = self.passing(|s| s.image, place);
            if let Some(slot) = self.images.get_mut(index as usize) {
                *slot = Some(bits);
            }
        }
        self.images
            .get(index as usize)
            .and_then(Option::as_deref)
            .unwrap_or(&self.no_image)
    }

    fn fd_bits(&mut self, index: u32) -> &[u64] {
        if index == 0 || index as usize >= self.fds.len() {
            return &self.no_fd;
        }
        if self.fds.get(index as usize).is_some_and(Option::is_none) {
            let place = self.block.dict.fd(index).map(Place::Fd);
            let bits = self.passing(|s| s.fd, place);
            if let Some(slot) = self.fds.get_mut(index as usize) {
                *slot = Some(bits);
            }
        }
        self.fds
            .get(index as usize)
            .and_then(Option::as_deref)
            .unwrap_or(&self.no_fd)
    }

    /// Matches the events of one type.
    fn kind(&mut self, id: EventType, rows: &[u32], wanted: &Bits, first: bool, hits: &mut Vec<Hit>) {
        let bulk_of_fds = self.slots_need_fd(id);
        let mut passing = vec![0u64; wanted.len()];
        for row in rows {
            let context = self.block.context.get(*row as usize).copied();
            let context: Option<Context> = context.and_then(|c| self.block.dict.contexts.get(c as usize).copied());
            let image = context.and_then(|c| c.image);
            if !narrow(&mut passing, wanted, self.image_bits(image)) {
                continue;
            }
            if bulk_of_fds {
                let fd = self.block.fd.get(*row as usize).copied().unwrap_or(0);
                let before = passing.clone();
                if !narrow(&mut passing, &before, self.fd_bits(fd)) {
                    continue;
                }
            }
            self.survivor(*row, &passing, first, hits);
        }
    }

    fn slots_need_fd(&self, id: EventType) -> bool {
        let slots = self.plan.slots_of(id).iter().filter_map(|s| self.plan.slots.get(*s));
        slots.into_iter().any(|s| !self.plan.formulas.is_true(s.fd))
    }

    /// Gives an event the whole conditions that its image and object leave open.
    fn survivor(&mut self, row: u32, passing: &[u64], first: bool, hits: &mut Vec<Hit>) {
        let event = self.block.event(row as usize);
        let image = event.image();
        let fd = event.fd();
        self.memo.reset(self.plan.formulas.atom_count());
        for at in ones(passing) {
            let Some(slot) = self.slots.get(at) else { continue };
            let (plan, memo) = (self.plan, &mut self.memo);
            let mut ask = |id: AtomId| {
                let Some(atom) = plan.formulas.atom_of(id) else {
                    return false;
                };
                memo.get(id, || match atom.scope() {
                    Scope::Process => image.is_some_and(|i| holds(atom, Place::Image(i))),
                    Scope::Fd => fd.is_some_and(|f| holds(atom, Place::Fd(f))),
                    _ => holds(atom, Place::Event(event)),
                })
            };
            if plan.formulas.eval(slot.condition, &mut ask) {
                hits.push(Hit { row, rule: slot.rule });
                if first {
                    return;
                }
            }
        }
    }
}

/// `out = a & b`; whether anything is left.
fn narrow(out: &mut [u64], a: &[u64], b: &[u64]) -> bool {
    let mut any = 0;
    for (out, (a, b)) in out.iter_mut().zip(a.iter().zip(b)) {
        *out = a & b;
        any |= *out;
    }
    any != 0
}

/// The positions of the bits that are set, ascending.
fn ones(bits: &[u64]) -> impl Iterator<Item = usize> + '_ {
    bits.iter().enumerate().flat_map(|(w, word)| {
        let mut left = *word;
        std::iter::from_fn(move || {
            let at = left.trailing_zeros() as usize;
            left &= left.checked_sub(1)?;
            Some(w * 64 + at)
        })
    })
}

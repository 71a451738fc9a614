//! Matching the events of one block: process images and open objects are tested once, events only combine the results.

use std::collections::BTreeMap;

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

/// An event whose image and object leave conditions open.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    row: u32,
    slots: Box<[u64]>,
}

/// Matches the events of a block; in event order, and within an event in the order of the rules.
///
/// With `first`, only the first rule of each event counts.
pub(crate) fn matches(plan: &Plan, block: &Decoded, first: bool) -> Vec<Hit> {
    confirm(plan, block, &candidates(plan, block), first)
}

/// The first half of [`matches`]: needs the columns of [`super::plan::Depth::Candidates`] only.
pub(crate) fn candidates(plan: &Plan, block: &Decoded) -> Vec<Candidate> {
    let live = Live::new(plan, block);
    if live.slots.is_empty() {
        return Vec::new();
    }
    let mut scan = Scan::new(plan, block, &live);
    let mut found = Vec::new();
    for (index, kind) in block.kinds.iter().enumerate() {
        if let Some(wanted) = live.by_kind.get(index).filter(|bits| bits.iter().any(|w| *w != 0)) {
            scan.kind(kind.spec.id, &kind.rows, wanted, &mut found);
        }
    }
    found.sort_unstable();
    found
}

/// The second half of [`matches`]: gives candidates of the same block the whole conditions.
pub(crate) fn confirm(plan: &Plan, block: &Decoded, candidates: &[Candidate], first: bool) -> Vec<Hit> {
    let mut hits = Vec::new();
    if candidates.is_empty() {
        return hits;
    }
    let live = Live::new(plan, block);
    let mut memo = Memo::default();
    for candidate in candidates.iter().filter(|c| (c.row as usize) < block.len) {
        confirm_one(plan, block, &live, candidate, first, &mut memo, &mut hits);
    }
    hits
}

fn confirm_one(
    plan: &Plan,
    block: &Decoded,
    live: &Live<'_>,
    candidate: &Candidate,
    first: bool,
    memo: &mut Memo,
    hits: &mut Vec<Hit>,
) {
    let event = block.event(candidate.row as usize);
    let (image, fd) = (event.image(), event.fd());
    memo.reset(plan.formulas.atom_count());
    for at in ones(&candidate.slots) {
        let Some(slot) = live.slots.get(at) else { continue };
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
            hits.push(Hit {
                row: candidate.row,
                rule: slot.rule,
            });
            if first {
                return;
            }
        }
    }
}

/// The slots that can match in a block, renumbered.
struct Live<'a> {
    slots: Vec<&'a Slot>,
    images: Weakened,
    fds: Weakened,
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
            images: Weakened::new(plan, &slots, |s| s.image),
            fds: Weakened::new(plan, &slots, |s| s.fd),
            slots,
        }
    }
}

/// What the slots ask of one kind of dictionary entry; many ask the same.
struct Weakened {
    /// The slots that ask nothing.
    free: Bits,
    /// Each different condition with the slots that ask it.
    asked: Vec<(NodeId, Bits)>,
}

impl Weakened {
    fn new(plan: &Plan, slots: &[&Slot], node: fn(&Slot) -> NodeId) -> Weakened {
        let words = slots.len().div_ceil(64);
        let mut free = vec![0; words];
        let mut asked: BTreeMap<NodeId, Bits> = BTreeMap::new();
        for (at, slot) in slots.iter().enumerate() {
            match plan.formulas.is_true(node(slot)) {
                true => set(&mut free, at),
                false => set(asked.entry(node(slot)).or_insert_with(|| vec![0; words]), at),
            }
        }
        Weakened {
            free,
            asked: asked.into_iter().collect(),
        }
    }

    /// The slots whose condition holds at a dictionary entry; without one, atoms do not hold.
    fn passing(&self, plan: &Plan, place: Option<Place<'_>>, memo: &mut Memo) -> Box<[u64]> {
        memo.reset(plan.formulas.atom_count());
        let mut bits = self.free.clone();
        for (node, slots) in &self.asked {
            let mut ask = |id: AtomId| match (place, plan.formulas.atom_of(id)) {
                (Some(place), Some(atom)) => memo.get(id, || holds(atom, place)),
                _ => false,
            };
            if plan.formulas.eval(*node, &mut ask) {
                bits.iter_mut().zip(slots).for_each(|(b, s)| *b |= s);
            }
        }
        bits.into()
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
    live: &'a Live<'a>,
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
            live,
            images: vec![None; block.dict.images.len()],
            fds: vec![None; block.dict.fds.len()],
            no_image: Box::default(),
            no_fd: Box::default(),
            memo: Memo::default(),
        };
        scan.no_image = live.images.passing(plan, None, &mut scan.memo);
        scan.no_fd = live.fds.passing(plan, None, &mut scan.memo);
        scan
    }

    fn image_bits(&mut self, index: Option<u32>) -> &[u64] {
        let Some(index) = index.filter(|i| (*i as usize) < self.images.len()) else {
            return &self.no_image;
        };
        if self.images.get(index as usize).is_some_and(Option::is_none) {
            let place = self.block.dict.image(index).map(Place::Image);
            let bits = self.live.images.passing(self.plan, place, &mut self.memo);
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
            let bits = self.live.fds.passing(self.plan, place, &mut self.memo);
            if let Some(slot) = self.fds.get_mut(index as usize) {
                *slot = Some(bits);
            }
        }
        self.fds
            .get(index as usize)
            .and_then(Option::as_deref)
            .unwrap_or(&self.no_fd)
    }

    /// Finds the candidates of one type.
    fn kind(&mut self, id: EventType, rows: &[u32], wanted: &Bits, found: &mut Vec<Candidate>) {
        let asks_fd = self.slots_need_fd(id);
        let mut passing = wanted.clone();
        for row in rows {
            passing.copy_from_slice(wanted);
            let context = self.block.context.get(*row as usize).copied();
            let context: Option<Context> = context.and_then(|c| self.block.dict.contexts.get(c as usize).copied());
            if !narrow(&mut passing, self.image_bits(context.and_then(|c| c.image))) {
                continue;
            }
            let fd = self.block.fd.get(*row as usize).copied().unwrap_or(0);
            if !asks_fd || narrow(&mut passing, self.fd_bits(fd)) {
                found.push(Candidate {
                    row: *row,
                    slots: passing.as_slice().into(),
                });
            }
        }
    }

    fn slots_need_fd(&self, id: EventType) -> bool {
        let slots = self.plan.slots_of(id).iter().filter_map(|s| self.plan.slots.get(*s));
        slots.into_iter().any(|s| !self.plan.formulas.is_true(s.fd))
    }
}

/// Keeps the bits that are set in both; whether anything is left.
fn narrow(bits: &mut [u64], by: &[u64]) -> bool {
    let mut any = 0;
    for (bit, by) in bits.iter_mut().zip(by) {
        *bit &= by;
        any |= *bit;
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

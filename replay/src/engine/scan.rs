//! One block after another against a plan: images and open objects are put into classes, events test sets of bits, and
//! the few that are left are asked in full.

use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::{Decoded, Dictionaries, KindColumns};
use ctrace_trace::event::EventType;
use hashbrown::HashMap;

use super::dictionary::{Classes, Comparisons};
use super::evaluate::{Place, holds};
use super::mask;
use super::plan::{Asked, Plan, Slot};
use crate::typed::formula::NodeId;

/// More classes, or sets of live slots, than this are forgotten and found again: a hostile recording may make any
/// number of them.
const MAX_CLASSES: usize = 1 << 15;
const MAX_LIVE_SETS: usize = 256;
const MAX_VERDICTS: usize = 1 << 18;

/// An event that may satisfy an slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) row: u32,
    pub(super) slot: u32,
    /// Whether its type is of the bulk family.
    pub(super) bulk: bool,
    /// Classes of its image and open object.
    image: u32,
    fd: u32,
    /// What these two say of the whole condition.
    pub(super) verdict: Option<bool>,
}

/// An event that satisfies a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) row: u32,
    pub(crate) rule: usize,
    /// Whether its type is of the bulk family.
    pub(crate) bulk: bool,
}

/// Works through blocks; one per thread. Keeps what it learned about values.
#[derive(Debug)]
pub(super) struct Scan<'p> {
    plan: &'p Plan,
    process: Comparisons<'p>,
    images: Classes,
    fds: HashMap<Box<[u64]>, FdSide<'p>>,
    /// Of the current block: slots that its types and images allow.
    live: Vec<u64>,
    /// Class of each image.
    image_class: Vec<u32>,
    /// Classes of the block's images without repetition, and which of them each context has.
    local_classes: Vec<u32>,
    context_class: Vec<u32>,
    fd_class: Vec<u32>,
    candidates: Vec<Candidate>,
}

/// What is known of open objects under one set of live slots: comparisons that no live slot makes are left out.
#[derive(Debug)]
struct FdSide<'p> {
    comparisons: Comparisons<'p>,
    classes: Classes,
    /// By slot, image class and fd class.
    verdicts: HashMap<(u32, u32, u32), Option<bool>>,
}

impl<'p> Scan<'p> {
    pub(super) fn new(plan: &'p Plan) -> Scan<'p> {
        Scan {
            plan,
            process: Comparisons::new(&plan.formulas, &plan.image_atoms, |_| true, true),
            images: Classes::new(plan.image_atoms.len(), plan.words, |bits, out| {
                allow(plan, |i| i.image, bits, out);
            }),
            fds: HashMap::new(),
            live: Vec::new(),
            image_class: Vec::new(),
            local_classes: Vec::new(),
            context_class: Vec::new(),
            fd_class: Vec::new(),
            candidates: Vec::new(),
        }
    }

    /// Begins a block with the event types that it holds. Without live slots there is nothing to look for.
    pub(super) fn begin(&mut self, types: impl Iterator<Item = EventType>) -> bool {
        if self.images.len() > MAX_CLASSES || self.fds.len() > MAX_LIVE_SETS {
            *self = Scan::new(self.plan);
        }
        self.live.clear();
        self.live.resize(self.plan.words, 0);
        for id in types {
            if let Some(slots) = self.plan.mask_of(id) {
                mask::add(&mut self.live, slots);
            }
        }
        self.image_class.clear();
        mask::any(&self.live)
    }

    /// Whether process images say anything about the conditions.
    pub(super) fn wants_images(&self) -> bool {
        !self.plan.image_atoms.is_empty()
    }

    /// Puts the block's images into classes. False when none allows any live slot.
    pub(super) fn images(&mut self, dict: &Dictionaries) -> bool {
        let plan = self.plan;
        let mut bits = vec![0; mask::words_for(plan.image_atoms.len())];
        // Events without an image are of class 0.
        let mut allowed = self.images.mask(0).to_vec();
        for index in 0..dict.images.len() as u32 {
            bits.fill(0);
            if let Some(image) = dict.image(index) {
                self.process.mark(Place::Image(image), &mut bits);
            }
            let class = self.images.find(&bits, |bits, out| allow(plan, |i| i.image, bits, out));
            self.image_class.push(class);
            mask::add(&mut allowed, self.images.mask(class));
        }
        mask::keep(&mut self.live, &allowed);
        mask::any(&self.live)
    }

    /// Columns that finding the candidates takes in a block with these event types.
    pub(super) fn column_needs(&self, types: impl Iterator<Item = EventType>) -> Need {
        let mut need = Need::KIND | Need::CONTEXT;
        for id in types {
            let live = self.plan.mask_of(id).is_some_and(|slots| self.live_fd_atoms(slots));
            if live {
                need |= if self.plan.is_bulk(id) {
                    Need::FD_BULK
                } else {
                    Need::FD_HOT
                };
            }
        }
        need
    }

    fn live_fd_atoms(&self, slots: &[u64]) -> bool {
        self.live_slots(slots).any(|i| mask::any(&i.fd_atoms))
    }

    fn live_slots(&self, among: &[u64]) -> impl Iterator<Item = &'p Slot> {
        let both: Vec<u64> = self.live.iter().zip(among).map(|(a, b)| a & b).collect();
        let plan = self.plan;
        mask::bits(&both)
            .filter_map(|i| plan.slot(i))
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// The events that may satisfy an slot, by row, then by slot.
    pub(super) fn candidates(&mut self, decoded: &Decoded) -> &[Candidate] {
        self.candidates.clear();
        let mut side = match self.fds.remove(self.live.as_slice()) {
            Some(side) if side.classes.len() <= MAX_CLASSES && side.verdicts.len() <= MAX_VERDICTS => side,
            _ => FdSide::new(self.plan, self.live_slots(&self.live)),
        };
        side.classify(self.plan, decoded, &mut self.fd_class);
        self.place_contexts(decoded);
        for kind in &decoded.kinds {
            self.of_kind(kind, decoded, &mut side);
        }
        self.fds.insert(self.live.as_slice().into(), side);
        self.candidates.sort_unstable_by_key(|c| (c.row, c.slot));
        &self.candidates
    }

    /// Finds the class of each context's image, in numbers of this block's own.
    fn place_contexts(&mut self, decoded: &Decoded) {
        const UNSEEN: u32 = u32::MAX;
        let mut local = vec![UNSEEN; self.images.len()];
        self.local_classes.clear();
        self.context_class.clear();
        for context in &decoded.dict.contexts {
            let class = context
                .image
                .and_then(|i| self.image_class.get(i as usize))
                .copied()
                .unwrap_or(0);
            let Some(slot) = local.get_mut(class as usize) else {
                continue;
            };
            if *slot == UNSEEN {
                *slot = self.local_classes.len() as u32;
                self.local_classes.push(class);
            }
            self.context_class.push(*slot);
        }
    }

    fn of_kind(&mut self, kind: &KindColumns, decoded: &Decoded, side: &mut FdSide<'p>) {
        let Some(slots) = self.plan.mask_of(kind.spec.id).filter(|i| mask::meet(i, &self.live)) else {
            return;
        };
        let words = self.plan.words;
        let mut allowed: Vec<u64> = Vec::with_capacity(self.local_classes.len() * words);
        for class in &self.local_classes {
            let by_image = self.images.mask(*class).iter().zip(&self.live);
            allowed.extend(slots.iter().zip(by_image).map(|(t, (p, l))| t & p & l));
        }
        for row in &kind.rows {
            let context = decoded.context.get(*row as usize).copied().unwrap_or(0);
            let local = self.context_class.get(context as usize).copied().unwrap_or(0) as usize;
            let Some(by_type) = allowed.get(local * words..(local + 1) * words).filter(|a| mask::any(a)) else {
                continue;
            };
            let fd = decoded
                .fd
                .get(*row as usize)
                .and_then(|fd| self.fd_class.get(*fd as usize))
                .copied()
                .unwrap_or(0);
            let by_fd = side.classes.mask(fd);
            if !mask::meet(by_type, by_fd) {
                continue;
            }
            let image = self.local_classes.get(local).copied().unwrap_or(0);
            let left: Vec<u64> = by_type.iter().zip(by_fd).map(|(a, b)| a & b).collect();
            for slot in mask::bits(&left) {
                let verdict = side.verdict(self.plan, &self.images, (slot, image, fd));
                if verdict != Some(false) {
                    self.candidates.push(Candidate {
                        row: *row,
                        slot,
                        bulk: !kind.spec.hot,
                        image,
                        fd,
                        verdict,
                    });
                }
            }
        }
    }

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
        let (image, fd) = (self.images.bits(candidate.image), side.classes.bits(candidate.fd));
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

impl<'p> FdSide<'p> {
    fn new<'i>(plan: &'p Plan, live: impl Iterator<Item = &'i Slot>) -> FdSide<'p> {
        let mut wanted = vec![0; mask::words_for(plan.fd_atoms.len())];
        live.for_each(|slot| mask::add(&mut wanted, &slot.fd_atoms));
        FdSide {
            comparisons: Comparisons::new(&plan.formulas, &plan.fd_atoms, |bit| mask::has(&wanted, bit), false),
            classes: Classes::new(plan.fd_atoms.len(), plan.words, |bits, out| {
                allow(plan, |i| i.fd, bits, out)
            }),
            verdicts: HashMap::new(),
        }
    }

    /// The class of each open object.
    fn classify(&mut self, plan: &Plan, decoded: &Decoded, out: &mut Vec<u32>) {
        out.clear();
        let mut bits = vec![0; mask::words_for(plan.fd_atoms.len())];
        for index in 0..decoded.dict.fds.len() as u32 {
            bits.fill(0);
            if let Some(fd) = decoded.dict.fd(index) {
                self.comparisons.mark(Place::Fd(fd), &mut bits);
            }
            out.push(self.classes.find(&bits, |bits, out| allow(plan, |i| i.fd, bits, out)));
        }
    }

    /// What image and open object together say of an slot.
    fn verdict(&mut self, plan: &Plan, images: &Classes, key: (u32, u32, u32)) -> Option<bool> {
        let (slot, image, fd) = key;
        if let Some(known) = self.verdicts.get(&key) {
            return *known;
        }
        let node = plan.slot(slot)?.condition;
        let (image, fd) = (images.bits(image), self.classes.bits(fd));
        let verdict = plan.formulas.decides(node, &mut |atom| match plan.asked(atom) {
            Asked::Image(bit) => Some(mask::has(image, bit)),
            Asked::Fd(bit) => Some(mask::has(fd, bit)),
            Asked::Event => None,
        });
        self.verdicts.insert(key, verdict);
        verdict
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
    let candidates = scan.candidates(block).to_vec();
    scan.hits(block, &candidates, first)
}

/// Adds the slots whose projection holds where these comparisons do.
fn allow(plan: &Plan, projection: fn(&Slot) -> NodeId, bits: &[u64], out: &mut [u64]) {
    for (i, slot) in (0..).zip(&plan.slots) {
        let holds = plan
            .formulas
            .eval(projection(slot), &mut |atom| match plan.asked(atom) {
                Asked::Image(bit) | Asked::Fd(bit) => mask::has(bits, bit),
                Asked::Event => false,
            });
        if holds {
            mask::set(out, i);
        }
    }
}

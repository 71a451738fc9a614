//! One block after another against a plan: images and open objects are put into classes, events test sets of bits, and
//! the few that are left are asked in full.

use std::ops::Range;

use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::{Decoded, Dictionaries, KindColumns};
use ctrace_trace::event::EventType;
use hashbrown::HashMap;

use super::classes::Classes;
use super::dictionary::Comparisons;
use super::evaluate::{Place, holds};
use super::mask;
use super::objects::Objects;
use super::plan::{Asked, Plan, Slot};
use crate::typed::formula::NodeId;

/// More classes, or sets of live slots, than this are forgotten and found again: a hostile recording may make any
/// number of them.
pub(super) const MAX_CLASSES: usize = 1 << 15;
const MAX_LIVE_SETS: usize = 256;

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
    fds: HashMap<Box<[u64]>, Objects<'p>>,
    /// Of the current block: slots that its types and images allow.
    live: Vec<u64>,
    /// Class of each image.
    image_class: Vec<u32>,
    /// Classes of the block's images without repetition, and which of them each context has.
    local_classes: Vec<u32>,
    context_class: Vec<u32>,
    fd_class: Vec<u32>,
    /// The types of which events are left, as indices into the block's list, with these events.
    left: Vec<(usize, Events)>,
    /// Positions of events among those of their type.
    ordinals: Vec<u32>,
    candidates: Vec<Candidate>,
}

/// Events of a type.
#[derive(Clone, Debug)]
enum Events {
    All,
    /// Those whose positions are in this part of the scan's list.
    Some(Range<usize>),
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
            left: Vec::new(),
            ordinals: Vec::new(),
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

    /// Puts the images of the block's threads into classes. False when none allows any live slot.
    pub(super) fn images(&mut self, dict: &Dictionaries) -> bool {
        let plan = self.plan;
        self.image_class.clear();
        self.image_class.resize(dict.images.len(), 0);
        let mut bits = vec![0; mask::words_for(plan.image_atoms.len())];
        let mut allowed = vec![0; plan.words];
        // Most threads are the only ones of their images.
        for context in &dict.contexts {
            let mut class = 0;
            if let Some((index, image)) = context.image.and_then(|i| Some((i, dict.image(i)?))) {
                class = self.image_class.get(index as usize).copied().unwrap_or(0);
                if class == 0 {
                    bits.fill(0);
                    self.process.mark(Place::Image(image), &mut bits);
                    class = self.images.find(&bits, |bits, out| allow(plan, |i| i.image, bits, out));
                    if let Some(place) = self.image_class.get_mut(index as usize) {
                        *place = class;
                    }
                }
            }
            mask::add(&mut allowed, self.images.mask(class));
        }
        mask::keep(&mut self.live, &allowed);
        mask::any(&self.live)
    }

    /// Columns that telling what open objects say takes in a block with these event types.
    pub(super) fn object_needs(&self, types: impl Iterator<Item = EventType>) -> Need {
        let mut need = Need::OBJECTS_HOT;
        for id in types.filter(|id| self.plan.is_bulk(*id)) {
            let slots = self.plan.mask_of(id).unwrap_or_default();
            if self.live_fd_atoms(slots) {
                need |= Need::FD_BULK;
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

    /// Puts open objects into classes. False when no event's object allows a live slot of its type.
    pub(super) fn objects(&mut self, decoded: &Decoded) -> bool {
        let mut side = match self.fds.remove(self.live.as_slice()) {
            Some(side) if !side.is_large() => side,
            _ => Objects::new(self.plan, self.live_slots(&self.live)),
        };
        side.classify(self.plan, &decoded.dict, &mut self.fd_class);
        self.left.clear();
        self.ordinals.clear();
        for (index, kind) in decoded.kinds.iter().enumerate() {
            self.left_of(index, kind, &side);
        }
        self.fds.insert(self.live.as_slice().into(), side);
        !self.left.is_empty()
    }

    /// Leaves out the types whose events are of other threads than those that allow a live slot of the type. False when
    /// none is left.
    pub(super) fn threads(&mut self, decoded: &Decoded) -> bool {
        self.place_contexts(decoded);
        let mut left = std::mem::take(&mut self.left);
        left.retain(|(index, _)| {
            let kind = decoded.kinds.get(*index);
            let slots = kind.and_then(|kind| self.plan.mask_of(kind.spec.id));
            let allowed = self.allowed(slots.unwrap_or_default());
            let mut threads = self.context_class.iter().enumerate();
            threads.any(|(context, local)| {
                let slots = self.slots_in(&allowed, *local as usize);
                slots.is_some() && decoded.thread_has(context, *index)
            })
        });
        self.left = left;
        !self.left.is_empty()
    }

    /// The live slots among those of a type, for each class of images.
    fn allowed(&self, slots: &[u64]) -> Vec<u64> {
        let mut allowed = Vec::with_capacity(self.local_classes.len() * self.plan.words);
        for class in &self.local_classes {
            let by_image = self.images.mask(*class).iter().zip(&self.live);
            allowed.extend(slots.iter().zip(by_image).map(|(t, (p, l))| t & p & l));
        }
        allowed
    }

    /// Those of a class of images, if there are any.
    #[inline]
    fn slots_in<'s>(&self, allowed: &'s [u64], local: usize) -> Option<&'s [u64]> {
        let words = self.plan.words;
        allowed.get(local * words..(local + 1) * words).filter(|a| mask::any(a))
    }

    /// Notes which events of a type are left when live slots were held against their open objects.
    fn left_of(&mut self, index: usize, kind: &KindColumns, side: &Objects<'p>) {
        let mut slots = self.live.clone();
        mask::keep(&mut slots, self.plan.mask_of(kind.spec.id).unwrap_or_default());
        let of_type = self.plan.mask_of(kind.spec.id).is_some() && mask::any(&slots);
        if !of_type {
            return;
        }
        let start = self.ordinals.len();
        let events = if !kind.spec.hot {
            // What objects they have is known together with the rows only.
            Events::All
        } else if kind.fds.is_empty() {
            if !mask::meet(&slots, side.classes().mask(0)) {
                return;
            }
            Events::All
        } else {
            let allowed = |class| mask::meet(&slots, side.classes().mask(class));
            let allowed: Vec<bool> = (0..side.classes().len() as u32).map(allowed).collect();
            let class_of = |fd: &u32| self.fd_class.get(*fd as usize).copied().unwrap_or(0) as usize;
            let left = (0..).zip(&kind.fds);
            let left = left.filter(|(_, fd)| allowed.get(class_of(fd)).copied().unwrap_or(false));
            self.ordinals.extend(left.map(|(ordinal, _)| ordinal));
            if self.ordinals.len() == start {
                return;
            }
            Events::Some(start..self.ordinals.len())
        };
        self.left.push((index, events));
    }

    /// The events that may satisfy an slot, by row, then by slot.
    pub(super) fn candidates(&mut self, decoded: &Decoded) -> &[Candidate] {
        self.candidates.clear();
        let Some(mut side) = self.fds.remove(self.live.as_slice()) else {
            return &self.candidates;
        };
        let left = std::mem::take(&mut self.left);
        for (kind, events) in &left {
            if let Some(kind) = decoded.kinds.get(*kind) {
                self.of_kind(kind, events, decoded, &mut side);
            }
        }
        self.left = left;
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

    fn of_kind(&mut self, kind: &KindColumns, events: &Events, decoded: &Decoded, side: &mut Objects<'p>) {
        let Some(slots) = self.plan.mask_of(kind.spec.id) else {
            return;
        };
        let allowed = self.allowed(slots);
        let ordinals = std::mem::take(&mut self.ordinals);
        match events {
            Events::All => {
                for ordinal in 0..kind.rows.len() {
                    self.event(kind, ordinal, &allowed, decoded, side);
                }
            }
            Events::Some(range) => {
                for ordinal in ordinals.get(range.clone()).unwrap_or_default() {
                    self.event(kind, *ordinal as usize, &allowed, decoded, side);
                }
            }
        }
        self.ordinals = ordinals;
    }

    /// Adds the candidates that an event is; `allowed` has the slots of its type for each class of images.
    #[inline]
    fn event(
        &mut self,
        kind: &KindColumns,
        ordinal: usize,
        allowed: &[u64],
        decoded: &Decoded,
        side: &mut Objects<'p>,
    ) {
        let row = kind.rows.get(ordinal).copied().unwrap_or(0);
        let context = decoded.context.get(row as usize).copied().unwrap_or(0);
        let local = self.context_class.get(context as usize).copied().unwrap_or(0) as usize;
        let Some(by_type) = self.slots_in(allowed, local) else {
            return;
        };
        let fd = if kind.spec.hot {
            kind.fds.get(ordinal)
        } else {
            decoded.fd.get(row as usize)
        };
        let fd = fd.and_then(|fd| self.fd_class.get(*fd as usize)).copied().unwrap_or(0);
        let by_fd = side.classes().mask(fd);
        if !mask::meet(by_type, by_fd) {
            return;
        }
        let image = self.local_classes.get(local).copied().unwrap_or(0);
        let left: Vec<u64> = by_type.iter().zip(by_fd).map(|(a, b)| a & b).collect();
        for slot in mask::bits(&left) {
            let verdict = side.verdict(self.plan, &self.images, (slot, image, fd));
            if verdict != Some(false) {
                self.candidates.push(Candidate {
                    row,
                    slot,
                    bulk: !kind.spec.hot,
                    image,
                    fd,
                    verdict,
                });
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
    if !scan.threads(block) {
        return Vec::new();
    }
    let candidates = scan.candidates(block).to_vec();
    scan.hits(block, &candidates, first)
}

/// Adds the slots whose projection holds where these comparisons do.
pub(super) fn allow(plan: &Plan, projection: fn(&Slot) -> NodeId, bits: &[u64], out: &mut [u64]) {
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

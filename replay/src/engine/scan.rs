//! One block after another against a plan: images and open objects are put into classes, events test sets of bits, and
//! the few that are left are asked in full.

use std::ops::Range;

use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::{Decoded, Dictionaries};
use ctrace_trace::event::EventType;
use hashbrown::HashMap;

use super::candidates::Candidate;
use super::classes::Classes;
use super::dictionary::Comparisons;
use super::evaluate::Place;
use super::mask;
use super::objects::Objects;
use super::plan::{Asked, Plan, Slot};
use crate::typed::formula::NodeId;

/// More classes, or sets of live slots, than this are forgotten and found again: a hostile recording may make any
/// number of them.
pub(super) const MAX_CLASSES: usize = 1 << 15;
const MAX_LIVE_SETS: usize = 256;

/// Works through blocks; one per thread. Keeps what it learned about values.
#[derive(Debug)]
pub(super) struct Scan<'p> {
    pub(super) plan: &'p Plan,
    process: Comparisons<'p>,
    pub(super) images: Classes,
    pub(super) fds: HashMap<Box<[u64]>, Objects<'p>>,
    /// Of the current block: slots that its types and images allow.
    pub(super) live: Vec<u64>,
    /// Class of each image.
    image_class: Vec<u32>,
    /// Classes of the block's images without repetition, and which of them each context has.
    pub(super) local_classes: Vec<u32>,
    pub(super) context_class: Vec<u32>,
    pub(super) fd_class: Vec<u32>,
    /// The types of which events are left, as indices into the block's list, with these events.
    pub(super) left: Vec<(usize, Events)>,
    /// Positions of events among those of their type.
    pub(super) ordinals: Vec<u32>,
    pub(super) candidates: Vec<Candidate>,
}

/// Events of a type.
#[derive(Clone, Debug)]
pub(super) enum Events {
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
    pub(super) fn allowed(&self, slots: &[u64]) -> Vec<u64> {
        let mut allowed = Vec::with_capacity(self.local_classes.len() * self.plan.words);
        for class in &self.local_classes {
            let by_image = self.images.mask(*class).iter().zip(&self.live);
            allowed.extend(slots.iter().zip(by_image).map(|(t, (p, l))| t & p & l));
        }
        allowed
    }

    /// Those of a class of images, if there are any.
    #[inline]
    pub(super) fn slots_in<'s>(&self, allowed: &'s [u64], local: usize) -> Option<&'s [u64]> {
        let words = self.plan.words;
        allowed.get(local * words..(local + 1) * words).filter(|a| mask::any(a))
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

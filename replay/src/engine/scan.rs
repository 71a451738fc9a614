//! One block after another against a plan: images and open objects are put into classes, events test sets of bits, and
//! the few that are left are asked in full.

use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::{Decoded, Dictionaries, KindColumns};
use ctrace_trace::event::EventType;
use hashbrown::HashMap;

use super::dictionary::{Classes, Comparisons};
use super::mask;
use super::plan::{Instance, Place, Plan};
use crate::typed::eval::Subject;
use crate::typed::formula::NodeId;

/// More classes, or sets of live instances, than this are forgotten and found again: a hostile recording may make any
/// number of them.
const MAX_CLASSES: usize = 1 << 15;
const MAX_LIVE_SETS: usize = 256;
const MAX_VERDICTS: usize = 1 << 18;

/// An event that may satisfy an instance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) row: u32,
    pub(super) instance: u32,
    /// Whether its type is of the hot family.
    pub(super) hot: bool,
    /// Classes of its image and open object.
    image: u32,
    fd: u32,
    /// What these two say of the whole condition.
    pub(super) verdict: Option<bool>,
}

/// Works through blocks; one per thread. Keeps what it learned about values.
#[derive(Debug)]
pub(super) struct Scan<'p, 'r> {
    plan: &'p Plan<'r>,
    process: Comparisons<'r>,
    images: Classes,
    fds: HashMap<Box<[u64]>, FdSide<'r>>,
    /// Of the current block: instances that its types and images allow.
    live: Vec<u64>,
    /// Class of each image.
    image_class: Vec<u32>,
    /// Classes of the block's images without repetition, and which of them each context has.
    local_classes: Vec<u32>,
    context_class: Vec<u32>,
    fd_class: Vec<u32>,
    candidates: Vec<Candidate>,
}

/// What is known of open objects under one set of live instances: comparisons that no live instance makes are left out.
#[derive(Debug)]
struct FdSide<'r> {
    comparisons: Comparisons<'r>,
    classes: Classes,
    /// By instance, image class and fd class.
    verdicts: HashMap<(u32, u32, u32), Option<bool>>,
}

impl<'p, 'r> Scan<'p, 'r> {
    pub(super) fn new(plan: &'p Plan<'r>) -> Scan<'p, 'r> {
        Scan {
            plan,
            process: Comparisons::new(plan.atoms, &plan.process_atoms, |_| true, true),
            images: Classes::new(plan.process_atoms.len(), plan.words, |bits, out| {
                allow(plan, |i| i.process, bits, out);
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

    /// Begins a block with the event types that it holds. Without live instances there is nothing to look for.
    pub(super) fn begin(&mut self, types: impl Iterator<Item = EventType>) -> bool {
        if self.images.len() > MAX_CLASSES || self.fds.len() > MAX_LIVE_SETS {
            *self = Scan::new(self.plan);
        }
        self.live.clear();
        self.live.resize(self.plan.words, 0);
        for id in types {
            if let Some(instances) = self.plan.of_type(id) {
                mask::add(&mut self.live, instances);
            }
        }
        self.image_class.clear();
        mask::any(&self.live)
    }

    /// Whether process images say anything about the conditions.
    pub(super) fn wants_images(&self) -> bool {
        !self.plan.process_atoms.is_empty()
    }

    /// Puts the block's images into classes. False when none allows any live instance.
    pub(super) fn images(&mut self, dict: &Dictionaries) -> bool {
        let plan = self.plan;
        let mut bits = vec![0; mask::words_for(plan.process_atoms.len())];
        // Events without an image are of class 0.
        let mut allowed = self.images.mask(0).to_vec();
        for index in 0..dict.images.len() as u32 {
            bits.fill(0);
            if let Some(image) = dict.image(index) {
                self.process.mark(Subject::Image(image), &mut bits);
            }
            let class = self.images.find(&bits, |bits, out| allow(plan, |i| i.process, bits, out));
            self.image_class.push(class);
            mask::add(&mut allowed, self.images.mask(class));
        }
        mask::keep(&mut self.live, &allowed);
        mask::any(&self.live)
    }

    /// Columns that finding the candidates takes, of event types given with whether they are of the hot family.
    pub(super) fn column_needs(&self, types: impl Iterator<Item = (EventType, bool)>) -> Need {
        let mut need = Need::KIND | Need::CONTEXT;
        for (id, hot) in types {
            let live = self.plan.of_type(id).is_some_and(|instances| self.live_fd_atoms(instances));
            if live {
                need |= if hot { Need::FD_HOT } else { Need::FD_BULK };
            }
        }
        need
    }

    fn live_fd_atoms(&self, instances: &[u64]) -> bool {
        self.live_instances(instances).any(|i| mask::any(&i.fd_atoms))
    }

    fn live_instances(&self, among: &[u64]) -> impl Iterator<Item = &'p Instance> {
        let both: Vec<u64> = self.live.iter().zip(among).map(|(a, b)| a & b).collect();
        let plan = self.plan;
        mask::bits(&both).filter_map(|i| plan.instance(i)).collect::<Vec<_>>().into_iter()
    }

    /// The events that may satisfy an instance, by row, then by instance.
    pub(super) fn candidates(&mut self, decoded: &Decoded) -> &[Candidate] {
        self.candidates.clear();
        let mut side = match self.fds.remove(self.live.as_slice()) {
            Some(side) if side.classes.len() <= MAX_CLASSES && side.verdicts.len() <= MAX_VERDICTS => side,
            _ => FdSide::new(self.plan, self.live_instances(&self.live)),
        };
        side.classify(self.plan, decoded, &mut self.fd_class);
        self.place_contexts(decoded);
        for kind in &decoded.kinds {
            self.of_kind(kind, decoded, &mut side);
        }
        self.fds.insert(self.live.as_slice().into(), side);
        self.candidates.sort_unstable_by_key(|c| (c.row, c.instance));
        &self.candidates
    }

    /// Finds the class of each context's image, in numbers of this block's own.
    fn place_contexts(&mut self, decoded: &Decoded) {
        const UNSEEN: u32 = u32::MAX;
        let mut local = vec![UNSEEN; self.images.len()];
        self.local_classes.clear();
        self.context_class.clear();
        for context in &decoded.dict.contexts {
            let class = context.image.and_then(|i| self.image_class.get(i as usize)).copied().unwrap_or(0);
            let Some(slot) = local.get_mut(class as usize) else { continue };
            if *slot == UNSEEN {
                *slot = self.local_classes.len() as u32;
                self.local_classes.push(class);
            }
            self.context_class.push(*slot);
        }
    }

    fn of_kind(&mut self, kind: &KindColumns, decoded: &Decoded, side: &mut FdSide<'_>) {
        let Some(instances) = self.plan.of_type(kind.spec.id).filter(|i| mask::meet(i, &self.live)) else { return };
        let words = self.plan.words;
        let mut allowed: Vec<u64> = Vec::with_capacity(self.local_classes.len() * words);
        for class in &self.local_classes {
            let by_image = self.images.mask(*class).iter().zip(&self.live);
            allowed.extend(instances.iter().zip(by_image).map(|(t, (p, l))| t & p & l));
        }
        for row in &kind.rows {
            let context = decoded.context.get(*row as usize).copied().unwrap_or(0);
            let local = self.context_class.get(context as usize).copied().unwrap_or(0) as usize;
            let Some(by_type) = allowed.get(local * words..(local + 1) * words).filter(|a| mask::any(a)) else {
                continue;
            };
            let fd = decoded.fd.get(*row as usize).and_then(|fd| self.fd_class.get(*fd as usize)).copied().unwrap_or(0);
            let by_fd = side.classes.mask(fd);
            if !mask::meet(by_type, by_fd) {
                continue;
            }
            let image = self.local_classes.get(local).copied().unwrap_or(0);
            let left: Vec<u64> = by_type.iter().zip(by_fd).map(|(a, b)| a & b).collect();
            for instance in mask::bits(&left) {
                let verdict = side.verdict(self.plan, &self.images, (instance, image, fd));
                if verdict != Some(false) {
                    self.candidates.push(Candidate { row: *row, instance, hot: kind.spec.hot, image, fd, verdict });
                }
            }
        }
    }

    /// Columns that confirming a candidate takes.
    pub(super) fn needs(&self, candidate: &Candidate) -> Need {
        self.plan.instance(candidate.instance).map_or(Need::NOTHING, |i| i.needs)
    }

    /// The condition that a candidate is about.
    pub(super) fn root(&self, candidate: &Candidate) -> Option<u32> {
        self.plan.instance(candidate.instance).map(|i| i.root)
    }

    /// Whether a candidate's event satisfies the instance. The columns that the instance needs must be there.
    pub(super) fn confirm(&self, decoded: &Decoded, candidate: &Candidate) -> bool {
        if let Some(verdict) = candidate.verdict {
            return verdict;
        }
        let (Some(instance), Some(side)) =
            (self.plan.instance(candidate.instance), self.fds.get(self.live.as_slice()))
        else {
            return false;
        };
        let event = decoded.event(candidate.row as usize);
        let (image, fd) = (self.images.bits(candidate.image), side.classes.bits(candidate.fd));
        self.plan.graph.holds(instance.node, &mut |atom| match self.plan.place(atom) {
            Place::Process(bit) => mask::has(image, bit),
            Place::Fd(bit) => mask::has(fd, bit),
            Place::Row => self.plan.atoms.get(atom.0 as usize).is_some_and(|a| a.holds(Subject::Event(event))),
        })
    }
}

impl<'r> FdSide<'r> {
    fn new<'i>(plan: &Plan<'r>, live: impl Iterator<Item = &'i Instance>) -> FdSide<'r> {
        let mut wanted = vec![0; mask::words_for(plan.fd_atoms.len())];
        live.for_each(|instance| mask::add(&mut wanted, &instance.fd_atoms));
        FdSide {
            comparisons: Comparisons::new(plan.atoms, &plan.fd_atoms, |bit| mask::has(&wanted, bit), false),
            classes: Classes::new(plan.fd_atoms.len(), plan.words, |bits, out| allow(plan, |i| i.fd, bits, out)),
            verdicts: HashMap::new(),
        }
    }

    /// The class of each open object.
    fn classify(&mut self, plan: &Plan<'_>, decoded: &Decoded, out: &mut Vec<u32>) {
        out.clear();
        let mut bits = vec![0; mask::words_for(plan.fd_atoms.len())];
        for index in 0..decoded.dict.fds.len() as u32 {
            bits.fill(0);
            if let Some(fd) = decoded.dict.fd(index) {
                self.comparisons.mark(Subject::Fd(fd), &mut bits);
            }
            out.push(self.classes.find(&bits, |bits, out| allow(plan, |i| i.fd, bits, out)));
        }
    }

    /// What image and open object together say of an instance.
    fn verdict(&mut self, plan: &Plan<'_>, images: &Classes, key: (u32, u32, u32)) -> Option<bool> {
        let (instance, image, fd) = key;
        if let Some(known) = self.verdicts.get(&key) {
            return *known;
        }
        let node = plan.instance(instance)?.node;
        let (image, fd) = (images.bits(image), self.classes.bits(fd));
        let verdict = plan.graph.decides(node, &mut |atom| match plan.place(atom) {
            Place::Process(bit) => Some(mask::has(image, bit)),
            Place::Fd(bit) => Some(mask::has(fd, bit)),
            Place::Row => None,
        });
        self.verdicts.insert(key, verdict);
        verdict
    }
}

/// Adds the instances whose projection holds where these comparisons do.
fn allow(plan: &Plan<'_>, projection: fn(&Instance) -> NodeId, bits: &[u64], out: &mut [u64]) {
    for (i, instance) in (0..).zip(&plan.instances) {
        let holds = plan.graph.holds(projection(instance), &mut |atom| match plan.place(atom) {
            Place::Process(bit) | Place::Fd(bit) => mask::has(bits, bit),
            Place::Row => false,
        });
        if holds {
            mask::set(out, i);
        }
    }
}

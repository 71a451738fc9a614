//! What each rule comes down to for an event type: `evt.type` and its kind are folded out of the condition, and what is
//! left is weakened to what a process image and an open object must satisfy for the rule to hold at all.

use std::collections::{BTreeMap, BTreeSet};

use ctrace_trace::block::Need;
use ctrace_trace::catalogue::FieldArg;
use ctrace_trace::event::EventType;
use ctrace_trace::render;
use ctrace_trace::schema::{EventSpec, Schema};
use hashbrown::HashMap;

use super::evaluate::{Place, holds};
use super::mask;
use crate::fields::{DERIVED_ARGS, Scope, is_event_arg};
use crate::rules::concerns;
use crate::typed::atom::{Atom, Extract};
use crate::typed::formula::{AtomId, Formulas, Node, NodeId};

/// A condition to look for, and the source whose events it concerns; `None` for all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) condition: NodeId,
    pub(crate) source: Option<&'a str>,
    /// Whether it counts whatever other conditions hold for the event.
    pub(crate) independent: bool,
}

/// A condition as it stands for some event types.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Index of the wanted condition.
    pub(crate) rule: usize,
    /// The whole condition.
    pub(crate) condition: NodeId,
    /// What the process image must satisfy.
    pub(crate) image: NodeId,
    /// What the open object must satisfy.
    pub(crate) fd: NodeId,
    /// Columns that the condition reads.
    pub(crate) need: Need,
    /// Columns for those of its atoms that are asked of single events.
    pub(crate) row_need: Need,
    /// Those of its atoms that are asked once per open object, as a set of their bits.
    pub(crate) fd_atoms: Vec<u64>,
}

/// Where an atom is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Once per process image; its bit.
    Image(u32),
    /// Once per open object; its bit.
    Fd(u32),
    /// Of the events that are left.
    Event,
}

/// The conditions by event type.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) formulas: Formulas,
    pub(crate) slots: Vec<Slot>,
    /// Per event type: its slots, ascending, which is the order of the rules.
    kinds: BTreeMap<EventType, Vec<usize>>,
    /// The same as sets.
    masks: BTreeMap<EventType, Vec<u64>>,
    /// Event types of the bulk family.
    bulk: BTreeSet<EventType>,
    asked: Vec<Asked>,
    pub(crate) image_atoms: Vec<AtomId>,
    pub(crate) fd_atoms: Vec<AtomId>,
    /// Words of a set of slots.
    pub(crate) words: usize,
    /// Wanted conditions that count whatever others hold.
    independent: BTreeSet<usize>,
}

impl Plan {
    /// Plans for the event types of a schema that `present` names.
    pub(crate) fn new(
        formulas: &Formulas,
        wanted: &[Wanted<'_>],
        schema: &Schema,
        present: &BTreeSet<EventType>,
    ) -> Plan {
        let mut builder = Builder {
            formulas: formulas.clone(),
            slots: BTreeMap::new(),
            bounds: HashMap::new(),
        };
        let mut found: BTreeMap<EventType, Vec<(usize, NodeId)>> = BTreeMap::new();
        let specs: Vec<&EventSpec> = present.iter().filter_map(|id| schema.get(*id)).collect();
        for spec in &specs {
            let mut memo = HashMap::new();
            for (rule, w) in wanted.iter().enumerate() {
                if w.source.is_some_and(|s| !concerns(s, spec.source.name())) {
                    continue;
                }
                let left = builder.fold(w.condition, spec, &mut memo);
                if *builder.formulas.node(left) != Node::Const(false) {
                    found.entry(spec.id).or_default().push((rule, left));
                    builder.slots.insert((rule, left), 0);
                }
            }
        }
        // Slots are numbered in the order of the rules.
        builder.slots.values_mut().enumerate().for_each(|(i, slot)| *slot = i);
        let number = |key: &(usize, NodeId)| builder.slots.get(key).copied();
        let kinds = found
            .iter()
            .map(|(id, keys)| (*id, keys.iter().filter_map(number).collect()))
            .collect();
        let keys: Vec<(usize, NodeId)> = builder.slots.keys().copied().collect();
        let slots = keys
            .into_iter()
            .map(|(rule, condition)| builder.slot(rule, condition))
            .collect();
        let bulk = specs.iter().filter(|s| !s.hot).map(|s| s.id).collect();
        let mut plan = Plan::finish(builder.formulas, slots, kinds, bulk);
        let independent = wanted.iter().enumerate().filter(|(_, w)| w.independent);
        plan.independent = independent.map(|(i, _)| i).collect();
        plan
    }

    fn finish(
        formulas: Formulas,
        slots: Vec<Slot>,
        kinds: BTreeMap<EventType, Vec<usize>>,
        bulk: BTreeSet<EventType>,
    ) -> Plan {
        let words = mask::words_for(slots.len());
        let set_of = |slots: &Vec<usize>| {
            let mut set = vec![0; words];
            slots.iter().for_each(|slot| mask::set(&mut set, *slot as u32));
            set
        };
        let mut plan = Plan {
            masks: kinds.iter().map(|(id, slots)| (*id, set_of(slots))).collect(),
            asked: vec![Asked::Event; formulas.atom_count()],
            formulas,
            slots,
            kinds,
            bulk,
            image_atoms: Vec::new(),
            fd_atoms: Vec::new(),
            words,
            independent: BTreeSet::new(),
        };
        plan.image_atoms = plan.ask_once(|slot| slot.image, Asked::Image);
        plan.fd_atoms = plan.ask_once(|slot| slot.fd, Asked::Fd);
        plan.describe_slots();
        plan
    }

    /// Gives each atom of some weakened conditions its bit.
    fn ask_once(&mut self, node: fn(&Slot) -> NodeId, asked: fn(u32) -> Asked) -> Vec<AtomId> {
        let atoms = self.formulas.atoms_of(self.slots.iter().map(node));
        for (bit, atom) in atoms.iter().enumerate() {
            if let Some(place) = self.asked.get_mut(atom.0 as usize) {
                *place = asked(bit as u32);
            }
        }
        atoms.into_iter().collect()
    }

    fn describe_slots(&mut self) {
        let words = mask::words_for(self.fd_atoms.len());
        for slot in &mut self.slots {
            slot.fd_atoms = vec![0; words];
            for atom in self.formulas.atoms_of([slot.condition]) {
                match self.asked.get(atom.0 as usize) {
                    Some(Asked::Image(_)) => {}
                    Some(Asked::Fd(bit)) => mask::set(&mut slot.fd_atoms, *bit),
                    _ => slot.row_need |= self.formulas.atom_of(atom).map_or(Need::NOTHING, Atom::needs),
                }
            }
        }
    }

    /// Where an atom is asked.
    pub(crate) fn asked(&self, atom: AtomId) -> Asked {
        self.asked.get(atom.0 as usize).copied().unwrap_or(Asked::Event)
    }

    /// Whether a wanted condition counts whatever others hold.
    pub(crate) fn is_independent(&self, rule: usize) -> bool {
        self.independent.contains(&rule)
    }

    /// A slot by its number.
    pub(crate) fn slot(&self, index: u32) -> Option<&Slot> {
        self.slots.get(index as usize)
    }

    /// The slots of an event type as a set, where it has any.
    pub(crate) fn mask_of(&self, id: EventType) -> Option<&[u64]> {
        self.masks.get(&id).map(Vec::as_slice)
    }

    /// Whether an event type is of the bulk family.
    pub(crate) fn is_bulk(&self, id: EventType) -> bool {
        self.bulk.contains(&id)
    }

    /// The slots of an event type.
    fn slots_of(&self, id: EventType) -> &[usize] {
        self.kinds.get(&id).map_or(&[], Vec::as_slice)
    }

    /// The columns that matching needs in a block with these event types; `None` when no condition can hold there.
    pub(crate) fn need(&self, kinds: impl Iterator<Item = EventType>) -> Option<Need> {
        let mut need = Need::NOTHING;
        let mut any = false;
        let mut bulk = false;
        for id in kinds {
            for slot in self.slots_of(id).iter().filter_map(|s| self.slots.get(*s)) {
                any = true;
                need |= slot.need;
                bulk |= self.bulk.contains(&id);
            }
        }
        if !bulk {
            need = without_bulk(need);
        }
        any.then_some(need | Need::KIND | Need::CONTEXT)
    }
}

/// Columns of the bulk family are left alone when only events of the hot family matter.
pub(crate) fn without_bulk(need: Need) -> Need {
    Need(need.0 & !(Need::FD_BULK.0 | Need::ARGS_BULK.0 | Need::RET_BULK.0))
}

/// The same for the hot family.
pub(crate) fn without_hot(need: Need) -> Need {
    Need(need.0 & !(Need::FD_HOT.0 | Need::ARGS_HOT.0 | Need::RET_HOT.0))
}

struct Builder {
    formulas: Formulas,
    slots: BTreeMap<(usize, NodeId), usize>,
    bounds: HashMap<(NodeId, Scope, bool), NodeId>,
}

impl Builder {
    /// Replaces the atoms that the event type decides.
    fn fold(&mut self, id: NodeId, spec: &EventSpec, memo: &mut HashMap<NodeId, NodeId>) -> NodeId {
        if let Some(done) = memo.get(&id) {
            return *done;
        }
        let folded = match self.formulas.node(id).clone() {
            Node::Const(_) => id,
            Node::Atom(atom) => match self.formulas.atom_of(atom).and_then(|a| decided(a, spec)) {
                Some(value) => self.formulas.constant(value),
                None => id,
            },
            Node::Not(child) => {
                let child = self.fold(child, spec, memo);
                self.formulas.not(child)
            }
            Node::And(children) => {
                let children = self.fold_until(&children, spec, memo, false);
                self.formulas.and(children)
            }
            Node::Or(children) => {
                let children = self.fold_until(&children, spec, memo, true);
                self.formulas.or(children)
            }
        };
        memo.insert(id, folded);
        folded
    }

    /// Folds children up to the first that decides the whole.
    fn fold_until(
        &mut self,
        children: &[NodeId],
        spec: &EventSpec,
        memo: &mut HashMap<NodeId, NodeId>,
        decisive: bool,
    ) -> Vec<NodeId> {
        let mut out = Vec::with_capacity(children.len());
        for child in children {
            let folded = self.fold(*child, spec, memo);
            if *self.formulas.node(folded) == Node::Const(decisive) {
                return vec![folded];
            }
            out.push(folded);
        }
        out
    }

    fn slot(&mut self, rule: usize, condition: NodeId) -> Slot {
        Slot {
            rule,
            condition,
            image: self.bound(condition, Scope::Process, true),
            fd: self.bound(condition, Scope::Fd, true),
            need: self.need(condition),
            row_need: Need::NOTHING,
            fd_atoms: Vec::new(),
        }
    }

    /// The formula over atoms of `scope` alone that holds wherever the condition can hold (`upper`), or that holds only
    /// where the condition must hold (not `upper`).
    fn bound(&mut self, id: NodeId, scope: Scope, upper: bool) -> NodeId {
        if let Some(done) = self.bounds.get(&(id, scope, upper)) {
            return *done;
        }
        let bound = match self.formulas.node(id).clone() {
            Node::Const(_) => id,
            Node::Atom(atom) => match self.formulas.atom_of(atom).map(Atom::scope) {
                Some(s) if s == scope => id,
                _ => self.formulas.constant(upper),
            },
            Node::Not(child) => {
                let child = self.bound(child, scope, !upper);
                self.formulas.not(child)
            }
            Node::And(children) => {
                let children: Vec<_> = children.iter().map(|c| self.bound(*c, scope, upper)).collect();
                self.formulas.and(children)
            }
            Node::Or(children) => {
                let children: Vec<_> = children.iter().map(|c| self.bound(*c, scope, upper)).collect();
                self.formulas.or(children)
            }
        };
        self.bounds.insert((id, scope, upper), bound);
        bound
    }

    fn need(&self, id: NodeId) -> Need {
        let atoms = self.formulas.atoms_of([id]);
        let atoms = atoms.into_iter().filter_map(|a| self.formulas.atom_of(a));
        atoms.fold(Need::NOTHING, |need, atom| need | atom.needs())
    }
}

/// What an event type alone says about an atom.
fn decided(atom: &Atom, spec: &EventSpec) -> Option<bool> {
    match atom.scope() {
        Scope::Kind | Scope::Constant => Some(holds(atom, Place::Kind(spec))),
        Scope::Fd if !spec.has_fd() => Some(false),
        Scope::Row if lacks_param(&atom.left, spec) => Some(false),
        _ => None,
    }
}

/// Whether the atom is about a parameter that events of the type do not have.
fn lacks_param(left: &Extract, spec: &EventSpec) -> bool {
    let Extract::Field(field) = left else { return false };
    let [(f, FieldArg::Key(key))] = field.parts.as_slice() else {
        return false;
    };
    is_event_arg(f.name) && !DERIVED_ARGS.contains(&key.as_str()) && !render::knows(spec, key)
}

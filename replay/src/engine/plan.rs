//! What each rule comes down to for an event type: `evt.type` and its kind are folded out of the condition, and what is
//! left is weakened to what a process image and an open object must satisfy for the rule to hold at all.

use std::collections::{BTreeMap, BTreeSet};

use ctrace_trace::block::Need;
use ctrace_trace::catalogue::FieldArg;
use ctrace_trace::event::EventType;
use ctrace_trace::schema::{EventSpec, Schema};

use super::evaluate::{Place, holds};
use crate::fields::{DERIVED_ARGS, Scope, is_event_arg};
use crate::typed::atom::{Atom, Extract};
use crate::typed::formula::{AtomId, Formulas, Node, NodeId};

/// A condition to look for, and the source whose events it concerns; `None` for all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) condition: NodeId,
    pub(crate) source: Option<&'a str>,
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
    /// Columns that what is asked of image and object reads.
    pub(crate) entry_need: Need,
}

/// How far matching goes with the columns of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Up to the events whose image and object leave a condition open.
    Candidates,
    /// To the end.
    Whole,
}

/// The conditions by event type.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) formulas: Formulas,
    pub(crate) slots: Vec<Slot>,
    /// Per event type: its slots, ascending, which is the order of the rules.
    kinds: BTreeMap<EventType, Vec<usize>>,
    /// Event types of the bulk family.
    bulk: BTreeSet<EventType>,
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
            bounds: BTreeMap::new(),
        };
        let mut found: BTreeMap<EventType, Vec<(usize, NodeId)>> = BTreeMap::new();
        let specs: Vec<&EventSpec> = present.iter().filter_map(|id| schema.get(*id)).collect();
        for spec in &specs {
            let mut memo = BTreeMap::new();
            for (rule, w) in wanted.iter().enumerate() {
                if w.source.is_some_and(|s| s != spec.source.name()) {
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
        Plan {
            formulas: builder.formulas,
            slots,
            kinds,
            bulk,
        }
    }

    /// The slots of an event type.
    pub(crate) fn slots_of(&self, id: EventType) -> &[usize] {
        self.kinds.get(&id).map_or(&[], Vec::as_slice)
    }

    /// The columns that matching needs in a block with these event types; `None` when no condition can hold there.
    pub(crate) fn need(&self, kinds: impl Iterator<Item = EventType>, depth: Depth) -> Option<Need> {
        let mut need = Need::NOTHING;
        let mut any = false;
        let mut bulk = false;
        for id in kinds {
            for slot in self.slots_of(id).iter().filter_map(|s| self.slots.get(*s)) {
                any = true;
                need |= slot.entry_need;
                if depth == Depth::Whole {
                    need |= slot.need;
                }
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

struct Builder {
    formulas: Formulas,
    slots: BTreeMap<(usize, NodeId), usize>,
    bounds: BTreeMap<(NodeId, Scope, bool), NodeId>,
}

impl Builder {
    /// Replaces the atoms that the event type decides.
    fn fold(&mut self, id: NodeId, spec: &EventSpec, memo: &mut BTreeMap<NodeId, NodeId>) -> NodeId {
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
        memo: &mut BTreeMap<NodeId, NodeId>,
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
        let image = self.bound(condition, Scope::Process, true);
        let fd = self.bound(condition, Scope::Fd, true);
        Slot {
            rule,
            condition,
            image,
            fd,
            need: self.need(condition),
            entry_need: self.need(image) | self.need(fd),
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
        let mut need = Need::NOTHING;
        let mut seen = BTreeSet::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            match self.formulas.node(id) {
                Node::Const(_) => {}
                Node::Atom(atom) => need |= self.formulas.atom_of(*atom).map_or(Need::NOTHING, Atom::needs),
                Node::Not(child) => open.push(*child),
                Node::And(children) | Node::Or(children) => open.extend(children.iter().copied()),
            }
        }
        need
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
    is_event_arg(f.name) && !DERIVED_ARGS.contains(&key.as_str()) && spec.param(key).is_none()
}

/// Evaluates a formula with each atom asked at most once.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    known: Vec<u8>,
    touched: Vec<AtomId>,
}

impl Memo {
    /// Forgets everything; room for `atoms` atoms.
    pub(crate) fn reset(&mut self, atoms: usize) {
        for id in self.touched.drain(..) {
            if let Some(slot) = self.known.get_mut(id.0 as usize) {
                *slot = 0;
            }
        }
        self.known.resize(atoms, 0);
    }

    /// What is known of an atom, or what `ask` says.
    pub(crate) fn get(&mut self, id: AtomId, ask: impl FnOnce() -> bool) -> bool {
        match self.known.get(id.0 as usize) {
            Some(1) => return false,
            Some(2) => return true,
            _ => {}
        }
        let value = ask();
        if let Some(slot) = self.known.get_mut(id.0 as usize) {
            *slot = 1 + u8::from(value);
            self.touched.push(id);
        }
        value
    }
}

//! What is known of all conditions before a block is looked at: per event type the conditions that are left when the
//! type is filled in, and what of them can be said from a process image or an open object alone.

use std::collections::BTreeMap;

use ctrace_trace::block::Need;
use ctrace_trace::event::{EventType, Source};
use ctrace_trace::schema::EventSpec;

use super::mask;
use crate::fields::Scope;
use crate::typed::atom::Atom;
use crate::typed::eval::Subject;
use crate::typed::formula::{AtomId, Graph, Node, NodeId};

/// A condition to look for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Root {
    /// The condition.
    pub(crate) node: NodeId,
    /// Only events of this source.
    pub(crate) source: Option<Source>,
}

/// What is left of a condition for some event types.
#[derive(Debug)]
pub(super) struct Instance {
    /// Index of the condition among the roots.
    pub(super) root: u32,
    /// The condition without what the type decides.
    pub(super) node: NodeId,
    /// What must hold of the process image, and of the open object, for `node` to hold.
    pub(super) process: NodeId,
    pub(super) fd: NodeId,
    /// The comparisons of `node` that are made once per open object, as a set of places.
    pub(super) fd_atoms: Vec<u64>,
    /// Columns for the comparisons of `node` that are made per event.
    pub(super) needs: Need,
}

/// Where a comparison is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Once per process image; its bit.
    Process(u32),
    /// Once per open object; its bit.
    Fd(u32),
    /// For the events that are left.
    Row,
}

/// The plan for a set of event types.
#[derive(Debug)]
pub(super) struct Plan<'r> {
    pub(super) atoms: &'r [Atom],
    pub(super) graph: Graph,
    /// In the order of their roots.
    pub(super) instances: Vec<Instance>,
    /// Per event type its instances, as a set.
    types: BTreeMap<EventType, Vec<u64>>,
    places: Vec<Place>,
    pub(super) process_atoms: Vec<AtomId>,
    pub(super) fd_atoms: Vec<AtomId>,
    /// Words of a set of instances.
    pub(super) words: usize,
}

impl<'r> Plan<'r> {
    /// Plans the roots for events of these types.
    pub(super) fn new<'s>(
        atoms: &'r [Atom],
        graph: Graph,
        roots: &[Root],
        specs: impl IntoIterator<Item = &'s EventSpec>,
    ) -> Plan<'r> {
        let mut planner = Planner { scopes: atoms.iter().map(Atom::scope).collect(), atoms, graph };
        let mut found: BTreeMap<(u32, NodeId), Vec<EventType>> = BTreeMap::new();
        for spec in specs {
            let mut folded = vec![None; planner.graph.len()];
            for (i, root) in roots.iter().enumerate().filter(|(_, r)| r.source.is_none_or(|s| s == spec.source)) {
                let node = planner.fold(root.node, spec, &mut folded);
                if *planner.graph.node(node) != Node::Const(false) {
                    found.entry((i as u32, node)).or_default().push(spec.id);
                }
            }
        }
        planner.finish(found)
    }

    /// The instances of an event type, where it has any.
    pub(super) fn of_type(&self, id: EventType) -> Option<&[u64]> {
        self.types.get(&id).map(Vec::as_slice)
    }

    pub(super) fn place(&self, atom: AtomId) -> Place {
        self.places.get(atom.0 as usize).copied().unwrap_or(Place::Row)
    }

    pub(super) fn instance(&self, index: u32) -> Option<&Instance> {
        self.instances.get(index as usize)
    }
}

struct Planner<'r> {
    atoms: &'r [Atom],
    scopes: Vec<Scope>,
    graph: Graph,
}

/// What a projected formula stands for: the least that holds whenever the whole does, or the most that implies it.
type Projected = BTreeMap<(NodeId, bool), NodeId>;

impl<'r> Planner<'r> {
    fn finish(mut self, found: BTreeMap<(u32, NodeId), Vec<EventType>>) -> Plan<'r> {
        let words = mask::words_for(found.len());
        let mut types: BTreeMap<EventType, Vec<u64>> = BTreeMap::new();
        let (mut on_process, mut on_fd) = (Projected::new(), Projected::new());
        let mut instances = Vec::with_capacity(found.len());
        for (i, ((root, node), ids)) in found.into_iter().enumerate() {
            for id in ids {
                mask::set(types.entry(id).or_insert_with(|| vec![0; words]), i as u32);
            }
            let process = self.project(node, Scope::Process, true, &mut on_process);
            let fd = self.project(node, Scope::Fd, true, &mut on_fd);
            instances.push(Instance { root, node, process, fd, fd_atoms: Vec::new(), needs: Need::NOTHING });
        }
        let mut plan = Plan {
            atoms: self.atoms,
            graph: self.graph,
            instances,
            types,
            places: vec![Place::Row; self.atoms.len()],
            process_atoms: Vec::new(),
            fd_atoms: Vec::new(),
            words,
        };
        plan.process_atoms = plan.place_atoms(|i| i.process, Place::Process);
        plan.fd_atoms = plan.place_atoms(|i| i.fd, Place::Fd);
        plan.describe_instances();
        plan
    }

    /// Fills in what the event type decides.
    fn fold(&mut self, id: NodeId, spec: &EventSpec, done: &mut Vec<Option<NodeId>>) -> NodeId {
        if let Some(Some(folded)) = done.get(id.0 as usize) {
            return *folded;
        }
        let folded = match self.graph.node(id).clone() {
            Node::Const(_) => id,
            Node::Atom(atom) => match (self.scopes.get(atom.0 as usize), self.atoms.get(atom.0 as usize)) {
                (Some(Scope::Kind), Some(atom)) => {
                    let value = atom.holds(Subject::Kind(spec));
                    self.graph.constant(value)
                }
                _ => id,
            },
            Node::Not(inner) => {
                let inner = self.fold(inner, spec, done);
                self.graph.not(inner)
            }
            Node::And(children) => {
                let children: Vec<_> = children.iter().map(|c| self.fold(*c, spec, done)).collect();
                self.graph.and(children)
            }
            Node::Or(children) => {
                let children: Vec<_> = children.iter().map(|c| self.fold(*c, spec, done)).collect();
                self.graph.or(children)
            }
        };
        if let Some(slot) = done.get_mut(id.0 as usize) {
            *slot = Some(folded);
        }
        folded
    }

    /// Replaces all comparisons of other scopes by what makes the formula as true as it can get (`up`), or as false.
    fn project(&mut self, id: NodeId, scope: Scope, up: bool, done: &mut Projected) -> NodeId {
        if let Some(projected) = done.get(&(id, up)) {
            return *projected;
        }
        let projected = match self.graph.node(id).clone() {
            Node::Const(_) => id,
            Node::Atom(atom) if self.scopes.get(atom.0 as usize) == Some(&scope) => id,
            Node::Atom(_) => self.graph.constant(up),
            Node::Not(inner) => {
                let inner = self.project(inner, scope, !up, done);
                self.graph.not(inner)
            }
            Node::And(children) => {
                let children: Vec<_> = children.iter().map(|c| self.project(*c, scope, up, done)).collect();
                self.graph.and(children)
            }
            Node::Or(children) => {
                let children: Vec<_> = children.iter().map(|c| self.project(*c, scope, up, done)).collect();
                self.graph.or(children)
            }
        };
        done.insert((id, up), projected);
        projected
    }
}

impl Plan<'_> {
    /// Gives each comparison of some projections its bit.
    fn place_atoms(&mut self, projection: fn(&Instance) -> NodeId, place: fn(u32) -> Place) -> Vec<AtomId> {
        let roots = self.instances.iter().map(projection);
        let atoms = self.graph.atoms_of(roots);
        for (bit, atom) in atoms.iter().enumerate() {
            if let Some(slot) = self.places.get_mut(atom.0 as usize) {
                *slot = place(bit as u32);
            }
        }
        atoms.into_iter().collect()
    }

    fn describe_instances(&mut self) {
        let words = mask::words_for(self.fd_atoms.len());
        for instance in &mut self.instances {
            instance.fd_atoms = vec![0; words];
            for atom in self.graph.atoms_of([instance.node]) {
                match self.places.get(atom.0 as usize) {
                    Some(Place::Process(_)) => {}
                    Some(Place::Fd(bit)) => mask::set(&mut instance.fd_atoms, *bit),
                    _ => instance.needs |= self.atoms.get(atom.0 as usize).map_or(Need::NOTHING, Atom::needs),
                }
            }
        }
    }
}

//! Formulas as a graph of shared nodes: a macro used by twenty rules is one node, a comparison used by twenty macros
//! one atom. Sharing also keeps macros that double their size at each level from filling the memory.

use std::collections::{BTreeMap, BTreeSet};

use super::atom::Atom;
use super::eval::Subject;

/// Number of a node in a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(pub(crate) u32);

/// Number of an atom in [`Formulas`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AtomId(pub(crate) u32);

/// One node. Children always have smaller numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    Const(bool),
    Atom(AtomId),
    Not(NodeId),
    And(Box<[NodeId]>),
    Or(Box<[NodeId]>),
}

/// Nodes, equal ones only once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    interned: BTreeMap<Node, NodeId>,
}

/// All formulas of a rule set.
#[derive(Debug, Default)]
pub(crate) struct Formulas {
    pub(crate) graph: Graph,
    atoms: Vec<Atom>,
    atom_keys: BTreeMap<String, AtomId>,
}

impl Formulas {
    /// The truth of a formula, asked of a subject comparison by comparison.
    pub(crate) fn holds(&self, id: NodeId, subject: Subject<'_>) -> bool {
        self.graph.holds(id, &mut |atom| self.atoms.get(atom.0 as usize).is_some_and(|a| a.holds(subject)))
    }

    pub(crate) fn atoms(&self) -> &[Atom] {
        &self.atoms
    }

    /// The node of an atom; equal atoms share one.
    pub(crate) fn atom(&mut self, atom: Atom) -> NodeId {
        let key = atom.key();
        let next = AtomId(self.atoms.len() as u32);
        let id = *self.atom_keys.entry(key).or_insert(next);
        if id == next {
            self.atoms.push(atom);
        }
        self.graph.intern(Node::Atom(id))
    }
}

impl Graph {
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        const NEVER: Node = Node::Const(false);
        self.nodes.get(id.0 as usize).unwrap_or(&NEVER)
    }

    fn intern(&mut self, node: Node) -> NodeId {
        if let Some(id) = self.interned.get(&node) {
            return *id;
        }
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(node.clone());
        self.interned.insert(node, id);
        id
    }

    pub(crate) fn constant(&mut self, value: bool) -> NodeId {
        self.intern(Node::Const(value))
    }

    pub(crate) fn not(&mut self, child: NodeId) -> NodeId {
        match *self.node(child) {
            Node::Const(v) => self.constant(!v),
            Node::Not(inner) => inner,
            _ => self.intern(Node::Not(child)),
        }
    }

    pub(crate) fn and(&mut self, children: impl IntoIterator<Item = NodeId>) -> NodeId {
        self.join(children, false)
    }

    pub(crate) fn or(&mut self, children: impl IntoIterator<Item = NodeId>) -> NodeId {
        self.join(children, true)
    }

    /// `or` when `dominant` is true, `and` when it is false: one child of that value decides.
    fn join(&mut self, children: impl IntoIterator<Item = NodeId>, dominant: bool) -> NodeId {
        let mut kept: Vec<NodeId> = Vec::new();
        for child in children {
            match self.node(child) {
                Node::Const(v) if *v == dominant => return self.constant(dominant),
                Node::Const(_) => {}
                Node::And(inner) if !dominant => kept.extend(inner.iter().copied()),
                Node::Or(inner) if dominant => kept.extend(inner.iter().copied()),
                _ => kept.push(child),
            }
        }
        let mut seen = BTreeSet::new();
        kept.retain(|id| seen.insert(*id));
        match kept.as_slice() {
            [] => self.constant(!dominant),
            [only] => *only,
            _ if dominant => self.intern(Node::Or(kept.into())),
            _ => self.intern(Node::And(kept.into())),
        }
    }

    /// The atoms of some formulas.
    pub(crate) fn atoms_of(&self, roots: impl IntoIterator<Item = NodeId>) -> BTreeSet<AtomId> {
        let (mut atoms, mut seen, mut open) = (BTreeSet::new(), BTreeSet::new(), Vec::from_iter(roots));
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            match self.node(id) {
                Node::Const(_) => {}
                Node::Atom(atom) => {
                    atoms.insert(*atom);
                }
                Node::Not(inner) => open.push(*inner),
                Node::And(children) | Node::Or(children) => open.extend(children.iter().copied()),
            }
        }
        atoms
    }
}

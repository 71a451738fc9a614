//! Formulas as a graph of shared nodes: a macro used by twenty rules is one node, a comparison used by twenty macros
//! one atom. Sharing also keeps macros that double their size at each level from filling the memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;

use super::atom::Atom;

/// Number of a node in [`Formulas`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(pub(crate) u32);

/// Number of an atom in [`Formulas`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AtomId(pub(crate) u32);

/// One node. Children always have smaller numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Const(bool),
    Atom(AtomId),
    Not(NodeId),
    And(Box<[NodeId]>),
    Or(Box<[NodeId]>),
}

/// All nodes and atoms of a rule set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Formulas {
    nodes: Vec<Node>,
    /// Per node: how deep its children nest.
    depths: Vec<u32>,
    /// Per node: how many nodes it has where each use of a shared one counts.
    sizes: Vec<u64>,
    interned: HashMap<Node, NodeId>,
    atoms: Vec<Arc<Atom>>,
    /// Shared by copies that make no new atoms: each key is an atom in full.
    atom_keys: Arc<BTreeMap<String, AtomId>>,
}

impl Formulas {
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        const NEVER: Node = Node::Const(false);
        self.nodes.get(id.0 as usize).unwrap_or(&NEVER)
    }

    pub(crate) fn atom_of(&self, id: AtomId) -> Option<&Atom> {
        self.atoms.get(id.0 as usize).map(Arc::as_ref)
    }

    pub(crate) fn atom_count(&self) -> usize {
        self.atoms.len()
    }

    /// How deep a formula nests: evaluation recurses as deep.
    pub(crate) fn depth(&self, id: NodeId) -> u32 {
        self.depths.get(id.0 as usize).copied().unwrap_or(0)
    }

    /// How large a formula is where each use of a shared node counts: evaluation takes as long. Macros that use another
    /// one twice double it at each level.
    pub(crate) fn size(&self, id: NodeId) -> u64 {
        self.sizes.get(id.0 as usize).copied().unwrap_or(1)
    }

    /// Whether the formula holds, given which atoms do.
    pub(crate) fn eval(&self, id: NodeId, atom: &mut impl FnMut(AtomId) -> bool) -> bool {
        match self.node(id) {
            Node::Const(value) => *value,
            Node::Atom(id) => atom(*id),
            Node::Not(child) => !self.eval(*child, atom),
            Node::And(children) => children.iter().all(|c| self.eval(*c, atom)),
            Node::Or(children) => children.iter().any(|c| self.eval(*c, atom)),
        }
    }

    /// Whether the formula holds, given some atoms; `None` where those do not decide it.
    pub(crate) fn decides(&self, id: NodeId, atom: &mut impl FnMut(AtomId) -> Option<bool>) -> Option<bool> {
        match self.node(id) {
            Node::Const(value) => Some(*value),
            Node::Atom(id) => atom(*id),
            Node::Not(child) => self.decides(*child, atom).map(|v| !v),
            Node::And(children) => self.any_decides(children, false, atom),
            Node::Or(children) => self.any_decides(children, true, atom),
        }
    }

    /// One child with the value `decisive` decides, however little is known of the others.
    fn any_decides(
        &self,
        children: &[NodeId],
        decisive: bool,
        atom: &mut impl FnMut(AtomId) -> Option<bool>,
    ) -> Option<bool> {
        let mut open = false;
        for child in children {
            match self.decides(*child, atom) {
                Some(v) if v == decisive => return Some(decisive),
                Some(_) => {}
                None => open = true,
            }
        }
        (!open).then_some(!decisive)
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
                Node::Not(child) => open.push(*child),
                Node::And(children) | Node::Or(children) => open.extend(children.iter().copied()),
            }
        }
        atoms
    }

    fn intern(&mut self, node: Node) -> NodeId {
        if let Some(id) = self.interned.get(&node) {
            return *id;
        }
        let id = NodeId(self.nodes.len() as u32);
        let children: &[NodeId] = match &node {
            Node::Not(child) => std::slice::from_ref(child),
            Node::And(children) | Node::Or(children) => children,
            Node::Const(_) | Node::Atom(_) => &[],
        };
        self.depths
            .push(children.iter().map(|c| self.depth(*c) + 1).max().unwrap_or(0));
        let sizes = children.iter().map(|c| self.size(*c));
        self.sizes.push(sizes.fold(1, u64::saturating_add));
        self.nodes.push(node.clone());
        self.interned.insert(node, id);
        id
    }

    pub(crate) fn constant(&mut self, value: bool) -> NodeId {
        self.intern(Node::Const(value))
    }

    /// The node of an atom; equal atoms share one.
    pub(crate) fn atom(&mut self, atom: Atom) -> NodeId {
        let key = atom.key();
        let next = AtomId(self.atoms.len() as u32);
        let id = *Arc::make_mut(&mut self.atom_keys).entry(key).or_insert(next);
        if id == next {
            self.atoms.push(Arc::new(atom));
        }
        self.intern(Node::Atom(id))
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
        if !kept.is_sorted_by(|a, b| a < b) {
            let mut seen = BTreeSet::new();
            kept.retain(|id| seen.insert(*id));
        }
        match kept.as_slice() {
            [] => self.constant(!dominant),
            [only] => *only,
            _ if dominant => self.intern(Node::Or(kept.into())),
            _ => self.intern(Node::And(kept.into())),
        }
    }
}

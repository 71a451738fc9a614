//! From syntax and event to the tree.

use std::collections::BTreeMap;
use std::sync::Arc;

use ctrace_trace::block::decoded::EventView;
use ctrace_trace::catalogue::Value as FieldValue;
use ctrace_trace::escape;

use super::{Explained, Step};
use crate::condition::ast::{Check, Expr, Value};
use crate::engine::evaluate::{self, Place};
use crate::rules::{Rule, RuleSet, Syntax};
use crate::source::Loc;
use crate::typed::atom::{Atom, Extract, Right};
use crate::typed::compile::{self, CompileError, Names};
use crate::typed::formula::{Formulas, Node, NodeId};

/// Deepest tree: walking it recurses as deep. Rules that people write stay below thirty.
const MAX_DEPTH: usize = 600;

/// The tree of a rule; `None` where it is too deep.
pub(super) fn tree(set: &RuleSet, rule: &Rule, event: EventView<'_>) -> Option<Arc<Explained>> {
    let mut builder = Builder {
        set,
        event,
        macros: BTreeMap::new(),
    };
    match &rule.syntax {
        Some(syntax) => builder.rule(syntax, &rule.exceptions),
        None => builder.formula(rule.condition, 0),
    }
}

/// Calls `each` with every comparison of a rule, as text and as atom; macros are entered once. Rules that were not
/// written in Falco's language give the comparisons of their formulas.
pub(crate) fn comparisons(set: &RuleSet, rule: &Rule, each: &mut dyn FnMut(String, Atom)) {
    let mut open: Vec<&Expr> = rule.syntax.iter().collect();
    let mut entered: Vec<&str> = Vec::new();
    if rule.syntax.is_none() {
        let atoms = set.formulas.atoms_of([rule.condition]);
        let atoms = atoms.into_iter().filter_map(|id| set.formulas.atom_of(id));
        atoms.for_each(|atom| each(atom.text(), atom.clone()));
    }
    while let Some(expr) = open.pop() {
        match expr {
            Expr::And(list) | Expr::Or(list) => open.extend(list.iter().rev()),
            Expr::Not(inner) => open.push(inner),
            Expr::Macro(name, _) if !entered.contains(&name.as_str()) => {
                entered.push(name);
                open.extend(set.syntax.macros.get(name));
            }
            Expr::Macro(..) => {}
            Expr::Check(check) => {
                if let Some(atom) = atom(check, &set.syntax) {
                    each(check.to_string(), atom);
                }
            }
        }
    }
}

struct Builder<'a> {
    set: &'a RuleSet,
    event: EventView<'a>,
    /// Macros that were met.
    macros: BTreeMap<&'a str, Arc<Explained>>,
}

impl<'a> Builder<'a> {
    /// The condition with its exceptions: they are the last parts of an `and`.
    fn rule(&mut self, syntax: &'a Expr, exceptions: &[String]) -> Option<Arc<Explained>> {
        let Expr::And(parts) = syntax else {
            return self.expr(syntax, 0);
        };
        let own = parts.len().saturating_sub(exceptions.len());
        let mut children = Vec::with_capacity(parts.len());
        for (i, part) in parts.iter().enumerate() {
            let child = self.expr(part, 1)?;
            children.push(match i.checked_sub(own).and_then(|i| exceptions.get(i)) {
                Some(name) if child.step == Step::Not => Arc::new(Explained {
                    step: Step::Exception(name.clone()),
                    ..Explained::clone(&child)
                }),
                _ => child,
            });
        }
        Some(joined(Step::And, children))
    }

    fn expr(&mut self, expr: &'a Expr, depth: usize) -> Option<Arc<Explained>> {
        if depth > MAX_DEPTH {
            return None;
        }
        match expr {
            Expr::And(list) => Some(joined(Step::And, self.exprs(list, depth)?)),
            Expr::Or(list) => Some(joined(Step::Or, self.exprs(list, depth)?)),
            Expr::Not(inner) => Some(joined(Step::Not, vec![self.expr(inner, depth + 1)?])),
            Expr::Macro(name, _) => {
                if let Some(known) = self.macros.get(name.as_str()) {
                    return Some(known.clone());
                }
                let (name, inner) = self.set.syntax.macros.get_key_value(name)?;
                let inner = self.expr(inner, depth + 1)?;
                let node = joined(Step::Macro(name.clone()), vec![inner]);
                self.macros.insert(name, node.clone());
                Some(node)
            }
            Expr::Check(check) => Some(self.check(check)),
        }
    }

    fn exprs(&mut self, list: &'a [Expr], depth: usize) -> Option<Vec<Arc<Explained>>> {
        list.iter().map(|e| self.expr(e, depth + 1)).collect()
    }

    fn check(&self, check: &Check) -> Arc<Explained> {
        match atom(check, &self.set.syntax) {
            Some(atom) => self.atom(check.to_string(), &atom),
            // Rules that loaded have no such comparisons.
            None => leaf(check.to_string(), "<NA>".to_owned(), false),
        }
    }

    fn atom(&self, text: String, atom: &Atom) -> Arc<Explained> {
        let place = Place::Event(self.event);
        let value = match &atom.right {
            Right::Test(_) | Right::Every(_) | Right::Record(_) => shown(&atom.left, place),
            Right::Field(_, right) => format!("{}, {}", shown(&atom.left, place), shown(right, place)),
        };
        leaf(text, value, evaluate::holds(atom, place))
    }

    /// The tree of a condition that was not written in Falco's language.
    fn formula(&mut self, id: NodeId, depth: usize) -> Option<Arc<Explained>> {
        if depth > MAX_DEPTH {
            return None;
        }
        let formulas = &self.set.formulas;
        let mut each =
            |list: &[NodeId]| -> Option<Vec<_>> { list.iter().map(|c| self.formula(*c, depth + 1)).collect() };
        Some(match formulas.node(id) {
            Node::Const(value) => leaf(value.to_string(), value.to_string(), *value),
            Node::Atom(id) => {
                let atom = formulas.atom_of(*id)?;
                self.atom(atom.text(), atom)
            }
            Node::Not(child) => joined(Step::Not, each(std::slice::from_ref(child))?),
            Node::And(children) => joined(Step::And, each(children)?),
            Node::Or(children) => joined(Step::Or, each(children)?),
        })
    }
}

fn joined(step: Step, children: Vec<Arc<Explained>>) -> Arc<Explained> {
    let mut held = children.iter().map(|c| c.holds);
    let holds = match step {
        Step::Or => held.any(|h| h),
        Step::Not => held.all(|h| !h),
        _ => held.all(|h| h),
    };
    Arc::new(Explained { step, holds, children })
}

fn leaf(text: String, value: String, holds: bool) -> Arc<Explained> {
    Arc::new(Explained {
        step: Step::Check { text, value },
        holds,
        children: Vec::new(),
    })
}

/// What an expression yields, made safe to show.
fn shown(extract: &Extract, place: Place<'_>) -> String {
    let mut out = Vec::new();
    evaluate::each_value(extract, place, &mut |value| match value {
        FieldValue::Str(s) => out.push(escape::bytes(&s)),
        FieldValue::List(items) => out.extend(items.iter().map(|s| escape::bytes(s))),
        other => out.push(other.to_string()),
    });
    match out.as_slice() {
        [] => "<NA>".to_owned(),
        [only] => only.clone(),
        _ => format!("({})", out.join(", ")),
    }
}

fn atom(check: &Check, syntax: &Syntax) -> Option<Atom> {
    compile::comparison(check, &mut Known(syntax), &mut Vec::new()).ok()
}

/// The lists of rules that loaded. Macros are no part of a comparison.
struct Known<'a>(&'a Syntax);

impl Names for Known<'_> {
    fn macro_node(&mut self, _: &str, _: Loc, _: &mut Formulas, _: &mut Vec<CompileError>) -> Option<NodeId> {
        None
    }

    fn list_items(&mut self, name: &str, _: &mut Vec<CompileError>) -> Option<Vec<Value>> {
        self.0.lists.get(name).cloned()
    }
}

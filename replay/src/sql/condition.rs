//! Formulas in SQL.

use super::{NotExpressible, atom};
use crate::typed::atom::Right;
use crate::typed::formula::{AtomId, Formulas, Node, NodeId};

/// What to do about a comparison that SQL has no words for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Give up.
    Exact,
    /// Write a condition that holds wherever the true one does.
    Bound,
}

/// Larger conditions are not written: formulas share parts, texts repeat them.
const MAX_TEXT: usize = 1 << 20;

/// A condition: decided, or text. The text is true where the condition holds, and false or null elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sql {
    Const(bool),
    Text(String),
}

impl Sql {
    pub(super) fn text(text: impl Into<String>) -> Sql {
        Sql::Text(text.into())
    }

    pub(super) fn into_text(self) -> String {
        match self {
            Sql::Const(value) => value.to_string(),
            Sql::Text(text) => text,
        }
    }

    /// True where this is false or null.
    pub(super) fn not(self) -> Sql {
        match self {
            Sql::Const(value) => Sql::Const(!value),
            Sql::Text(text) => Sql::Text(format!("({text}) IS NOT TRUE")),
        }
    }

    pub(super) fn all(parts: impl IntoIterator<Item = Sql>) -> Sql {
        join(parts, false, " AND ")
    }

    pub(super) fn any(parts: impl IntoIterator<Item = Sql>) -> Sql {
        join(parts, true, " OR ")
    }
}

/// One part of the value `dominant` decides the whole.
fn join(parts: impl IntoIterator<Item = Sql>, dominant: bool, word: &str) -> Sql {
    let mut texts = Vec::new();
    for part in parts {
        match part {
            Sql::Const(value) if value == dominant => return Sql::Const(dominant),
            Sql::Const(_) => {}
            Sql::Text(text) => texts.push(text),
        }
    }
    if texts.is_empty() {
        return Sql::Const(!dominant);
    }
    Sql::Text(balanced(&texts, word))
}

/// More parts than this are put into two halves: engines write plans as nested messages of limited depth.
const FLAT: usize = 8;

fn balanced(texts: &[String], word: &str) -> String {
    match texts {
        [only] => only.clone(),
        few if few.len() <= FLAT => few.iter().map(|t| format!("({t})")).collect::<Vec<_>>().join(word),
        many => {
            let (left, right) = many.split_at(many.len() / 2);
            format!("({}){word}({})", balanced(left, word), balanced(right, word))
        }
    }
}

/// Writes formulas.
pub(super) struct Writer<'a> {
    formulas: &'a Formulas,
    mode: Mode,
}

impl<'a> Writer<'a> {
    pub(super) fn new(formulas: &'a Formulas, mode: Mode) -> Writer<'a> {
        Writer { formulas, mode }
    }

    pub(super) fn write(&self, id: NodeId) -> Result<String, NotExpressible> {
        self.node(id, true).map(Sql::into_text)
    }

    /// With `upper`, what stands for an inexpressible comparison makes the whole hold rather than not.
    fn node(&self, id: NodeId, upper: bool) -> Result<Sql, NotExpressible> {
        let sql = match self.formulas.node(id) {
            Node::Const(value) => Sql::Const(*value),
            Node::Atom(atom) => self.atom(*atom, upper)?,
            Node::Not(child) => self.negated(*child, upper)?,
            Node::And(children) => Sql::all(self.nodes(children, upper)?),
            Node::Or(children) => Sql::any(self.nodes(children, upper)?),
        };
        match &sql {
            Sql::Text(text) if text.len() > MAX_TEXT => Err(NotExpressible {
                field: "the condition".to_owned(),
                why: "it is too large for SQL",
            }),
            _ => Ok(sql),
        }
    }

    fn nodes(&self, ids: &[NodeId], upper: bool) -> Result<Vec<Sql>, NotExpressible> {
        ids.iter().map(|id| self.node(*id, upper)).collect()
    }

    /// None of several is a condition for each: engines test and push down those one by one.
    fn negated(&self, child: NodeId, upper: bool) -> Result<Sql, NotExpressible> {
        match self.formulas.node(child) {
            Node::Or(children) => {
                let parts: Result<Vec<Sql>, _> = children.iter().map(|c| self.negated(*c, upper)).collect();
                Ok(Sql::all(parts?))
            }
            Node::Not(inner) => self.node(*inner, upper),
            _ => self.node(child, !upper).map(Sql::not),
        }
    }

    fn atom(&self, id: AtomId, upper: bool) -> Result<Sql, NotExpressible> {
        let Some(atom) = self.formulas.atom_of(id) else {
            return Ok(Sql::Const(false));
        };
        let own_function = matches!(atom.right, Right::Record(_));
        match (atom::sql(atom), self.mode) {
            (_, Mode::Bound) if own_function => Ok(Sql::Const(upper)),
            (Err(_), Mode::Bound) => Ok(Sql::Const(upper)),
            (sql, _) => sql,
        }
    }
}

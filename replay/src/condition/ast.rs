//! The syntax tree of a condition.

use super::operator::{Modifier, Operator};
use crate::source::Loc;

/// A condition.
#[derive(Clone, Debug)]
pub(crate) enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    /// The name of a macro.
    Macro(String, Loc),
    Check(Box<Check>),
}

/// One comparison.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) left: Operand,
    pub(crate) op: Operator,
    pub(crate) op_loc: Loc,
    pub(crate) modifier: Option<Modifier>,
    pub(crate) right: Right,
}

/// Something that yields a value from an event.
#[derive(Clone, Debug)]
pub(crate) enum Operand {
    Field(Field),
    Call(Call),
    Literal(Value),
    /// A list inside a transformer's arguments.
    List(Vec<Operand>),
}

/// A field with its argument: `proc.aname[2]`.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) arg: Option<String>,
    pub(crate) loc: Loc,
}

/// A transformer with its arguments: `tolower(proc.name)`.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) function: String,
    pub(crate) args: Vec<Operand>,
    pub(crate) arg: Option<String>,
    pub(crate) loc: Loc,
}

/// A constant.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) bytes: Vec<u8>,
    /// Quoted values never name a list.
    pub(crate) quoted: bool,
    pub(crate) loc: Loc,
}

impl Value {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// What stands to the right of an operator.
#[derive(Clone, Debug)]
pub(crate) enum Right {
    Nothing,
    Value(Value),
    List(Vec<Value>),
    Operand(Operand),
}

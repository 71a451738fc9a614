//! Atoms: one comparison each.

use super::test::Test;
use super::transform::Transform;
use crate::condition::Operator;
use crate::fields::{Arity, FieldRef, FieldType, Scope};

/// What yields the values that a comparison looks at.
#[derive(Clone, Debug)]
pub(crate) enum Extract {
    Field(FieldRef),
    Constant(Vec<u8>),
    Apply(Transform, Box<Extract>),
    /// All arguments one after the other; absent when one is.
    Concat(Vec<Extract>),
    /// The elements of the second with the first between them.
    Join(Box<Extract>, Box<Extract>),
    List(Vec<Extract>),
}

impl Extract {
    pub(crate) fn ty(&self) -> FieldType {
        match self {
            Extract::Field(f) => f.ty,
            Extract::Apply(t, inner) => t.result(inner.ty(), inner.arity()).unwrap_or(FieldType::Str),
            _ => FieldType::Str,
        }
    }

    pub(crate) fn arity(&self) -> Arity {
        match self {
            Extract::Field(f) => f.arity,
            Extract::Apply(Transform::Len, _) => Arity::One,
            Extract::Apply(_, inner) => inner.arity(),
            Extract::List(_) => Arity::List,
            _ => Arity::One,
        }
    }

    /// The widest scope of the fields in it.
    pub(crate) fn scope(&self) -> Scope {
        match self {
            Extract::Field(f) => f.scope,
            Extract::Constant(_) => Scope::Kind,
            Extract::Apply(_, inner) => inner.scope(),
            Extract::Concat(parts) | Extract::List(parts) => {
                parts.iter().map(Extract::scope).fold(Scope::Kind, Scope::join)
            }
            Extract::Join(a, b) => a.scope().join(b.scope()),
        }
    }

    /// The text of it in messages and JSON keys, as Falco writes it.
    pub(crate) fn text(&self) -> String {
        let list = |parts: &[Extract]| parts.iter().map(Extract::text).collect::<Vec<_>>().join(",");
        match self {
            Extract::Field(FieldRef { name, arg: Some(arg), .. }) if name.ends_with('.') => format!("{name}{arg}"),
            Extract::Field(FieldRef { name, arg: Some(arg), .. }) => format!("{name}[{arg}]"),
            Extract::Field(f) => f.name.to_owned(),
            Extract::Constant(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Extract::Apply(t, inner) => format!("{}({})", t.name(), inner.text()),
            Extract::Concat(parts) => format!("concat({})", list(parts)),
            Extract::Join(a, b) => format!("join({},{})", a.text(), b.text()),
            Extract::List(parts) => format!("({})", list(parts)),
        }
    }
}

impl Scope {
    /// The narrowest scope that covers both.
    pub(crate) fn join(self, other: Scope) -> Scope {
        match (self, other) {
            (Scope::Kind, s) | (s, Scope::Kind) => s,
            (a, b) if a == b => a,
            _ => Scope::Row,
        }
    }
}

/// One comparison.
#[derive(Clone, Debug)]
pub(crate) struct Atom {
    pub(crate) left: Extract,
    pub(crate) right: Right,
}

/// What the left side is compared with.
#[derive(Clone, Debug)]
pub(crate) enum Right {
    /// Constants.
    Test(Test),
    /// Another field.
    Field(Operator, Extract),
}

impl Atom {
    /// Equal for atoms that always agree.
    pub(crate) fn key(&self) -> String {
        format!("{:?}", self)
    }

    pub(crate) fn scope(&self) -> Scope {
        match &self.right {
            Right::Test(_) => self.left.scope(),
            Right::Field(_, right) => self.left.scope().join(right.scope()),
        }
    }
}

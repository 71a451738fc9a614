//! Atoms: one comparison each.

use std::sync::Arc;

use ctrace_trace::block::Need;

use super::record::RecordTest;
use super::test::{StrTest, Test};
use super::transform::Transform;
use crate::condition::Operator;
use crate::fields::{Arity, FieldRef, Scope, Type};

/// What yields the values that a comparison looks at.
#[derive(Clone, Debug)]
pub(crate) enum Extract {
    Field(FieldRef),
    /// A field that is never recorded, by name: always absent.
    Absent(String),
    Constant(Vec<u8>),
    Apply(Transform, Box<Extract>),
    /// All arguments one after the other; absent when one is.
    Concat(Vec<Extract>),
    /// The elements of the second with the first between them.
    Join(Box<Extract>, Box<Extract>),
    List(Vec<Extract>),
    /// The options among the elements of a list, by an option string; with a letter only that option.
    GetOpt(Box<Extract>, Box<Extract>, Option<u8>),
    /// The first that is there.
    First(Vec<Extract>),
}

impl Extract {
    pub(crate) fn ty(&self) -> Type {
        match self {
            Extract::Field(f) => f.ty,
            Extract::Apply(t, inner) => t.result(inner.ty(), inner.arity()).unwrap_or(Type::Str),
            _ => Type::Str,
        }
    }

    pub(crate) fn arity(&self) -> Arity {
        match self {
            Extract::Field(f) => f.arity,
            Extract::Apply(Transform::Len, _) => Arity::One,
            Extract::Apply(_, inner) => inner.arity(),
            Extract::List(_) | Extract::GetOpt(.., None) => Arity::List,
            _ => Arity::One,
        }
    }

    /// Calls `each` for every field in it.
    pub(crate) fn fields<'a>(&'a self, each: &mut dyn FnMut(&'a FieldRef)) {
        match self {
            Extract::Field(f) => each(f),
            Extract::Absent(_) | Extract::Constant(_) => {}
            Extract::Apply(_, inner) => inner.fields(each),
            Extract::Concat(parts) | Extract::List(parts) | Extract::First(parts) => {
                parts.iter().for_each(|p| p.fields(each))
            }
            Extract::Join(a, b) | Extract::GetOpt(a, b, _) => {
                a.fields(each);
                b.fields(each);
            }
        }
    }

    /// The narrowest scope that covers all fields in it.
    pub(crate) fn scope(&self) -> Scope {
        let mut scope = Scope::Constant;
        self.fields(&mut |f| scope = scope.join(f.scope()));
        scope
    }

    pub(crate) fn needs(&self) -> Need {
        let mut need = Need::NOTHING;
        self.fields(&mut |f| need |= f.needs());
        need
    }

    /// Its text in messages and JSON keys, as Falco writes it.
    pub(crate) fn text(&self) -> String {
        let list = |parts: &[Extract]| parts.iter().map(Extract::text).collect::<Vec<_>>().join(",");
        match self {
            Extract::Field(f) => f.text.clone(),
            Extract::Absent(name) => name.clone(),
            Extract::Constant(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Extract::Apply(t, inner) => format!("{}({})", t.name(), inner.text()),
            Extract::Concat(parts) => format!("concat({})", list(parts)),
            Extract::Join(a, b) => format!("join({},{})", a.text(), b.text()),
            Extract::List(parts) => format!("({})", list(parts)),
            Extract::GetOpt(args, options, None) => format!("getopt({},{})", args.text(), options.text()),
            Extract::GetOpt(args, options, Some(letter)) => {
                format!("getopt({},{})[{}]", args.text(), options.text(), char::from(*letter))
            }
            Extract::First(parts) => format!("first({})", list(parts)),
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
    /// Constants that every element of a list must satisfy; an empty list satisfies none.
    Every(Test),
    /// Another field.
    Field(Operator, Extract),
    /// Of the audit records that the left side is, one satisfies this.
    Record(Arc<RecordTest>),
}

impl Atom {
    /// Its text where the rule's own is not known.
    pub(crate) fn text(&self) -> String {
        match &self.right {
            Right::Test(test) => format!("{} {test}", self.left.text()),
            Right::Every(test) => format!("every {} {test}", self.left.text()),
            Right::Field(op, right) => format!("{} {} {}", self.left.text(), op.name(), right.text()),
            Right::Record(test) => format!("one audit record: {test}"),
        }
    }

    /// Equal for atoms that always agree.
    pub(crate) fn key(&self) -> String {
        format!("{self:?}")
    }

    /// Whether no event satisfies it: a field that is never recorded, an empty set, or `evt.num=0`, Falco's idiom for "never" (events count from 1).
    pub(crate) fn is_never(&self) -> bool {
        match (&self.left, &self.right) {
            (Extract::Absent(_), _) | (_, Right::Field(_, Extract::Absent(_))) => true,
            (Extract::Field(f), Right::Test(Test::Number(Operator::Eq, 0))) => f.text == "evt.num",
            (_, Right::Test(Test::Str(StrTest::In(set))) | Right::Every(Test::Str(StrTest::In(set)))) => set.is_empty(),
            (_, Right::Test(Test::Str(StrTest::Never))) => true,
            _ => false,
        }
    }

    /// Calls `each` for every field in it.
    pub(crate) fn fields<'a>(&'a self, each: &mut dyn FnMut(&'a FieldRef)) {
        self.left.fields(each);
        if let Right::Field(_, right) = &self.right {
            right.fields(each);
        }
    }

    pub(crate) fn scope(&self) -> Scope {
        match &self.right {
            Right::Test(_) | Right::Every(_) | Right::Record(_) => self.left.scope(),
            Right::Field(_, right) => self.left.scope().join(right.scope()),
        }
    }

    pub(crate) fn needs(&self) -> Need {
        match &self.right {
            Right::Test(_) | Right::Every(_) | Right::Record(_) => self.left.needs(),
            Right::Field(_, right) => self.left.needs() | right.needs(),
        }
    }
}

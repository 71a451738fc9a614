//! Evaluation: from an event, or from the part of it that a comparison needs, to values and truth.
//!
//! This is what rules mean. The engine only changes how often it is asked.

use std::borrow::Cow;

use ctrace_trace::block::decoded::{EventView, FdView, ImageView};
use ctrace_trace::catalogue::{Field, FieldArg, Getter, Value};
use ctrace_trace::schema::EventSpec;

use super::atom::{Atom, Extract, Right};
use super::formula::{AtomId, Graph, Node, NodeId};
use super::test::{StrTest, Test, compare, number};
use super::transform::Transform;
use super::{glob::Glob, test};
use crate::condition::Operator;
use crate::fields::{Arity, FieldRef, Type};

/// What values are taken from.
#[derive(Clone, Copy)]
pub(crate) enum Subject<'a> {
    /// An event type, for comparisons of [`crate::fields::Scope::Kind`].
    Kind(&'a EventSpec),
    /// A process image, for those of `Scope::Process`.
    Image(ImageView<'a>),
    /// An open object, for those of `Scope::Fd`.
    Fd(FdView<'a>),
    /// An event, for all.
    Event(EventView<'a>),
}

impl<'a> Subject<'a> {
    fn read(self, field: &Field, arg: &FieldArg) -> Value<'a> {
        match (self, field.get) {
            (Subject::Event(event), _) => field.of(event, arg),
            (Subject::Kind(spec), Getter::Kind(get)) => get(spec),
            (Subject::Image(image), Getter::Process(get)) => get(image, arg),
            (Subject::Fd(fd), Getter::Fd(get)) => get(fd, arg),
            _ => Value::Absent,
        }
    }
}

impl FieldRef {
    /// The value as output shows it: of several, those that are there; of the two ends of a socket the first.
    pub(crate) fn shown<'a>(&self, subject: Subject<'a>) -> Value<'a> {
        let mut values = self.parts.iter().map(|(field, arg)| subject.read(field, arg));
        values.find(|v| *v != Value::Absent).unwrap_or(Value::Absent)
    }

    fn each<'a>(&self, subject: Subject<'a>, each: &mut dyn FnMut(Value<'a>)) {
        for (field, arg) in &self.parts {
            match (subject.read(field, arg), self.arity) {
                (Value::Absent, _) => {}
                (Value::List(items), Arity::Any) => {
                    items.into_iter().filter_map(|item| self.item(item)).for_each(&mut *each);
                }
                (value, _) => each(value),
            }
        }
    }

    /// An element of a list as a value of the field's type.
    fn item<'a>(&self, item: Cow<'a, [u8]>) -> Option<Value<'a>> {
        match self.ty {
            Type::Int => std::str::from_utf8(&item).ok()?.parse().ok().map(Value::Int),
            _ => Some(Value::Str(item)),
        }
    }
}

impl Extract {
    /// The value; of several the first.
    pub(crate) fn value<'a>(&'a self, subject: Subject<'a>) -> Value<'a> {
        match self {
            Extract::Field(field) => field.shown(subject),
            Extract::Constant(bytes) => Value::Str(bytes.as_slice().into()),
            Extract::Apply(transform, inner) => apply(*transform, inner.value(subject)),
            Extract::Concat(parts) => concat(parts, subject).map_or(Value::Absent, Value::owned),
            Extract::Join(separator, list) => match (separator.value(subject), list.value(subject)) {
                (Value::Str(separator), Value::List(items)) => Value::owned(join(&items, &separator)),
                _ => Value::Absent,
            },
            Extract::List(parts) => Value::List(parts.iter().filter_map(|p| bytes_of(p.value(subject))).collect()),
        }
    }

    /// Calls `each` for every value that a comparison has to look at.
    pub(crate) fn each<'a>(&'a self, subject: Subject<'a>, each: &mut dyn FnMut(Value<'a>)) {
        match self {
            Extract::Field(field) => field.each(subject, each),
            other => match other.value(subject) {
                Value::Absent => {}
                value => each(value),
            },
        }
    }
}

fn apply(transform: Transform, value: Value<'_>) -> Value<'_> {
    match (transform, value) {
        (_, Value::Absent) => Value::Absent,
        (Transform::Len, Value::List(items)) => Value::Uint(items.len() as u64),
        (_, Value::List(items)) => {
            let applied = items.into_iter().filter_map(|i| bytes_of(transform.apply(Value::Str(i))?));
            Value::List(applied.collect())
        }
        (_, value) => transform.apply(value).unwrap_or(Value::Absent),
    }
}

fn bytes_of(value: Value<'_>) -> Option<Cow<'_, [u8]>> {
    match value {
        Value::Absent => None,
        Value::Str(s) => Some(s),
        other => Some(other.to_string().into_bytes().into()),
    }
}

fn concat(parts: &[Extract], subject: Subject<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for part in parts {
        out.extend_from_slice(&bytes_of(part.value(subject))?);
    }
    Some(out)
}

fn join(items: &[Cow<'_, [u8]>], separator: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(separator);
        }
        out.extend_from_slice(item);
    }
    out
}

impl Atom {
    /// Whether the comparison holds. Absent values satisfy none.
    pub(crate) fn holds(&self, subject: Subject<'_>) -> bool {
        match &self.right {
            Right::Test(test) => test_holds(&self.left, test, subject),
            Right::Field(op, right) => compare_values(*op, &self.left.value(subject), &right.value(subject)),
        }
    }
}

fn test_holds(left: &Extract, test: &Test, subject: Subject<'_>) -> bool {
    let both = left.arity() == Arity::Ends && test.is_not_equal();
    let (mut any, mut all) = (false, true);
    left.each(subject, &mut |value| {
        let holds = test.holds(&value);
        any |= holds;
        all &= holds;
    });
    any && (all || !both)
}

/// Compares two values of one type.
fn compare_values(op: Operator, left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Absent, _) | (_, Value::Absent) => false,
        (Value::Str(l), Value::Str(r)) => compare_text(op, l, r),
        (Value::Bool(l), Value::Bool(r)) => compare(op, l, r),
        (Value::Ip(l), Value::Ip(r)) => compare(op, l, r),
        (Value::List(l), Value::List(r)) => match op {
            Operator::In => !l.is_empty() && l.iter().all(|item| r.contains(item)),
            Operator::Intersects => l.iter().any(|item| r.contains(item)),
            _ => false,
        },
        (l, r) => number(l).zip(number(r)).is_some_and(|(l, r)| compare(op, &l, &r)),
    }
}

fn compare_text(op: Operator, left: &[u8], right: &[u8]) -> bool {
    match op {
        Operator::Contains | Operator::BContains => memchr::memmem::find(left, right).is_some(),
        Operator::IContains => test::icontains(left, &right.to_ascii_lowercase()),
        Operator::StartsWith | Operator::BStartsWith => left.starts_with(right),
        Operator::EndsWith => left.ends_with(right),
        Operator::Glob | Operator::IGlob => {
            Glob::new(right, op == Operator::IGlob).is_some_and(|glob| glob.matches(left))
        }
        _ => compare(op, &left, &right),
    }
}

impl Test {
    /// The tests that look at text only, taken apart for matchers.
    pub(crate) fn as_text(&self) -> Option<&StrTest> {
        match self {
            Test::Str(test) => Some(test),
            _ => None,
        }
    }
}

impl Graph {
    /// The truth of a formula.
    pub(crate) fn holds(&self, id: NodeId, atom: &mut dyn FnMut(AtomId) -> bool) -> bool {
        match self.node(id) {
            Node::Const(value) => *value,
            Node::Atom(id) => atom(*id),
            Node::Not(inner) => !self.holds(*inner, atom),
            Node::And(children) => children.iter().all(|c| self.holds(*c, atom)),
            Node::Or(children) => children.iter().any(|c| self.holds(*c, atom)),
        }
    }

    /// The truth of a formula of which some comparisons are not known yet.
    pub(crate) fn decides(&self, id: NodeId, atom: &mut dyn FnMut(AtomId) -> Option<bool>) -> Option<bool> {
        match self.node(id) {
            Node::Const(value) => Some(*value),
            Node::Atom(id) => atom(*id),
            Node::Not(inner) => self.decides(*inner, atom).map(|v| !v),
            Node::And(children) => self.decided(children, false, atom),
            Node::Or(children) => self.decided(children, true, atom),
        }
    }

    /// One child with the value `dominant` decides, however little is known of the others.
    fn decided(
        &self,
        children: &[NodeId],
        dominant: bool,
        atom: &mut dyn FnMut(AtomId) -> Option<bool>,
    ) -> Option<bool> {
        let mut unknown = false;
        for child in children {
            match self.decides(*child, atom) {
                Some(v) if v == dominant => return Some(dominant),
                Some(_) => {}
                None => unknown = true,
            }
        }
        (!unknown).then_some(!dominant)
    }
}

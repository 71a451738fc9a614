//! Evaluating atoms at the place that they depend on: an event type, a dictionary entry, or an event.

use std::borrow::Cow;

use ctrace_trace::block::decoded::{EventView, FdView, ImageView};
use ctrace_trace::catalogue::{Field, FieldArg, Getter, Value};
use ctrace_trace::schema::EventSpec;

use crate::condition::Operator;
use crate::fields::{Arity, FieldRef};
use crate::table::Row;
use crate::typed::atom::{Atom, Extract, Right};
use crate::typed::getopt;
use crate::typed::record;
use crate::typed::test::{self, Test};

/// Where a value is asked for.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    Kind(&'a EventSpec),
    Image(ImageView<'a>),
    Fd(FdView<'a>),
    Event(EventView<'a>),
    /// A row of table `events`.
    Row(Row<'a>),
}

impl<'a> Place<'a> {
    /// The event, where one is there; of a row what was made of it.
    fn event(self) -> Option<EventView<'a>> {
        match self {
            Place::Event(event) => Some(event),
            Place::Row(row) => Some(row.event),
            Place::Kind(_) | Place::Image(_) | Place::Fd(_) => None,
        }
    }

    /// When the event happened.
    pub(crate) fn ts(self) -> u64 {
        self.event().map_or(0, |event| event.ts())
    }

    /// Number of the event.
    pub(crate) fn seq(self) -> u64 {
        match self {
            Place::Row(row) => row.seq(),
            place => place.event().map_or(0, |event| event.seq()),
        }
    }

    /// The event's source.
    pub(crate) fn source(self) -> &'static str {
        let spec = self.event().and_then(|event| event.spec());
        spec.map_or("", |s| s.source.name())
    }

    fn value(self, field: &Field, arg: &FieldArg) -> Value<'a> {
        match (self, field.get) {
            (Place::Event(event), _) => field.of(event, arg),
            (Place::Row(row), _) => row.value(field, arg),
            (Place::Kind(spec), Getter::Kind(get)) => get(spec),
            (Place::Image(image), Getter::Process(get)) => get(image, arg),
            (Place::Fd(fd), Getter::Fd(get)) => get(fd, arg),
            _ => Value::Absent,
        }
    }
}

/// Whether an atom holds at a place. Atoms with absent values do not hold, whatever their operator.
pub(crate) fn holds(atom: &Atom, place: Place<'_>) -> bool {
    match (&atom.left, &atom.right) {
        (_, Right::Record(test)) => place.event().is_some_and(|event| record::holds(test, event)),
        (Extract::Field(field), Right::Test(test)) => field_holds(field, test, place),
        (left, Right::Test(test)) => match (left.arity(), test) {
            (Arity::List, Test::Exists) => !list(left, place).is_empty(),
            (Arity::List, _) => list(left, place).iter().any(|v| test.holds(v)),
            _ => value(left, place).is_some_and(|v| test.holds(&v)),
        },
        (left, Right::Every(test)) => {
            let values = list(left, place);
            !values.is_empty() && values.iter().all(|v| test.holds(v))
        }
        (left, Right::Field(op, right)) => fields_hold(left, *op, right, place),
    }
}

fn field_holds(field: &FieldRef, test: &Test, place: Place<'_>) -> bool {
    if field.arity != Arity::Ends {
        let Some((f, arg)) = field.parts.first() else {
            return false;
        };
        let value = place.value(f, arg);
        return value != Value::Absent && test.holds(&value);
    }
    let mut ends = field
        .parts
        .iter()
        .map(|(f, arg)| place.value(f, arg))
        .filter(|v| *v != Value::Absent)
        .peekable();
    if test.is_not_equal() {
        return ends.peek().is_some() && ends.all(|v| test.holds(&v));
    }
    ends.any(|v| test.holds(&v))
}

/// Calls `each` for every value that a comparison with constants looks at, unless it is one of `!=` with both ends.
pub(crate) fn each_value<'a>(left: &'a Extract, place: Place<'a>, each: &mut dyn FnMut(Value<'a>)) {
    match left {
        Extract::Field(field) => {
            for (f, arg) in &field.parts {
                match place.value(f, arg) {
                    Value::Absent => {}
                    value => each(value),
                }
            }
        }
        left if left.arity() == Arity::List => list(left, place).into_iter().for_each(each),
        left => value(left, place).into_iter().for_each(each),
    }
}

fn fields_hold(left: &Extract, op: Operator, right: &Extract, place: Place<'_>) -> bool {
    if left.arity() == Arity::List {
        let (left, right) = (list(left, place), list(right, place));
        return match op {
            Operator::Intersects => left.iter().any(|v| right.contains(v)),
            _ => !left.is_empty() && left.iter().all(|v| right.contains(v)),
        };
    }
    match (value(left, place), value(right, place)) {
        (Some(l), Some(r)) => test::compare_values(op, &l, &r),
        _ => false,
    }
}

/// The value of a field as outputs show it: for the fields that mean either end of a socket, both ends.
pub(crate) fn field_value<'a>(field: &FieldRef, place: Place<'a>) -> Value<'a> {
    let value = match field.parts.as_slice() {
        [(f, arg)] => place.value(f, arg),
        parts => {
            let present = parts
                .iter()
                .map(|(f, arg)| place.value(f, arg))
                .filter(|v| *v != Value::Absent);
            Value::List(present.map(text).collect())
        }
    };
    match value {
        Value::List(items) if items.is_empty() => Value::Absent,
        value => value,
    }
}

/// The single value of an extract.
pub(crate) fn value<'a>(extract: &'a Extract, place: Place<'a>) -> Option<Value<'a>> {
    match extract {
        Extract::Field(field) => Some(field_value(field, place)).filter(|v| *v != Value::Absent),
        Extract::Absent(_) => None,
        Extract::Constant(bytes) => Some(Value::Str(Cow::Borrowed(bytes))),
        Extract::Apply(transform, inner) => {
            if inner.arity() == Arity::List {
                return Some(Value::Uint(list(inner, place).len() as u64));
            }
            transform.apply(value(inner, place)?)
        }
        Extract::Concat(parts) => {
            let mut out = Vec::new();
            for part in parts {
                out.extend_from_slice(&text(value(part, place)?));
            }
            Some(Value::Str(Cow::Owned(out)))
        }
        Extract::Join(separator, items) => {
            let separator = text(value(separator, place)?);
            let items: Vec<_> = list(items, place).into_iter().map(text).collect();
            Some(Value::Str(Cow::Owned(items.join(separator.as_ref()))))
        }
        Extract::First(parts) => parts.iter().find_map(|part| value(part, place)),
        Extract::GetOpt(args, options, Some(letter)) => {
            let args: Vec<_> = list(args, place).into_iter().map(text).collect();
            let args: Vec<&[u8]> = args.iter().map(AsRef::as_ref).collect();
            let found = getopt::selected(&args, &text(value(options, place)?), *letter)?;
            Some(Value::Str(Cow::Owned(found)))
        }
        Extract::List(_) | Extract::GetOpt(.., None) => None,
    }
}

fn list<'a>(extract: &'a Extract, place: Place<'a>) -> Vec<Value<'a>> {
    match extract {
        Extract::List(parts) => parts.iter().filter_map(|p| value(p, place)).collect(),
        Extract::GetOpt(args, options, None) => {
            let args: Vec<_> = list(args, place).into_iter().map(text).collect();
            let args: Vec<&[u8]> = args.iter().map(AsRef::as_ref).collect();
            let options = value(options, place).map(text).unwrap_or_default();
            let found = getopt::listed(&args, &options).into_iter();
            found.map(|f| Value::Str(Cow::Owned(f))).collect()
        }
        Extract::Apply(transform, inner) => list(inner, place)
            .into_iter()
            .filter_map(|v| transform.apply(v))
            .collect(),
        other => value(other, place).into_iter().collect(),
    }
}

fn text(value: Value<'_>) -> Cow<'_, [u8]> {
    match value {
        Value::Str(s) => s,
        other => Cow::Owned(other.to_string().into_bytes()),
    }
}

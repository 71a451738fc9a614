//! Fields of ctrace's own events: `capture.*`.

use super::event::{num_arg, str_arg};
use super::{Field, FieldType, Getter, Value, field};
use crate::block::Need;
use crate::block::decoded::EventView;
use crate::event::{Arg, Source};
use crate::names;
use crate::schema::NameSet;
use FieldType::{Int, Str, Timestamp};
use Getter::Event;

const ARGS: Need = Need::ARGS_HOT;

fn capture<'a>(e: EventView<'a>, get: impl FnOnce(EventView<'a>) -> Value<'a>) -> Value<'a> {
    if e.spec().is_some_and(|s| s.source == Source::Capture) {
        get(e)
    } else {
        Value::Absent
    }
}

fn class(e: EventView<'_>) -> Value<'_> {
    match e.arg_named("class") {
        Arg::Num(v) => names::value(NameSet::GapClass, v).map_or(Value::Int(v), |n| Value::Str(n.as_bytes().into())),
        _ => Value::Absent,
    }
}

fn time<'a>(e: EventView<'a>, name: &str) -> Value<'a> {
    match e.arg_named(name) {
        Arg::Num(v) => Value::Uint(v.cast_unsigned()),
        _ => Value::Absent,
    }
}

pub(super) const FIELDS: &[Field] = &[
    field(
        "capture.source",
        "capture_source",
        Str,
        "The source that a gap, loss or return is about.",
        Event(|e, _| capture(e, |e| str_arg(e, "source"))),
    )
    .reading(ARGS)
    .no_column(),
    field(
        "capture.class",
        "capture_class",
        Str,
        "Class of lost events.",
        Event(|e, _| capture(e, class)),
    )
    .reading(ARGS)
    .no_column(),
    field(
        "capture.lost",
        "capture_lost",
        Int,
        "How many events were lost; 0 when nobody can say. Of class `forgotten` how many of `capture.source`.",
        Event(|e, _| capture(e, |e| num_arg(e, "count"))),
    )
    .reading(ARGS)
    .no_column(),
    field(
        "capture.from",
        "capture_from",
        Timestamp,
        "When the loss may have begun.",
        Event(|e, _| capture(e, |e| time(e, "from"))),
    )
    .reading(ARGS)
    .no_column(),
    field(
        "capture.to",
        "capture_to",
        Timestamp,
        "When the loss was over.",
        Event(|e, _| capture(e, |e| time(e, "to"))),
    )
    .reading(ARGS)
    .no_column(),
    field(
        "capture.reason",
        "capture_reason",
        Str,
        "Why a source is missing or the recording ended.",
        Event(|e, _| capture(e, |e| str_arg(e, "reason"))),
    )
    .reading(ARGS)
    .no_column(),
];

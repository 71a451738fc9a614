//! Fields of container log lines and of records of other tools' logs: `log.*`.

use serde_json::Value as Json;

use super::event::str_arg;
use super::{ArgRule, Field, FieldArg, FieldType, Getter, Value, field};
use crate::block::Need;
use crate::block::decoded::EventView;
use crate::event::{Arg, EventType};
use FieldType::{Bool, Str};
use Getter::Event;

const ARGS: Need = Need::ARGS_HOT;

fn container<'a>(e: EventView<'a>, name: &str) -> Value<'a> {
    match e.kind() {
        Some(EventType::CONTAINER_LOG) => str_arg(e, name),
        _ => Value::Absent,
    }
}

fn record<'a>(e: EventView<'a>, name: &str) -> Value<'a> {
    match e.kind() {
        Some(EventType::LOG) => str_arg(e, name),
        _ => Value::Absent,
    }
}

fn any<'a>(e: EventView<'a>, name: &str) -> Value<'a> {
    match e.kind() {
        Some(EventType::CONTAINER_LOG | EventType::LOG) => str_arg(e, name),
        _ => Value::Absent,
    }
}

fn partial(e: EventView<'_>) -> Value<'_> {
    if e.kind() == Some(EventType::CONTAINER_LOG) {
        Value::Bool(e.arg_named("partial") == Arg::Num(1))
    } else {
        Value::Absent
    }
}

/// A member of a record by name. Members of members are named with dots between, as long names are that have dots.
fn member<'a>(e: EventView<'a>, key: &FieldArg) -> Value<'a> {
    let (Some(EventType::LOG), Arg::Str(raw), FieldArg::Key(key)) = (e.kind(), e.arg_named("raw"), key) else {
        return Value::Absent;
    };
    let Some(json) = document(raw) else {
        return xml_member(raw, key);
    };
    match find(&json, key) {
        None | Some(Json::Null) => Value::Absent,
        Some(Json::String(text)) => Value::owned(text.as_bytes()),
        Some(other) => Value::owned(other.to_string()),
    }
}

/// The JSON of a record, which may stand behind a prefix of syslog.
fn document(raw: &[u8]) -> Option<Json> {
    let behind = || {
        let (prefix, json) = raw.split_at_checked(memchr::memmem::find(raw, b"{\"")?)?;
        // A `<` after the priority begins XML.
        let is_prefix = memchr::memrchr(b'<', prefix).is_none_or(|at| at == 0);
        is_prefix.then(|| serde_json::from_slice(json).ok())?
    };
    serde_json::from_slice(raw).ok().or_else(behind)
}

fn find<'j>(json: &'j Json, key: &str) -> Option<&'j Json> {
    let whole = json.get(key);
    let parts = key
        .match_indices('.')
        .filter_map(|(at, _)| Some((key.get(..at)?, key.get(at + 1..)?)));
    whole.or_else(|| parts.into_iter().find_map(|(first, rest)| find(json.get(first)?, rest)))
}

/// `<Data Name="key">value</Data>` and `<key>value</key>`.
fn xml_member<'a>(raw: &'a [u8], key: &str) -> Value<'a> {
    for opening in [format!("Name=\"{key}\">"), format!("<{key}>")] {
        let opening = opening.as_bytes();
        if let Some(at) = raw.windows(opening.len()).position(|w| w == opening) {
            let value = raw.get(at + opening.len()..).unwrap_or_default();
            return Value::text(value.split(|b| *b == b'<').next().unwrap_or_default());
        }
    }
    Value::Absent
}

pub(super) const FIELDS: &[Field] = &[
    field(
        "log.stream",
        "log_stream",
        Str,
        "`stdout` or `stderr`.",
        Event(|e, _| container(e, "stream")),
    )
    .reading(ARGS),
    field(
        "log.message",
        "log_message",
        Str,
        "What the container wrote, or the record says to people.",
        Event(|e, _| any(e, "message")),
    )
    .reading(ARGS),
    field(
        "log.partial",
        "log_partial",
        Bool,
        "Whether the line goes on in the next event of its stream.",
        Event(|e, _| partial(e)),
    )
    .reading(ARGS),
    field(
        "log.attrs",
        "log_attrs",
        Str,
        "What else the engine wrote with the line (labels, environment, tag), a JSON object.",
        Event(|e, _| container(e, "attrs")),
    )
    .reading(ARGS),
    field(
        "log.format",
        "log_format",
        Str,
        "Of which format an imported record is: `falco`, `journal` and others.",
        Event(|e, _| record(e, "format")),
    )
    .reading(ARGS),
    field(
        "log.type",
        "log_type",
        Str,
        "What the format calls such a record: a rule, a program, a kind of event.",
        Event(|e, _| record(e, "type")),
    )
    .reading(ARGS),
    field(
        "log.severity",
        "log_severity",
        Str,
        "How grave it is, in the format's own words.",
        Event(|e, _| record(e, "severity")),
    )
    .reading(ARGS),
    field(
        "log.field",
        "log_field",
        Str,
        "One member of the record by name; dots lead into members of members.",
        Event(member),
    )
    .with(ArgRule::Required)
    .reading(ARGS),
    field(
        "log.raw",
        "log_raw",
        Str,
        "The record, whole.",
        Event(|e, _| record(e, "raw")),
    )
    .reading(ARGS),
];

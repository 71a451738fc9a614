//! Fields of events whose source told them as JSON, named as Falco's plugin `json` names them: `json.*`, `jevt.*`.

use super::{ArgRule, Field, FieldArg, FieldType, Getter, Value, field};
use crate::block::Need;
use crate::block::decoded::EventView;
use crate::event::{Arg, EventType};
use FieldType::Str;
use Getter::Event;

const ARGS: Need = Need::ARGS_HOT;
const ARGS_AND_TIME: Need = Need(Need::ARGS_HOT.0 | Need::TS.0);

fn parsed(e: EventView<'_>) -> Option<serde_json::Value> {
    match (e.kind(), e.arg_named("raw")) {
        (Some(EventType::K8S_AUDIT | EventType::DOCKER | EventType::LOG), Arg::Str(raw)) => {
            serde_json::from_slice(raw).ok()
        }
        _ => None,
    }
}

/// What stands at a JSON pointer (RFC 6901): texts as they are, all else as JSON.
fn at<'a>(e: EventView<'a>, which: &FieldArg) -> Value<'a> {
    let FieldArg::Key(pointer) = which else {
        return Value::Absent;
    };
    match parsed(e).and_then(|json| json.pointer(pointer).cloned()) {
        Some(serde_json::Value::String(text)) => Value::owned(text),
        Some(other) => Value::owned(other.to_string()),
        None => Value::Absent,
    }
}

fn whole(e: EventView<'_>) -> Value<'_> {
    parsed(e).map_or(Value::Absent, |json| Value::owned(format!("{json:#}")))
}

fn time(e: EventView<'_>) -> Value<'_> {
    parsed(e).map_or(Value::Absent, |_| Value::owned(e.ts().to_string()))
}

const fn hidden(name: &'static str, doc: &'static str, get: Getter) -> Field {
    field(name, "", Str, doc, get).no_column()
}

pub(super) const FIELDS: &[Field] = &[
    hidden(
        "json.value",
        "What stands at a JSON pointer (`[/requestObject/spec]`); texts as they are, all else as JSON.",
        Event(at),
    )
    .with(ArgRule::Required)
    .reading(ARGS),
    hidden("json.obj", "The event's JSON, indented.", Event(|e, _| whole(e))).reading(ARGS),
    hidden(
        "json.rawtime",
        "Time of an event that was told as JSON, nanoseconds, as text.",
        Event(|e, _| time(e)),
    )
    .reading(ARGS_AND_TIME),
    hidden("jevt.value", "The same as `json.value`.", Event(at))
        .with(ArgRule::Required)
        .reading(ARGS),
    hidden("jevt.obj", "The same as `json.obj`.", Event(|e, _| whole(e))).reading(ARGS),
    hidden("jevt.rawtime", "The same as `json.rawtime`.", Event(|e, _| time(e))).reading(ARGS_AND_TIME),
];

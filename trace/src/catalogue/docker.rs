//! Fields of Docker engine events: `docker.*`.

use super::event::{num_arg, str_arg};
use super::{ArgRule, Field, FieldArg, FieldType, Getter, Value, field};
use crate::block::Need;
use crate::block::decoded::EventView;
use crate::event::{Arg, EventType};
use FieldType::{Int, Str};
use Getter::Event;

const ARGS: Need = Need::ARGS_HOT;

fn of<'a>(e: EventView<'a>, get: impl FnOnce(EventView<'a>) -> Value<'a>) -> Value<'a> {
    if e.kind() == Some(EventType::DOCKER) {
        get(e)
    } else {
        Value::Absent
    }
}

/// An attribute of the event's actor, from the engine's JSON.
fn attribute<'a>(e: EventView<'a>, key: &FieldArg) -> Value<'a> {
    let (Arg::Str(raw), FieldArg::Key(key)) = (e.arg_named("raw"), key) else {
        return Value::Absent;
    };
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(raw) else {
        return Value::Absent;
    };
    match json.pointer("/Actor/Attributes").and_then(|a| a.get(key)) {
        Some(serde_json::Value::String(s)) => Value::owned(s.as_bytes()),
        Some(other) => Value::owned(other.to_string()),
        None => Value::Absent,
    }
}

pub(super) const FIELDS: &[Field] = &[
    field(
        "docker.type",
        "docker_type",
        Str,
        "What the event is about: `container`, `image`, `network`, `volume`, `daemon` and others.",
        Event(|e, _| of(e, |e| str_arg(e, "type"))),
    )
    .reading(ARGS),
    field(
        "docker.action",
        "docker_action",
        Str,
        "What happened: `create`, `start`, `die`, `exec_create: COMMAND` and others.",
        Event(|e, _| of(e, |e| str_arg(e, "action"))),
    )
    .reading(ARGS),
    field(
        "docker.actor.id",
        "docker_actor_id",
        Str,
        "Id of what it happened to.",
        Event(|e, _| of(e, |e| str_arg(e, "id"))),
    )
    .reading(ARGS),
    field(
        "docker.name",
        "docker_name",
        Str,
        "Name of what it happened to.",
        Event(|e, _| of(e, |e| str_arg(e, "name"))),
    )
    .reading(ARGS),
    field(
        "docker.image",
        "docker_image",
        Str,
        "Image of the container.",
        Event(|e, _| of(e, |e| str_arg(e, "image"))),
    )
    .reading(ARGS),
    field(
        "docker.exit_code",
        "docker_exit_code",
        Int,
        "Exit code of the container or exec that ended.",
        Event(|e, _| of(e, |e| num_arg(e, "exit_code"))),
    )
    .reading(ARGS),
    field(
        "docker.attributes",
        "docker_attributes",
        Str,
        "One attribute of the actor by name.",
        Event(|e, a| of(e, |e| attribute(e, a))),
    )
    .with(ArgRule::Required)
    .reading(ARGS),
    field(
        "docker.raw",
        "docker_raw",
        Str,
        "The engine's JSON, whole.",
        Event(|e, _| of(e, |e| str_arg(e, "raw"))),
    )
    .reading(ARGS),
];

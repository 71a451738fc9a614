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

fn json(e: EventView<'_>) -> Option<serde_json::Value> {
    match (e.kind(), e.arg_named("raw")) {
        (Some(EventType::DOCKER), Arg::Str(raw)) => serde_json::from_slice(raw).ok(),
        _ => None,
    }
}

/// An attribute of the event's actor, from the engine's JSON. The plugin's fields have no capitals.
fn attribute<'a>(e: EventView<'a>, key: &FieldArg) -> Value<'a> {
    let FieldArg::Key(key) = key else {
        return Value::Absent;
    };
    let key = if key == "exitcode" { "exitCode" } else { key };
    attribute_named(e, key)
}

fn attribute_named<'a>(e: EventView<'a>, key: &str) -> Value<'a> {
    let Some(json) = json(e) else { return Value::Absent };
    match json.pointer("/Actor/Attributes").and_then(|a| a.get(key)) {
        Some(serde_json::Value::String(s)) => Value::owned(s.as_bytes()),
        Some(other) => Value::owned(other.to_string()),
        None => Value::Absent,
    }
}

/// A member of the engine's JSON; engines since API 1.52 leave some out, and the same stands elsewhere then.
fn member<'a>(e: EventView<'a>, key: &str, elsewhere: &str) -> Value<'a> {
    match json(e).and_then(|json| json.get(key)?.as_str().map(str::to_owned)) {
        Some(text) => Value::owned(text),
        None if elsewhere.is_empty() => Value::Absent,
        None => of(e, |e| str_arg(e, elsewhere)),
    }
}

macro_rules! of_attribute {
    ($name:literal, $key:literal, $doc:literal) => {
        field($name, "", Str, $doc, Event(|e, _| attribute_named(e, $key)))
            .reading(ARGS)
            .no_column()
    };
}

macro_rules! of_member {
    ($name:literal, $key:literal, $elsewhere:literal, $doc:literal) => {
        field($name, "", Str, $doc, Event(|e, _| member(e, $key, $elsewhere)))
            .reading(ARGS)
            .no_column()
    };
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
    of_member!(
        "docker.status",
        "status",
        "action",
        "What happened, as older engines call it; the same as `docker.action`."
    ),
    of_member!(
        "docker.id",
        "id",
        "id",
        "Id of what it happened to, as older engines call it."
    ),
    of_member!(
        "docker.from",
        "from",
        "image",
        "Image of the container, as older engines call it."
    ),
    of_member!("docker.scope", "scope", "", "`local` or `swarm`."),
    of_attribute!(
        "docker.stack.namespace",
        "com.docker.stack.namespace",
        "Stack that the container belongs to."
    ),
    of_attribute!(
        "docker.swarm.task",
        "com.docker.swarm.task",
        "Swarm task of the container."
    ),
    of_attribute!(
        "docker.swarm.taskid",
        "com.docker.swarm.task.id",
        "Id of the swarm task."
    ),
    of_attribute!(
        "docker.swarm.taskname",
        "com.docker.swarm.task.name",
        "Name of the swarm task."
    ),
    of_attribute!(
        "docker.swarm.servicename",
        "com.docker.swarm.service.name",
        "Name of the swarm service."
    ),
    of_attribute!("docker.node.id", "com.docker.swarm.node.id", "Id of the swarm node."),
    of_attribute!(
        "docker.node.statenew",
        "state.new",
        "State that a swarm node came into."
    ),
    of_attribute!("docker.node.stateold", "state.old", "State that a swarm node was in."),
    field(
        "docker.raw",
        "docker_raw",
        Str,
        "The engine's JSON, whole.",
        Event(|e, _| of(e, |e| str_arg(e, "raw"))),
    )
    .reading(ARGS),
];

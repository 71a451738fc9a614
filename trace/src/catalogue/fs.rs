//! Fields of the paths among an event's arguments: `fs.path.*`.

use super::{Field, FieldType, Getter, Value, field};
use crate::block::Need;
use crate::block::decoded::EventView;
use crate::event::Arg;
use crate::schema::ParamKind;
use FieldType::Str;
use Getter::Event;

const ARGS: Need = Need(Need::ARGS.0 | Need::FD.0);

/// The path argument at a position among the event's path arguments.
fn path<'a>(e: EventView<'a>, position: usize) -> Option<(&'a [u8], &'a [u8])> {
    let params = &e.spec()?.params;
    let is_path = |kind| matches!(kind, ParamKind::Path);
    let slot = params
        .iter()
        .enumerate()
        .filter(|(_, p)| is_path(p.kind))
        .nth(position)?
        .0;
    match e.arg(slot) {
        Arg::Path { resolved, raw } => Some((resolved, raw)),
        _ => None,
    }
}

/// Whether the event has two paths (`rename`, `link`) or a path and a text that names another (`symlink`, `mount`).
fn is_pair(e: EventView<'_>) -> bool {
    let paths = |e: EventView<'_>| {
        Some(
            e.spec()?
                .params
                .iter()
                .filter(|p| matches!(p.kind, ParamKind::Path))
                .count(),
        )
    };
    paths(e).unwrap_or(0) > 1
        || e.spec()
            .is_some_and(|s| s.name.starts_with("symlink") || s.name == "mount")
}

/// The text that stands for the source of `symlink` and `mount`.
fn text_source(e: EventView<'_>) -> Option<&[u8]> {
    let name = match e.spec()?.name.as_str() {
        "mount" => "dev",
        name if name.starts_with("symlink") => "target",
        _ => return None,
    };
    match e.arg_named(name) {
        Arg::Str(s) => Some(s),
        Arg::Path { resolved, .. } => Some(resolved),
        _ => None,
    }
}

pub(super) fn resolved(e: EventView<'_>, position: usize) -> Value<'_> {
    path(e, position).map_or(Value::Absent, |(resolved, _)| Value::text(resolved))
}

fn name(e: EventView<'_>, raw: bool) -> Value<'_> {
    if is_pair(e) {
        return Value::Absent;
    }
    path(e, 0).map_or(Value::Absent, |p| Value::text(if raw { p.1 } else { p.0 }))
}

fn source(e: EventView<'_>, raw: bool) -> Value<'_> {
    if !is_pair(e) {
        return Value::Absent;
    }
    match text_source(e) {
        Some(text) => Value::text(text),
        None => path(e, 0).map_or(Value::Absent, |p| Value::text(if raw { p.1 } else { p.0 })),
    }
}

fn target(e: EventView<'_>, raw: bool) -> Value<'_> {
    if !is_pair(e) {
        return Value::Absent;
    }
    let found = path(e, 1).or_else(|| path(e, 0));
    found.map_or(Value::Absent, |p| Value::text(if raw { p.1 } else { p.0 }))
}

pub(super) const FIELDS: &[Field] = &[
    field(
        "fs.path.name",
        "fs_path_name",
        Str,
        "Absolute path that the call is about, whether it succeeded or not.",
        Event(|e, _| name(e, false)),
    )
    .reading(ARGS),
    field(
        "fs.path.nameraw",
        "fs_path_nameraw",
        Str,
        "The same as the caller wrote it.",
        Event(|e, _| name(e, true)),
    )
    .reading(ARGS),
    field(
        "fs.path.source",
        "fs_path_source",
        Str,
        "Absolute source path of calls with two (`rename`, `link`, `symlink`, `mount`).",
        Event(|e, _| source(e, false)),
    )
    .reading(ARGS),
    field(
        "fs.path.sourceraw",
        "fs_path_sourceraw",
        Str,
        "The same as the caller wrote it.",
        Event(|e, _| source(e, true)),
    )
    .reading(ARGS),
    field(
        "fs.path.target",
        "fs_path_target",
        Str,
        "Absolute target path of calls with two.",
        Event(|e, _| target(e, false)),
    )
    .reading(ARGS),
    field(
        "fs.path.targetraw",
        "fs_path_targetraw",
        Str,
        "The same as the caller wrote it.",
        Event(|e, _| target(e, true)),
    )
    .reading(ARGS),
];

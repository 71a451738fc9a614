//! Fields of executed files and of loaded modules and BPF programs: `artifact.*`.

use super::event::{num_arg, str_arg};
use super::{Field, FieldType, Getter, Value, field};
use crate::block::Need;
use crate::block::decoded::EventView;
use crate::event::{Arg, EventType};
use FieldType::{Int, Str, Timestamp, Uint};
use Getter::Event;

const ARGS: Need = Need::ARGS_HOT;

fn of<'a>(e: EventView<'a>, get: impl FnOnce(EventView<'a>) -> Value<'a>) -> Value<'a> {
    if e.kind() == Some(EventType::ARTIFACT) {
        get(e)
    } else {
        Value::Absent
    }
}

fn number<'a>(e: EventView<'a>, name: &str) -> Value<'a> {
    of(e, |e| match e.arg_named(name) {
        Arg::Num(v) => Value::Uint(v.cast_unsigned()),
        _ => Value::Absent,
    })
}

pub(super) const FIELDS: &[Field] = &[
    field(
        "artifact.kind",
        "artifact_kind",
        Str,
        "`executable`, `script` (`#!`), `running` (executed before the recording began), `module` or `bpf_program`.",
        Event(|e, _| of(e, |e| str_arg(e, "kind"))),
    )
    .reading(ARGS)
    .no_column(),
    field(
        "artifact.path",
        "artifact_path",
        Str,
        "Absolute path of the file; name of a BPF program.",
        Event(|e, _| of(e, |e| str_arg(e, "path"))),
    )
    .reading(ARGS)
    .no_column(),
    field(
        "artifact.sha256",
        "artifact_sha256",
        Str,
        "SHA-256 of the contents, in lower-case hexadecimal.",
        Event(|e, _| of(e, |e| str_arg(e, "sha256"))),
    )
    .reading(ARGS)
    .no_column(),
    field(
        "artifact.reason",
        "artifact_reason",
        Str,
        "Why there is no digest, or what it is the digest of where that needs saying.",
        Event(|e, _| of(e, |e| str_arg(e, "reason"))),
    )
    .reading(ARGS)
    .no_column(),
    field(
        "artifact.size",
        "artifact_size",
        Int,
        "Size in bytes.",
        Event(|e, _| of(e, |e| num_arg(e, "size"))),
    )
    .reading(ARGS)
    .no_column(),
    field(
        "artifact.dev",
        "artifact_dev",
        Uint,
        "Device of the file's file system.",
        Event(|e, _| number(e, "dev")),
    )
    .reading(ARGS)
    .no_column(),
    field(
        "artifact.ino",
        "artifact_ino",
        Uint,
        "Inode number of the file.",
        Event(|e, _| number(e, "ino")),
    )
    .reading(ARGS)
    .no_column(),
    field(
        "artifact.ctime",
        "artifact_ctime",
        Timestamp,
        "When the file's inode was last changed.",
        Event(|e, _| number(e, "ctime")),
    )
    .reading(ARGS)
    .no_column(),
    field(
        "artifact.mtime",
        "artifact_mtime",
        Timestamp,
        "When the file's contents were last changed.",
        Event(|e, _| number(e, "mtime")),
    )
    .reading(ARGS)
    .no_column(),
    field(
        "artifact.copy",
        "artifact_copy",
        Str,
        "Name of the copy within the case.",
        Event(|e, _| of(e, |e| str_arg(e, "copy"))),
    )
    .reading(ARGS)
    .no_column(),
    field(
        "artifact.copy_reason",
        "artifact_copy_reason",
        Str,
        "Why there is no copy although one was asked for.",
        Event(|e, _| of(e, |e| str_arg(e, "copy_reason"))),
    )
    .reading(ARGS)
    .no_column(),
    field(
        "artifact.id",
        "artifact_id",
        Uint,
        "The kernel's number of a BPF program.",
        Event(|e, _| number(e, "id")),
    )
    .reading(ARGS)
    .no_column(),
];

//! Fields of the paths among an event's arguments: `fs.path.*`.

use super::{Basis, Field, FieldType, Getter, Value, field};
use crate::block::Need;
use crate::block::decoded::EventView;
use crate::event::Arg;
use crate::schema::{EventSpec, ParamKind};
use FieldType::Str;
use Getter::Event;

const ARGS: Need = Need(Need::ARGS.0 | Need::FD.0 | Need::RET.0);

/// Which parameters Falco calls the name, the source and the target of an event type.
enum Paths {
    /// One path: a parameter.
    Name(&'static str),
    /// One path: that of the open object.
    Object,
    /// Two: source and target.
    Pair(&'static str, &'static str),
}

fn paths(event: &str) -> Option<Paths> {
    use Paths::{Name, Object, Pair};
    Some(match event {
        "open" | "openat" | "openat2" | "open_by_handle_at" | "creat" | "unlinkat" | "umount" | "umount2" => {
            Name("name")
        }
        "mkdir" | "mkdirat" | "rmdir" | "unlink" | "chown" | "lchown" | "mknod" | "mknodat" | "truncate" | "chroot" => {
            Name("path")
        }
        "chmod" | "fchmodat" | "fchmodat2" => Name("filename"),
        "fchownat" => Name("pathname"),
        "quotactl" => Name("special"),
        "fchmod" | "fchown" => Object,
        "rename" | "renameat" | "renameat2" => Pair("oldpath", "newpath"),
        // Of a link Falco calls the new name the source, and what it points to the target.
        "link" | "linkat" => Pair("newpath", "oldpath"),
        "symlink" | "symlinkat" => Pair("linkpath", "target"),
        "mount" => Pair("dev", "dir"),
        _ => return None,
    })
}

/// Whether events of a type have paths among their arguments.
pub(super) fn has_paths(spec: &EventSpec) -> bool {
    paths(&spec.name).is_some()
}

/// Whether the path of events of a type is that of the open object.
pub(super) fn is_of_object(spec: &EventSpec) -> bool {
    matches!(paths(&spec.name), Some(Paths::Object))
}

/// Which of an event's paths.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Name,
    Source,
    Target,
}

/// Absent for calls that failed. An open counts even then, as with Falco.
fn value(e: EventView<'_>, which: Which, raw: bool) -> Value<'_> {
    let Some(spec) = e.spec() else { return Value::Absent };
    if e.ret() != Some(0) && !spec.ret_is_fd() {
        return Value::Absent;
    }
    match (paths(&spec.name), which) {
        (Some(Paths::Name(param)), Which::Name)
        | (Some(Paths::Pair(param, _)), Which::Source)
        | (Some(Paths::Pair(_, param)), Which::Target) => argument(e, param, raw),
        (Some(Paths::Object), Which::Name) => e.fd().map_or(Value::Absent, |f| {
            Value::text(if raw { f.path_raw() } else { f.path() })
        }),
        _ => Value::Absent,
    }
}

fn argument<'a>(e: EventView<'a>, name: &str, raw: bool) -> Value<'a> {
    match e.arg_named(name) {
        Arg::Path { raw: written, .. } if raw && !written.is_empty() => Value::Str(written.into()),
        Arg::Path { resolved, .. } => Value::text(resolved),
        Arg::Str(text) => Value::text(text),
        _ => Value::Absent,
    }
}

/// The absolute path at a position among the event's path arguments.
pub(super) fn resolved(e: EventView<'_>, position: usize) -> Value<'_> {
    let Some(spec) = e.spec() else { return Value::Absent };
    let params = spec.params.iter().enumerate();
    let slot = params.filter(|(_, p)| p.kind == ParamKind::Path).nth(position);
    match slot.map(|(slot, _)| e.arg(slot)) {
        Some(Arg::Path { resolved, .. }) => Value::text(resolved),
        _ => Value::Absent,
    }
}

pub(super) const FIELDS: &[Field] = &[
    field(
        "fs.path.name",
        "fs_path_name",
        Str,
        "Absolute path that a successful call is about, or that an open asked for.",
        Event(|e, _| value(e, Which::Name, false)),
    )
    .reading(ARGS)
    .based_on(Basis::Arguments),
    field(
        "fs.path.nameraw",
        "fs_path_nameraw",
        Str,
        "The same as the caller wrote it.",
        Event(|e, _| value(e, Which::Name, true)),
    )
    .reading(ARGS)
    .based_on(Basis::Arguments),
    field(
        "fs.path.source",
        "fs_path_source",
        Str,
        "Absolute source path of calls with two: the old name (`rename`), the new link (`link`, `symlink`), the device (`mount`).",
        Event(|e, _| value(e, Which::Source, false)),
    )
    .reading(ARGS)
    .based_on(Basis::Arguments),
    field(
        "fs.path.sourceraw",
        "fs_path_sourceraw",
        Str,
        "The same as the caller wrote it.",
        Event(|e, _| value(e, Which::Source, true)),
    )
    .reading(ARGS)
    .based_on(Basis::Arguments),
    field(
        "fs.path.target",
        "fs_path_target",
        Str,
        "Absolute target path of calls with two: the new name (`rename`), what a link points to, the mount point.",
        Event(|e, _| value(e, Which::Target, false)),
    )
    .reading(ARGS)
    .based_on(Basis::Arguments),
    field(
        "fs.path.targetraw",
        "fs_path_targetraw",
        Str,
        "The same as the caller wrote it.",
        Event(|e, _| value(e, Which::Target, true)),
    )
    .reading(ARGS)
    .based_on(Basis::Arguments),
];

//! Fields of the event's arguments: `evt.args`, `evt.arg.NAME`, what an open asks for.

use super::{ArgRule, Basis, Field, FieldArg, FieldType, Getter, Value, field};
use crate::block::Need;
use crate::block::decoded::EventView;
use crate::event::Arg;
use crate::render;
use crate::schema::EventSpec;
use FieldType::{Bool, Int, Str};
use Getter::Event;

/// What the accessors of arguments look at.
pub(super) const ARGS: Need = Need(Need::ARGS.0 | Need::FD.0 | Need::RET.0 | Need::CONTEXT.0 | Need::IMAGES.0);
/// What an open asks for, and whether it got it.
const OPEN: Need = Need(Need::ARGS.0 | Need::RET.0);
const ARGS_AND_DATA: Need = Need(ARGS.0 | Need::DATA.0);

fn is_open(s: &EventSpec) -> bool {
    matches!(
        s.name.as_str(),
        "open" | "openat" | "openat2" | "open_by_handle_at" | "creat"
    )
}

/// Flags of an open; `creat` has none and means these.
fn open_flags(e: EventView<'_>) -> Option<i64> {
    const CREAT: i64 = 0o1101;
    let spec = e.spec().filter(|s| is_open(s))?;
    if spec.name == "creat" {
        return Some(CREAT);
    }
    match e.arg_named("flags") {
        Arg::Num(flags) => Some(flags),
        _ => None,
    }
}

fn open(e: EventView<'_>, test: impl FnOnce(i64) -> bool) -> Value<'_> {
    Value::Bool(open_flags(e).is_some_and(test))
}

const O_ACCMODE: i64 = 3;
const O_CREAT: i64 = 0o100;
const O_TMPFILE: i64 = 0o20000000;

/// Falco knows from the kernel whether the file is new; the flags tell that it may be.
fn creates(e: EventView<'_>) -> Value<'_> {
    open(e, |f| {
        f & (O_CREAT | O_TMPFILE) != 0 && e.ret().is_some_and(|ret| ret >= 0)
    })
}

/// Asks for an execute bit on the file that it may create.
fn creates_executable(e: EventView<'_>) -> Value<'_> {
    let mode = match e.arg_named("mode") {
        Arg::Num(mode) => mode,
        _ => 0,
    };
    open(e, |f| f & (O_CREAT | O_TMPFILE) != 0 && mode & 0o111 != 0)
}

fn arg<'a>(e: EventView<'a>, which: &FieldArg) -> Value<'a> {
    let text = match which {
        FieldArg::Index(n) => render::nth(e, *n as usize),
        FieldArg::Key(name) => render::named(e, name),
        FieldArg::None => None,
    };
    text.map_or(Value::Absent, Value::Str)
}

/// The declared parameter as it is stored; the result; else what `evt.arg` has.
fn raw_arg<'a>(e: EventView<'a>, which: &FieldArg) -> Value<'a> {
    let FieldArg::Key(name) = which else {
        return arg(e, which);
    };
    match e.arg_named(name) {
        Arg::Num(v) => Value::Int(v),
        Arg::Str(s) => Value::Str(s.into()),
        Arg::Path { raw, .. } => Value::Str(raw.into()),
        Arg::None => match name.as_str() {
            "res" => e.ret().map_or(Value::Absent, Value::Int),
            "fd" => e.fd_num().or(e.ret()).map_or(Value::Absent, Value::Int),
            _ => arg(e, which),
        },
    }
}

fn abspath<'a>(e: EventView<'a>, which: &FieldArg) -> Value<'a> {
    let second = match which {
        FieldArg::Key(k) => k == "dst",
        FieldArg::Index(n) => *n == 2,
        FieldArg::None => false,
    };
    super::fs::resolved(e, usize::from(second))
}

pub(super) const FIELDS: &[Field] = &[
    field(
        "evt.args",
        "evt_args",
        Str,
        "All arguments, `name=value` separated by spaces; what a value stands for in parentheses.",
        Event(|e, _| Value::owned(render::args(e))),
    )
    .reading(ARGS_AND_DATA)
    .based_on(Basis::Arguments),
    field(
        "evt.info",
        "evt_info",
        Str,
        "The same as `evt.args`.",
        Event(|e, _| Value::owned(render::args(e))),
    )
    .reading(ARGS_AND_DATA)
    .based_on(Basis::Arguments)
    .no_column(),
    field(
        "evt.arg",
        "evt_arg",
        Str,
        "One argument by name or position: what it stands for (names of flags, absolute path), else its value.",
        Event(arg),
    )
    .with(ArgRule::Required)
    .reading(ARGS),
    field(
        "evt.rawarg",
        "evt_rawarg",
        Int,
        "One argument by name or position as it is: numbers as numbers, paths as the caller wrote them.",
        Event(raw_arg),
    )
    .with(ArgRule::Required)
    .reading(ARGS),
    field(
        "evt.abspath",
        "evt_abspath",
        Str,
        "Absolute path among the arguments; with `[dst]` (or `[2]`) the second where there are two.",
        Event(abspath),
    )
    .with(ArgRule::Optional)
    .reading(ARGS)
    .no_column(),
    field(
        "evt.is_open_read",
        "evt_is_open_read",
        Bool,
        "Whether it opens for reading.",
        Event(|e, _| open(e, |f| matches!(f & O_ACCMODE, 0 | 2))),
    )
    .reading(OPEN)
    .based_on(Basis::Arguments),
    field(
        "evt.is_open_write",
        "evt_is_open_write",
        Bool,
        "Whether it opens for writing.",
        Event(|e, _| open(e, |f| matches!(f & O_ACCMODE, 1 | 2))),
    )
    .reading(OPEN)
    .based_on(Basis::Arguments),
    field(
        "evt.is_open_create",
        "evt_is_open_create",
        Bool,
        "Whether it succeeded and may have created the file.",
        Event(|e, _| creates(e)),
    )
    .reading(OPEN)
    .based_on(Basis::Arguments),
    field(
        "evt.is_open_exec",
        "evt_is_open_exec",
        Bool,
        "Whether it may create the file with an execute bit.",
        Event(|e, _| creates_executable(e)),
    )
    .reading(OPEN)
    .based_on(Basis::Arguments),
];

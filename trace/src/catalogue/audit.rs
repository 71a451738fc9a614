//! Fields of audit events: `audit.*`.

use super::event::{num_arg, str_arg};
use super::{ArgRule, Field, FieldArg, FieldType, Getter, Value, field};
use crate::block::Need;
use crate::block::decoded::EventView;
use crate::event::{Arg, EventType};
use FieldType::{Int, List, Str};
use Getter::Event;

const ARGS: Need = Need::ARGS_HOT;

fn of<'a>(e: EventView<'a>, get: impl FnOnce(EventView<'a>) -> Value<'a>) -> Value<'a> {
    if e.kind() == Some(EventType::AUDIT) {
        get(e)
    } else {
        Value::Absent
    }
}

/// Texts that the recorder joined with commas.
fn list<'a>(e: EventView<'a>, name: &str) -> Value<'a> {
    match e.arg_named(name) {
        Arg::Str(s) => Value::List(s.split(|b| *b == b',').map(Into::into).collect()),
        _ => Value::Absent,
    }
}

/// The first value of that name in the event's records, as it stands there, without its quotes.
fn record_field<'a>(e: EventView<'a>, key: &FieldArg) -> Value<'a> {
    let (Arg::Str(raw), FieldArg::Key(key)) = (e.arg_named("raw"), key) else {
        return Value::Absent;
    };
    let words = raw.split(|b| matches!(b, b' ' | b'\n' | 0x1d));
    let value = |word: &'a [u8]| word.strip_prefix(key.as_bytes())?.strip_prefix(b"=");
    let Some(at) = words.clone().find_map(value) else {
        return Value::Absent;
    };
    match at.strip_prefix(b"\"") {
        // A quoted value may hold spaces: it ends at the next quote in the record.
        Some(_) => {
            let start = at.as_ptr() as usize - raw.as_ptr() as usize + 1;
            let rest = raw.get(start..).unwrap_or_default();
            Value::Str(rest.split(|b| *b == b'"').next().unwrap_or_default().into())
        }
        None => Value::Str(at.into()),
    }
}

pub(super) const FIELDS: &[Field] = &[
    field(
        "audit.serial",
        "audit_serial",
        Int,
        "Serial number that joins the event's records.",
        Event(|e, _| of(e, |e| num_arg(e, "serial"))),
    )
    .reading(ARGS),
    field(
        "audit.type",
        "audit_type",
        List,
        "Types of the event's records (`SYSCALL`, `PATH`, `USER_CMD` and others).",
        Event(|e, _| of(e, |e| list(e, "types"))),
    )
    .reading(ARGS),
    field(
        "audit.key",
        "audit_key",
        List,
        "Keys of the rules that matched.",
        Event(|e, _| of(e, |e| list(e, "key"))),
    )
    .reading(ARGS),
    field(
        "audit.syscall",
        "audit_syscall",
        Str,
        "Name of the system call.",
        Event(|e, _| of(e, |e| str_arg(e, "syscall"))),
    )
    .reading(ARGS),
    field(
        "audit.success",
        "audit_success",
        Str,
        "`yes` or `no`.",
        Event(|e, _| of(e, |e| str_arg(e, "success"))),
    )
    .reading(ARGS),
    field(
        "audit.pid",
        "audit_pid",
        Int,
        "Process id in the record.",
        Event(|e, _| of(e, |e| num_arg(e, "pid"))),
    )
    .reading(ARGS),
    field(
        "audit.auid",
        "audit_auid",
        Int,
        "Login user id in the record; -1 when unset.",
        Event(|e, _| of(e, |e| num_arg(e, "auid"))),
    )
    .reading(ARGS),
    field(
        "audit.exe",
        "audit_exe",
        Str,
        "Executable in the record.",
        Event(|e, _| of(e, |e| str_arg(e, "exe"))),
    )
    .reading(ARGS),
    field(
        "audit.field",
        "audit_field",
        Str,
        "One field of the records by name, as it stands there.",
        Event(|e, a| of(e, |e| record_field(e, a))),
    )
    .with(ArgRule::Required)
    .reading(ARGS),
    field(
        "audit.raw",
        "audit_raw",
        Str,
        "All records, one a line, as they came.",
        Event(|e, _| of(e, |e| str_arg(e, "raw"))),
    )
    .reading(ARGS),
];

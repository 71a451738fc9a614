//! Fields of the event: `evt.*`, `syscall.*`.

use std::borrow::Cow;

use super::{Basis, Field, FieldType, Getter, Value, field};
use crate::block::Need;
use crate::block::decoded::EventView;
use crate::calendar::{push_date, push_iso8601, push_seconds, push_time_of_day};
use crate::event::{Arg, EventType, Source};
use crate::fd::FdKind;
use crate::names;
use crate::schema::EventSpec;
use crate::syscalls::{self, Category};
use FieldType::{Bool, Int, Str, Timestamp, Uint};
use Getter::{Event, Kind};

const RET: Need = Need(Need::RET.0 | Need::FD.0);

fn bytes(s: &str) -> Value<'_> {
    Value::Str(s.as_bytes().into())
}

/// The time of an event, as these write it one after the other.
fn time<'a>(event: EventView<'_>, parts: &[fn(u64, &mut String)]) -> Value<'a> {
    let mut out = String::with_capacity(32);
    for push in parts {
        push(event.ts(), &mut out);
    }
    Value::owned(out)
}

fn push_blank(_: u64, out: &mut String) {
    out.push(' ');
}

fn category(s: &EventSpec) -> &'static str {
    if s.source != Source::Syscall {
        return "other";
    }
    if s.id == EventType::PROCEXIT {
        return "process";
    }
    match syscalls::category(s.id) {
        Category::File => "file",
        Category::Net => "net",
        Category::Ipc => "IPC",
        Category::Memory => "memory",
        Category::Process => "process",
        Category::Sleep => "sleep",
        Category::System => "system",
        Category::Signal => "signal",
        Category::User => "user",
        Category::Time => "time",
        Category::IoRead | Category::IoWrite => "file",
        Category::Wait => "wait",
        Category::Scheduler => "scheduler",
        Category::Other => "other",
    }
}

/// Reading and writing have the category of what is read or written.
fn category_of<'a>(e: EventView<'a>) -> Value<'a> {
    let Some(spec) = e.spec() else { return Value::Absent };
    let io = matches!(syscalls::category(spec.id), Category::IoRead | Category::IoWrite);
    let kind = e.fd().filter(|_| io).map(|f| f.entry.kind);
    bytes(match kind {
        Some(k) if k.is_path() => "file",
        Some(k) if k.is_inet() || k == FdKind::Netlink || k == FdKind::Packet => "net",
        Some(FdKind::Unix | FdKind::Pipe) => "ipc",
        Some(_) => "unknown",
        None => category(spec),
    })
}

fn res(e: EventView<'_>) -> Value<'_> {
    match e.ret() {
        None => Value::Absent,
        Some(ret) if ret >= 0 => bytes("SUCCESS"),
        Some(ret) => names::errno(-ret).map_or_else(|| Value::owned(ret.to_string()), bytes),
    }
}

pub(super) const FIELDS: &[Field] = &[
    field(
        "evt.num",
        "evt_num",
        Uint,
        "Number of the event in the recording.",
        Event(|e, _| Value::Uint(e.seq())),
    )
    .no_column(),
    field(
        "evt.time",
        "evt_time",
        Str,
        "Time of day, UTC, with nanoseconds.",
        Event(|e, _| time(e, &[push_time_of_day])),
    )
    .reading(Need::TS)
    .no_column(),
    field(
        "evt.outputtime",
        "evt_outputtime",
        Str,
        "The same as `evt.time`: what sysdig prints unless told otherwise.",
        Event(|e, _| time(e, &[push_time_of_day])),
    )
    .reading(Need::TS)
    .no_column(),
    field(
        "evt.time.s",
        "evt_time_s",
        Str,
        "Time of day, UTC, to the second.",
        Event(|e, _| time(e, &[push_seconds])),
    )
    .reading(Need::TS)
    .no_column(),
    field(
        "evt.time.iso8601",
        "evt_time_iso8601",
        Str,
        "Time as ISO 8601, UTC, with nanoseconds.",
        Event(|e, _| time(e, &[push_iso8601])),
    )
    .reading(Need::TS)
    .no_column(),
    field(
        "evt.datetime",
        "evt_datetime",
        Str,
        "Date and time of day, UTC, with nanoseconds.",
        Event(|e, _| time(e, &[push_date, push_blank, push_time_of_day])),
    )
    .reading(Need::TS)
    .no_column(),
    field(
        "evt.datetime.s",
        "evt_datetime_s",
        Str,
        "Date and time of day, UTC, to the second.",
        Event(|e, _| time(e, &[push_date, push_blank, push_seconds])),
    )
    .reading(Need::TS)
    .no_column(),
    field(
        "evt.rawtime",
        "evt_rawtime",
        Timestamp,
        "Time in nanoseconds since the Unix epoch.",
        Event(|e, _| Value::Uint(e.ts())),
    )
    .reading(Need::TS)
    .no_column(),
    field(
        "evt.rawtime.s",
        "evt_rawtime_s",
        Uint,
        "Whole seconds of the time.",
        Event(|e, _| Value::Uint(e.ts() / 1_000_000_000)),
    )
    .reading(Need::TS)
    .no_column(),
    field(
        "evt.rawtime.ns",
        "evt_rawtime_ns",
        Uint,
        "Nanoseconds within the second.",
        Event(|e, _| Value::Uint(e.ts() % 1_000_000_000)),
    )
    .reading(Need::TS)
    .no_column(),
    field(
        "evt.hostname",
        "evt_hostname",
        Str,
        "Name of the recorded host.",
        Event(|e, _| match e.block.host.as_str() {
            "" => Value::Absent,
            name => Value::Str(name.as_bytes().into()),
        }),
    )
    .no_column(),
    field(
        "evt.source",
        "source",
        Str,
        "Where the event comes from: `syscall`, `docker`, `container_log`, `audit`, `k8s_audit`, `log`, `capture`.",
        Kind(|s| bytes(s.source.name())),
    ),
    field(
        "evt.type",
        "evt_type",
        Str,
        "Name of the event (`openat`, `procexit`, `docker`).",
        Kind(|s| Value::owned(s.name.as_bytes())),
    ),
    field(
        "syscall.type",
        "syscall_type",
        Str,
        "Name of the system call; absent for other events.",
        Kind(|s| {
            if s.id.is_syscall() {
                Value::owned(s.name.as_bytes())
            } else {
                Value::Absent
            }
        }),
    )
    .no_column(),
    field(
        "evt.category",
        "evt_category",
        Str,
        "What the event is about: `file`, `net`, `process`, …; of reads and writes what is read or written.",
        Event(|e, _| category_of(e)),
    )
    .reading(Need::FD)
    .based_on(Basis::ObjectKind),
    field(
        "evt.is_compat",
        "evt_is_compat",
        Bool,
        "Whether the system call was made through the 32-bit entry.",
        Kind(|s| Value::Bool(s.id.is_compat())),
    ),
    field(
        "evt.dir",
        "evt_dir",
        Str,
        "Always `<`: events are recorded when they are over.",
        Kind(|_| bytes("<")),
    )
    .no_column(),
    field(
        "evt.cpu",
        "evt_cpu",
        Uint,
        "CPU on which it happened.",
        Event(|e, _| Value::Uint(u64::from(e.cpu()))),
    )
    .reading(Need::CPU)
    .based_on(Basis::Cpu),
    field(
        "evt.res",
        "evt_res",
        Str,
        "`SUCCESS`, or the name of the error.",
        Event(|e, _| res(e)),
    )
    .reading(RET)
    .based_on(Basis::Result),
    field(
        "evt.rawres",
        "evt_rawres",
        Int,
        "Result; the negative error number on failure.",
        Event(|e, _| e.ret().map_or(Value::Absent, Value::Int)),
    )
    .reading(RET)
    .based_on(Basis::Result),
    field(
        "evt.failed",
        "evt_failed",
        Bool,
        "Whether the result is an error.",
        Event(|e, _| e.ret().map_or(Value::Absent, |r| Value::Bool(r < 0))),
    )
    .reading(RET)
    .based_on(Basis::Result),
    field(
        "evt.buffer",
        "evt_buffer",
        Str,
        "Captured bytes of the buffer that was read or written.",
        Event(|e, _| Value::text(e.data())),
    )
    .reading(Need::DATA),
    field(
        "evt.buflen",
        "evt_buflen",
        Uint,
        "How many bytes were read or written, whether they were captured or not.",
        Event(|e, _| {
            let moved = e.spec().and_then(syscalls::io).and_then(|_| e.ret());
            let moved = moved.and_then(|ret| u64::try_from(ret).ok());
            moved.map_or(Value::Absent, Value::Uint)
        }),
    )
    .reading(RET)
    .no_column(),
    field(
        "evt.is_io",
        "evt_is_io",
        Bool,
        "Whether it reads or writes a descriptor.",
        Kind(|s| Value::Bool(syscalls::io(s).is_some())),
    )
    .no_column(),
    field(
        "evt.is_io_read",
        "evt_is_io_read",
        Bool,
        "Whether it reads a descriptor.",
        Kind(|s| Value::Bool(syscalls::io(s) == Some("read"))),
    )
    .no_column(),
    field(
        "evt.is_io_write",
        "evt_is_io_write",
        Bool,
        "Whether it writes a descriptor.",
        Kind(|s| Value::Bool(syscalls::io(s) == Some("write"))),
    )
    .no_column(),
    field(
        "evt.io_dir",
        "evt_io_dir",
        Str,
        "`read`, `write`, or absent where it does neither.",
        Kind(|s| syscalls::io(s).map_or(Value::Absent, bytes)),
    )
    .no_column(),
    field(
        "evt.is_wait",
        "evt_is_wait",
        Bool,
        "Whether it waits for something (`poll`, `epoll_wait`, `select`, …).",
        Kind(|s| Value::Bool(syscalls::category(s.id) == Category::Wait)),
    )
    .no_column(),
    field(
        "evt.is_syslog",
        "evt_is_syslog",
        Bool,
        "Whether it writes to `/dev/log`.",
        Event(|e, _| {
            // systemd makes that a link to a socket of its journal.
            let names = [&b"/dev/log"[..], b"/systemd/journal/dev-log"];
            let is_log = |path: &[u8]| names.iter().any(|name| path.windows(name.len()).any(|w| w == *name));
            let log = e.fd().is_some_and(|f| is_log(f.path()));
            Value::Bool(log && e.spec().and_then(syscalls::io) == Some("write"))
        }),
    )
    .reading(Need::FD)
    .no_column(),
    field(
        "evt.origin.file",
        "origin_file",
        Str,
        "Of what was imported: the file; its event `imported` has its digest.",
        Event(|e, _| e.origin().map_or(Value::Absent, |o| Value::text(o.file))),
    )
    .reading(Need::ORIGIN),
    field(
        "evt.origin.offset",
        "origin_offset",
        Uint,
        "Of what was imported: offset of the event's first byte in the file, of a compressed one in what it decompresses to.",
        Event(|e, _| e.origin().map_or(Value::Absent, |o| Value::Uint(o.offset))),
    )
    .reading(Need::ORIGIN),
    field(
        "evt.origin.line",
        "origin_line",
        Uint,
        "Of what was imported: line of the event in the file, from 1; absent where the format has no lines.",
        Event(|e, _| match e.origin() {
            Some(origin) if origin.line > 0 => Value::Uint(origin.line),
            _ => Value::Absent,
        }),
    )
    .reading(Need::ORIGIN),
    field(
        "evt.count",
        "evt_count",
        Uint,
        "Always 1, for counting.",
        Kind(|_| Value::Uint(1)),
    )
    .no_column(),
    field(
        "evt.count.error",
        "evt_count_error",
        Uint,
        "1 for a result that is an error.",
        Event(|e, _| {
            if e.ret().is_some_and(|r| r < 0) {
                Value::Uint(1)
            } else {
                Value::Absent
            }
        }),
    )
    .reading(RET)
    .no_column(),
];

/// Used by the other groups.
pub(super) fn str_arg<'a>(e: EventView<'a>, name: &str) -> Value<'a> {
    match e.arg_named(name) {
        Arg::Str(s) => Value::Str(Cow::Borrowed(s)),
        Arg::Num(v) => Value::Int(v),
        Arg::Path { resolved, .. } => Value::Str(resolved.into()),
        Arg::None => Value::Absent,
    }
}

/// A number of an event that is not a syscall.
pub(super) fn num_arg<'a>(e: EventView<'a>, name: &str) -> Value<'a> {
    match e.arg_named(name) {
        Arg::Num(v) => Value::Int(v),
        _ => Value::Absent,
    }
}

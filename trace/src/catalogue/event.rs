//! Fields of the event: `evt.*`, `syscall.*`.

use std::borrow::Cow;

use super::{ArgRule, Field, FieldArg, FieldType, Getter, Value, field};
use crate::block::Need;
use crate::block::decoded::{EventView, ImageView};
use crate::event::{Arg, EventType, Source};
use crate::schema::EventSpec;
use crate::syscalls::{self, Category};
use crate::{names, render};
use FieldType::{Bool, Int, Str, Timestamp, Uint};
use Getter::{Event, Kind};

/// What the accessors of arguments look at.
const ARGS: Need = Need(Need::ARGS.0 | Need::FD.0 | Need::RET.0 | Need::CONTEXT.0 | Need::IMAGES.0);
const RET: Need = Need(Need::RET.0 | Need::FD.0);

fn bytes(s: &str) -> Value<'_> {
    Value::Str(s.as_bytes().into())
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
        Category::Ipc => "ipc",
        Category::Memory => "memory",
        Category::Process => "process",
        Category::Sleep => "sleep",
        Category::System => "system",
        Category::Signal => "signal",
        Category::User => "user",
        Category::Time => "time",
        Category::IoRead => "IO-read",
        Category::IoWrite => "IO-write",
        Category::Wait => "wait",
        Category::Scheduler => "scheduler",
        Category::Other => "other",
    }
}

fn io(s: &EventSpec) -> Option<&'static str> {
    match category(s) {
        "IO-read" => Some("read"),
        "IO-write" => Some("write"),
        _ => None,
    }
}

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

/// Falco: the file was created, or would be.
fn creates(e: EventView<'_>) -> Value<'_> {
    open(e, |f| f & (O_CREAT | O_TMPFILE) != 0)
}

/// Falco: created with an execute bit.
fn creates_executable(e: EventView<'_>) -> Value<'_> {
    let mode = match e.arg_named("mode") {
        Arg::Num(mode) => mode,
        _ => 0,
    };
    open(e, |f| f & (O_CREAT | O_TMPFILE) != 0 && mode & 0o111 != 0)
}

fn res(e: EventView<'_>) -> Value<'_> {
    match e.ret() {
        None => Value::Absent,
        Some(ret) if ret >= 0 => bytes("SUCCESS"),
        Some(ret) => names::errno(-ret).map_or_else(|| Value::owned(ret.to_string()), bytes),
    }
}

/// Parameters that Falco stores with `execve`, `clone` and their kin and that ctrace keeps in the process image.
fn from_image<'a>(p: ImageView<'a>, name: &str) -> Option<Value<'a>> {
    let find = |field: &str| match super::find(field)?.get {
        Getter::Process(get) => Some(get(p, &FieldArg::None)),
        _ => None,
    };
    let number = |v: u32| Some(Value::Uint(u64::from(v)));
    match name {
        "exe" => find("proc.exe"),
        "args" => find("proc.args"),
        "cwd" => find("proc.cwd"),
        "comm" => find("proc.name"),
        "env" => find("proc.env"),
        "pid" => find("proc.pid"),
        "ptid" => find("proc.ppid"),
        "vpid" => find("proc.vpid"),
        "pgid" | "vpgid" => find("proc.pgid"),
        "tty" => find("proc.tty"),
        "loginuid" => find("user.loginuid"),
        "cgroups" => find("thread.cgroups"),
        "trusted_exepath" => find("proc.exepath"),
        "exe_ino" => find("proc.exe_ino"),
        "cap_permitted" => find("thread.cap_permitted"),
        "cap_effective" => find("thread.cap_effective"),
        "cap_inheritable" => find("thread.cap_inheritable"),
        "uid" => number(p.entry.euid),
        "gid" => number(p.entry.egid),
        _ => None,
    }
}

fn has_image_args(s: &EventSpec) -> bool {
    matches!(
        s.name.as_str(),
        "execve" | "execveat" | "clone" | "clone3" | "fork" | "vfork"
    )
}

/// The declared parameter, else one that Falco has and ctrace keeps elsewhere.
fn arg<'a>(e: EventView<'a>, arg: &FieldArg) -> Value<'a> {
    let Some(spec) = e.spec() else { return Value::Absent };
    let slot = match arg {
        FieldArg::Index(n) => Some(*n as usize),
        FieldArg::Key(name) => spec.param(name),
        FieldArg::None => None,
    };
    if let Some(text) = slot.and_then(|slot| render::arg(e, slot)) {
        return Value::Str(text);
    }
    let FieldArg::Key(name) = arg else { return Value::Absent };
    match name.as_str() {
        "res" if spec.has_ret && !spec.ret_is_fd() => {
            e.ret().map_or(Value::Absent, |ret| Value::owned(render::result(ret)))
        }
        "fd" if spec.ret_is_fd() => e.ret().map_or(Value::Absent, |ret| Value::owned(render::result(ret))),
        "tuple" | "addr" => e
            .fd()
            .filter(|f| f.entry.socket.is_some())
            .map_or(Value::Absent, |f| Value::Str(f.name())),
        name if has_image_args(spec) => e.image().and_then(|p| from_image(p, name)).unwrap_or(Value::Absent),
        _ => Value::Absent,
    }
}

/// The parameter's number; texts as they are.
fn raw_arg<'a>(e: EventView<'a>, which: &FieldArg) -> Value<'a> {
    let Some(spec) = e.spec() else { return Value::Absent };
    let slot = match which {
        FieldArg::Index(n) => Some(*n as usize),
        FieldArg::Key(name) => spec.param(name),
        FieldArg::None => None,
    };
    match slot.map_or(Arg::None, |slot| e.arg(slot)) {
        Arg::Num(v) => Value::Int(v),
        Arg::Str(s) => Value::Str(s.into()),
        Arg::Path { raw, .. } => Value::Str(raw.into()),
        Arg::None => match which {
            FieldArg::Key(name) if name == "res" => e.ret().map_or(Value::Absent, Value::Int),
            FieldArg::Key(name) if name == "fd" => e.fd_num().or(e.ret()).map_or(Value::Absent, Value::Int),
            other => arg(e, other),
        },
    }
}

/// `evt.abspath`, `evt.abspath.src`, `evt.abspath.dst`: resolved paths by position.
fn abspath<'a>(e: EventView<'a>, which: &FieldArg) -> Value<'a> {
    let position = match which {
        FieldArg::Key(k) if k == "dst" => 1,
        _ => 0,
    };
    super::fs::resolved(e, position)
}

/// UTC as `HH:MM:SS` and nanoseconds; date in front where wanted.
fn clock(ts: u64, date: bool, nanoseconds: bool) -> String {
    let (days, seconds) = (ts / 86_400_000_000_000, ts / 1_000_000_000 % 86_400);
    let mut text = String::new();
    if date {
        let (y, m, d) = civil(days);
        text.push_str(&format!("{y:04}-{m:02}-{d:02} "));
    }
    text.push_str(&format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    ));
    if nanoseconds {
        text.push_str(&format!(".{:09}", ts % 1_000_000_000));
    }
    text
}

/// The date of a day since 1970-01-01 in the proleptic Gregorian calendar. Eras of 400 years begin on a first of March,
/// so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

fn iso8601(ts: u64) -> String {
    format!("{}Z", clock(ts, true, true).replacen(' ', "T", 1))
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
        Event(|e, _| Value::owned(clock(e.ts(), false, true))),
    )
    .reading(Need::TS)
    .no_column(),
    field(
        "evt.time.s",
        "evt_time_s",
        Str,
        "Time of day, UTC, to the second.",
        Event(|e, _| Value::owned(clock(e.ts(), false, false))),
    )
    .reading(Need::TS)
    .no_column(),
    field(
        "evt.time.iso8601",
        "evt_time_iso8601",
        Str,
        "Time as ISO 8601, UTC, with nanoseconds.",
        Event(|e, _| Value::owned(iso8601(e.ts()))),
    )
    .reading(Need::TS)
    .no_column(),
    field(
        "evt.datetime",
        "evt_datetime",
        Str,
        "Date and time of day, UTC, with nanoseconds.",
        Event(|e, _| Value::owned(clock(e.ts(), true, true))),
    )
    .reading(Need::TS)
    .no_column(),
    field(
        "evt.datetime.s",
        "evt_datetime_s",
        Str,
        "Date and time of day, UTC, to the second.",
        Event(|e, _| Value::owned(clock(e.ts(), true, false))),
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
        "evt.source",
        "source",
        Str,
        "Where the event comes from: `syscall`, `docker`, `container_log`, `audit`, `k8s_audit`, `capture`.",
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
        "What the event is about: `file`, `net`, `process`, `IO-read`, `IO-write`, …",
        Kind(|s| bytes(category(s))),
    ),
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
    .reading(Need::CPU),
    field(
        "evt.res",
        "evt_res",
        Str,
        "`SUCCESS`, or the name of the error.",
        Event(|e, _| res(e)),
    )
    .reading(RET),
    field(
        "evt.rawres",
        "evt_rawres",
        Int,
        "Result; the negative error number on failure.",
        Event(|e, _| e.ret().map_or(Value::Absent, Value::Int)),
    )
    .reading(RET),
    field(
        "evt.failed",
        "evt_failed",
        Bool,
        "Whether the result is an error.",
        Event(|e, _| e.ret().map_or(Value::Absent, |r| Value::Bool(r < 0))),
    )
    .reading(RET),
    field(
        "evt.args",
        "evt_args",
        Str,
        "All arguments, `name=value` separated by spaces.",
        Event(|e, _| Value::owned(render::args(e))),
    )
    .reading(ARGS),
    field(
        "evt.info",
        "evt_info",
        Str,
        "The same as `evt.args`.",
        Event(|e, _| Value::owned(render::args(e))),
    )
    .reading(ARGS)
    .no_column(),
    field(
        "evt.arg",
        "evt_arg",
        Str,
        "One argument by name or position, flags and numbers as text.",
        Event(arg),
    )
    .with(ArgRule::Required)
    .reading(ARGS),
    field(
        "evt.rawarg",
        "evt_rawarg",
        Int,
        "One argument by name or position, as the number it is.",
        Event(raw_arg),
    )
    .with(ArgRule::Required)
    .reading(ARGS),
    field(
        "evt.buffer",
        "evt_buffer",
        Str,
        "Captured bytes of the buffer that was read or written.",
        Event(|e, _| Value::text(e.data())),
    )
    .reading(Need::DATA)
    .no_column(),
    field(
        "evt.buflen",
        "evt_buflen",
        Uint,
        "Length of the captured bytes.",
        Event(|e, _| {
            if e.data().is_empty() {
                Value::Absent
            } else {
                Value::Uint(e.data().len() as u64)
            }
        }),
    )
    .reading(Need::DATA)
    .no_column(),
    field(
        "evt.is_io",
        "evt_is_io",
        Bool,
        "Whether it reads or writes a descriptor.",
        Kind(|s| Value::Bool(io(s).is_some())),
    )
    .no_column(),
    field(
        "evt.is_io_read",
        "evt_is_io_read",
        Bool,
        "Whether it reads a descriptor.",
        Kind(|s| Value::Bool(io(s) == Some("read"))),
    )
    .no_column(),
    field(
        "evt.is_io_write",
        "evt_is_io_write",
        Bool,
        "Whether it writes a descriptor.",
        Kind(|s| Value::Bool(io(s) == Some("write"))),
    )
    .no_column(),
    field(
        "evt.io_dir",
        "evt_io_dir",
        Str,
        "`r`, `w`, or absent where it neither reads nor writes.",
        Kind(|s| match io(s) {
            Some("read") => bytes("r"),
            Some(_) => bytes("w"),
            None => Value::Absent,
        }),
    )
    .no_column(),
    field(
        "evt.is_wait",
        "evt_is_wait",
        Bool,
        "Whether it waits for something (`poll`, `epoll_wait`, `select`, …).",
        Kind(|s| Value::Bool(category(s) == "wait")),
    )
    .no_column(),
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
    field(
        "evt.abspath",
        "evt_abspath",
        Str,
        "Absolute path of the argument; `[src]` and `[dst]` where there are two.",
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
    .reading(ARGS)
    .no_column(),
    field(
        "evt.is_open_write",
        "evt_is_open_write",
        Bool,
        "Whether it opens for writing.",
        Event(|e, _| open(e, |f| matches!(f & O_ACCMODE, 1 | 2))),
    )
    .reading(ARGS)
    .no_column(),
    field(
        "evt.is_open_create",
        "evt_is_open_create",
        Bool,
        "Whether it may create the file.",
        Event(|e, _| creates(e)),
    )
    .reading(ARGS)
    .no_column(),
    field(
        "evt.is_open_exec",
        "evt_is_open_exec",
        Bool,
        "Whether it may create the file with an execute bit.",
        Event(|e, _| creates_executable(e)),
    )
    .reading(ARGS)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        // 2024-02-29T23:59:59.000000001Z, by `date -u -d`.
        let ts = 1_709_251_199_000_000_001;
        assert_eq!(iso8601(ts), "2024-02-29T23:59:59.000000001Z");
        assert_eq!(clock(ts, false, true), "23:59:59.000000001");
        assert_eq!(clock(0, true, false), "1970-01-01 00:00:00");
        assert_eq!(clock(946_684_800_000_000_000, true, false), "2000-01-01 00:00:00");
    }
}

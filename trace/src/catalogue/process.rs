//! Fields of the process itself: `proc.*`; those of its relatives are in [`super::lineage`].

use super::lineage::parent;
use super::{ArgRule, Field, FieldArg, FieldType, Getter, Value, field};
use crate::block::Need;
use crate::block::decoded::{EventView, ImageView};
use crate::process::exe_flag;
use FieldType::{Bool, Duration, Int, Str, Timestamp, Uint};
use Getter::{Event, Process};

/// An image that stands for "somewhere in this container" is no process.
pub(super) fn real(p: ImageView<'_>) -> Option<ImageView<'_>> {
    (p.entry.pid != 0).then_some(p)
}

pub(super) fn of<'a>(p: ImageView<'a>, get: impl FnOnce(ImageView<'a>) -> Value<'a>) -> Value<'a> {
    real(p).map_or(Value::Absent, get)
}

pub(super) fn name(p: ImageView<'_>) -> Value<'_> {
    Value::text(p.str(p.entry.name))
}

pub(super) fn exe(p: ImageView<'_>) -> Value<'_> {
    p.args().next().map_or_else(|| name(p), |a| Value::Str(a.into()))
}

pub(super) fn exe_path(p: ImageView<'_>) -> Value<'_> {
    Value::text(p.str(p.entry.exe_path))
}

fn joined(first: Option<&[u8]>, p: ImageView<'_>) -> Vec<u8> {
    let rest = p.args().skip(1);
    let parts: Vec<&[u8]> = first.into_iter().chain(rest).collect();
    parts.join(&b' ')
}

/// One argument by position, the first after `argv[0]` being 0; without brackets all.
fn nth_arg<'a>(p: ImageView<'a>, which: &FieldArg) -> Value<'a> {
    match which {
        FieldArg::Index(n) => {
            let found = p.args().skip(1).nth(*n as usize);
            Value::Str(found.unwrap_or_default().into())
        }
        _ => args(p),
    }
}

pub(super) fn args(p: ImageView<'_>) -> Value<'_> {
    Value::owned(joined(None, p))
}

pub(super) fn cmdline(p: ImageView<'_>) -> Value<'_> {
    Value::owned(joined(Some(p.str(p.entry.name)), p))
}

fn exeline(p: ImageView<'_>) -> Value<'_> {
    let first = p.args().next().unwrap_or_else(|| p.str(p.entry.name));
    // Falco's separator stands there even when nothing follows.
    let mut text = first.to_vec();
    text.push(b' ');
    text.extend(joined(None, p));
    Value::owned(text)
}

pub(super) fn pid(p: ImageView<'_>) -> Value<'_> {
    Value::Int(i64::from(p.entry.pid))
}

fn known(v: u64) -> Value<'static> {
    if v == 0 { Value::Absent } else { Value::Uint(v) }
}

pub(super) fn id(v: u32) -> Value<'static> {
    if v == 0 {
        Value::Absent
    } else {
        Value::Int(i64::from(v))
    }
}

fn flag<'a>(p: ImageView<'a>, bit: u8) -> Value<'a> {
    of(p, |p| Value::Bool(p.entry.exe_flags & bit != 0))
}

pub(super) fn env<'a>(p: ImageView<'a>, arg: &FieldArg) -> Value<'a> {
    let all = p.str(p.entry.env);
    let mut variables = all.split(|b| *b == 0).filter(|v| !v.is_empty());
    match arg {
        FieldArg::Key(name) => {
            let value = |v: &'a [u8]| v.strip_prefix(name.as_bytes())?.strip_prefix(b"=");
            variables
                .find_map(value)
                .map_or(Value::Absent, |v| Value::Str(v.into()))
        }
        FieldArg::Index(_) => Value::Absent,
        FieldArg::None => Value::owned(variables.collect::<Vec<_>>().join(&b' ')),
    }
}

/// How long before the event something happened; needs the time of the event.
fn since<'a>(event: EventView<'a>, ts: impl FnOnce(ImageView<'a>) -> Option<u64>) -> Value<'a> {
    let then = event.image().and_then(real).and_then(ts).filter(|t| *t != 0);
    then.and_then(|then| i64::try_from(event.ts().checked_sub(then)?).ok())
        .map_or(Value::Absent, Value::Int)
}

const PROCESS: Need = Need(Need::CONTEXT.0 | Need::IMAGES.0 | Need::TS.0);

pub(super) const FIELDS: &[Field] = &[
    field(
        "proc.name",
        "proc_name",
        Str,
        "Name of the process as the kernel keeps it (`comm`, at most 15 bytes).",
        Process(|p, _| of(p, name)),
    ),
    field(
        "proc.exe",
        "proc_exe",
        Str,
        "First command line argument (`argv[0]`); the name where there are no arguments.",
        Process(|p, _| of(p, exe)),
    ),
    field(
        "proc.exepath",
        "proc_exepath",
        Str,
        "Absolute path of the executed file.",
        Process(|p, _| of(p, exe_path)),
    ),
    field(
        "proc.args",
        "proc_args",
        Str,
        "Command line arguments without the first, separated by spaces; with brackets one of them. Behind 64 KiB `...`.",
        Process(|p, a| of(p, |p| nth_arg(p, a))),
    )
    .with(ArgRule::OptionalIndex),
    field(
        "proc.cmdline",
        "proc_cmdline",
        Str,
        "Name and arguments, separated by spaces.",
        Process(|p, _| of(p, cmdline)),
    ),
    field(
        "proc.exeline",
        "proc_exeline",
        Str,
        "All command line arguments, separated by spaces.",
        Process(|p, _| of(p, exeline)),
    ),
    field(
        "proc.cmdnargs",
        "proc_cmdnargs",
        Uint,
        "Number of command line arguments without the first.",
        Process(|p, _| of(p, |p| Value::Uint(p.args().skip(1).count() as u64))),
    ),
    field(
        "proc.cmdlenargs",
        "proc_cmdlenargs",
        Uint,
        "Total length of the command line arguments without the first, bytes.",
        Process(|p, _| of(p, |p| Value::Uint(p.args().skip(1).map(|a| a.len() as u64).sum()))),
    ),
    field(
        "proc.env",
        "proc_env",
        Str,
        "Recorded environment variables, or with brackets the value of one. The last is `...` where not all could be searched.",
        Process(|p, a| of(p, |p| env(p, a))),
    )
    .with(ArgRule::Optional),
    field(
        "proc.cwd",
        "proc_cwd",
        Str,
        "Working directory.",
        Process(|p, _| of(p, |p| Value::text(p.str(p.entry.cwd)))),
    ),
    field(
        "proc.tty",
        "proc_tty",
        Uint,
        "Device number of the controlling terminal; 0 for none.",
        Process(|p, _| of(p, |p| Value::Uint(u64::from(p.entry.tty)))),
    ),
    field(
        "proc.pid",
        "proc_pid",
        Int,
        "Process id in the initial pid namespace.",
        Process(|p, _| of(p, pid)),
    ),
    field(
        "proc.vpid",
        "proc_vpid",
        Int,
        "Process id in the process's own pid namespace.",
        Process(|p, _| of(p, |p| id(p.entry.vpid))),
    ),
    field(
        "proc.pid.ts",
        "proc_pid_ts",
        Timestamp,
        "When the process started.",
        Process(|p, _| of(p, |p| known(p.entry.start_ts))),
    ),
    field(
        "proc.ppid.ts",
        "proc_ppid_ts",
        Timestamp,
        "When the parent started.",
        Process(|p, _| parent(p, |p| known(p.entry.start_ts))),
    ),
    field(
        "proc.exec_ts",
        "proc_exec_ts",
        Timestamp,
        "When the program was executed.",
        Process(|p, _| of(p, |p| known(p.entry.exec_ts))),
    ),
    field(
        "proc.duration",
        "proc_duration",
        Duration,
        "Time from the process's start to the event.",
        Event(|e, _| since(e, |p| Some(p.entry.start_ts))),
    )
    .reading(PROCESS),
    field(
        "proc.ppid.duration",
        "proc_ppid_duration",
        Duration,
        "Time from the parent's start to the event.",
        Event(|e, _| since(e, |p| Some(p.parent()?.entry.start_ts))),
    )
    .reading(PROCESS),
    field(
        "proc.is_exe_writable",
        "proc_is_exe_writable",
        Bool,
        "Whether the user that ran the file could write it.",
        Process(|p, _| flag(p, exe_flag::WRITABLE)),
    ),
    field(
        "proc.is_exe_upper_layer",
        "proc_is_exe_upper_layer",
        Bool,
        "Whether the file lies in the upper layer of an overlay: it is not from the image.",
        Process(|p, _| flag(p, exe_flag::UPPER_LAYER)),
    ),
    field(
        "proc.is_exe_lower_layer",
        "proc_is_exe_lower_layer",
        Bool,
        "Whether the file lies in a lower layer of an overlay.",
        Process(|p, _| flag(p, exe_flag::LOWER_LAYER)),
    ),
    field(
        "proc.is_exe_from_memfd",
        "proc_is_exe_from_memfd",
        Bool,
        "Whether the file existed in memory only.",
        Process(|p, _| flag(p, exe_flag::MEMFD)),
    ),
    field(
        "proc.is_exe_deleted",
        "proc_is_exe_deleted",
        Bool,
        "Whether the file had no name any more.",
        Process(|p, _| flag(p, exe_flag::DELETED)),
    ),
    field(
        "proc.exe_ino",
        "proc_exe_ino",
        Uint,
        "Inode number of the executed file.",
        Process(|p, _| of(p, |p| known(p.entry.exe_ino))),
    ),
    field(
        "proc.exe_ino.ctime",
        "proc_exe_ino_ctime",
        Timestamp,
        "When its inode was last changed.",
        Process(|p, _| of(p, |p| known(p.entry.exe_ctime))),
    ),
    field(
        "proc.exe_ino.mtime",
        "proc_exe_ino_mtime",
        Timestamp,
        "When its contents were last changed.",
        Process(|p, _| of(p, |p| known(p.entry.exe_mtime))),
    ),
    field(
        "proc.exe_ino.ctime_duration_proc_start",
        "proc_exe_ino_ctime_duration_proc_start",
        Duration,
        "Time from the last change of the executed file's inode to the start of the process; negative where it was \
         changed later.",
        Process(|p, _| {
            of(p, |p| match (p.entry.exe_ctime, p.entry.start_ts) {
                (0, _) | (_, 0) => Value::Absent,
                (changed, started) => Value::Int(started.wrapping_sub(changed).cast_signed()),
            })
        }),
    ),
];

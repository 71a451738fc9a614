//! Fields of the process image and its ancestors: `proc.*`.

use std::borrow::Cow;

use super::{ArgRule, Field, FieldArg, FieldType, Getter, Value, field};
use crate::block::Need;
use crate::block::decoded::{EventView, ImageView};
use crate::process::exe_flag;
use FieldType::{Bool, Duration, Int, List, Str, Timestamp, Uint};
use Getter::{Event, Process};

/// An image that stands for "somewhere in this container" is no process.
fn real(p: ImageView<'_>) -> Option<ImageView<'_>> {
    (p.entry.pid != 0).then_some(p)
}

fn of<'a>(p: ImageView<'a>, get: impl FnOnce(ImageView<'a>) -> Value<'a>) -> Value<'a> {
    real(p).map_or(Value::Absent, get)
}

fn parent<'a>(p: ImageView<'a>, get: impl FnOnce(ImageView<'a>) -> Value<'a>) -> Value<'a> {
    real(p).and_then(|p| p.parent()).map_or(Value::Absent, get)
}

/// `proc.aX[n]`: the ancestor's value; without brackets those of all ancestors.
fn ancestor<'a>(p: ImageView<'a>, arg: &FieldArg, get: impl Fn(ImageView<'a>) -> Value<'a>) -> Value<'a> {
    let Some(p) = real(p) else { return Value::Absent };
    match arg {
        FieldArg::Index(n) => p.ancestor(*n as usize).map_or(Value::Absent, get),
        FieldArg::Key(_) => Value::Absent,
        FieldArg::None => {
            let texts = p.ancestors().filter_map(|a| match get(a) {
                Value::Str(s) => Some(s),
                Value::Absent => None,
                other => Some(Cow::Owned(other.to_string().into_bytes())),
            });
            Value::List(texts.collect())
        }
    }
}

/// Self or the ancestor that leads what `id` tells; where the leader is not known the eldest that belongs to it.
fn leader(p: ImageView<'_>, id: fn(ImageView<'_>) -> u32) -> ImageView<'_> {
    let line = || std::iter::once(p).chain(p.ancestors());
    let wanted = id(p);
    line()
        .find(|a| a.entry.pid == wanted)
        .or_else(|| line().take_while(|a| id(*a) == wanted).last())
        .unwrap_or(p)
}

fn session<'a>(p: ImageView<'a>, get: impl FnOnce(ImageView<'a>) -> Value<'a>) -> Value<'a> {
    get(leader(p, |p| p.entry.sid))
}

fn group<'a>(p: ImageView<'a>, get: impl FnOnce(ImageView<'a>) -> Value<'a>) -> Value<'a> {
    get(leader(p, |p| p.entry.pgid))
}

/// The group's number in the inner namespace is the leader's there: known only where the leader itself is.
fn vpgid(p: ImageView<'_>) -> Value<'_> {
    let leader = leader(p, |p| p.entry.pgid);
    if leader.entry.pid == p.entry.pgid {
        id(leader.entry.vpid)
    } else {
        Value::Absent
    }
}

/// The eldest of self and ancestors whose name ends like a shell's.
fn login_shell(p: ImageView<'_>) -> Value<'_> {
    let line = std::iter::once(p).chain(p.ancestors());
    let eldest = line.filter(|a| a.str(a.entry.name).ends_with(b"sh")).last();
    eldest.map_or(Value::Absent, pid)
}

fn name(p: ImageView<'_>) -> Value<'_> {
    Value::text(p.str(p.entry.name))
}

fn exe(p: ImageView<'_>) -> Value<'_> {
    p.args().next().map_or_else(|| name(p), |a| Value::Str(a.into()))
}

fn exe_path(p: ImageView<'_>) -> Value<'_> {
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

fn args(p: ImageView<'_>) -> Value<'_> {
    Value::owned(joined(None, p))
}

fn cmdline(p: ImageView<'_>) -> Value<'_> {
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

fn pid(p: ImageView<'_>) -> Value<'_> {
    Value::Int(i64::from(p.entry.pid))
}

fn known(v: u64) -> Value<'static> {
    if v == 0 { Value::Absent } else { Value::Uint(v) }
}

fn id(v: u32) -> Value<'static> {
    if v == 0 {
        Value::Absent
    } else {
        Value::Int(i64::from(v))
    }
}

fn flag<'a>(p: ImageView<'a>, bit: u8) -> Value<'a> {
    of(p, |p| Value::Bool(p.entry.exe_flags & bit != 0))
}

fn env<'a>(p: ImageView<'a>, arg: &FieldArg) -> Value<'a> {
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

fn ancestor_env<'a>(p: ImageView<'a>, which: &FieldArg) -> Value<'a> {
    match which {
        FieldArg::Key(_) => {
            let mut values = p.ancestors().map(|a| env(a, which));
            values.find(|v| *v != Value::Absent).unwrap_or(Value::Absent)
        }
        _ => ancestor(p, which, |a| env(a, &FieldArg::None)),
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
        "Command line arguments without the first, separated by spaces; with brackets one of them.",
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
        "Recorded environment variables, or with brackets the value of one.",
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
        "proc.ppid",
        "proc_ppid",
        Int,
        "Process id of the parent that started it.",
        Process(|p, _| of(p, |p| id(p.entry.ppid))),
    ),
    field(
        "proc.pvpid",
        "proc_pvpid",
        Int,
        "Process id of the parent in the parent's own pid namespace.",
        Process(|p, _| parent(p, |p| id(p.entry.vpid))),
    ),
    field(
        "proc.pname",
        "proc_pname",
        Str,
        "Name of the parent.",
        Process(|p, _| parent(p, name)),
    ),
    field(
        "proc.pexe",
        "proc_pexe",
        Str,
        "`proc.exe` of the parent.",
        Process(|p, _| parent(p, exe)),
    ),
    field(
        "proc.pexepath",
        "proc_pexepath",
        Str,
        "`proc.exepath` of the parent.",
        Process(|p, _| parent(p, exe_path)),
    ),
    field(
        "proc.pcmdline",
        "proc_pcmdline",
        Str,
        "`proc.cmdline` of the parent.",
        Process(|p, _| parent(p, cmdline)),
    ),
    field(
        "proc.aname",
        "proc_aname",
        List,
        "Names of all ancestors, or of the one so many steps up (1 is the parent).",
        Process(|p, a| ancestor(p, a, name)),
    )
    .with(ArgRule::OptionalIndex),
    field(
        "proc.aexe",
        "proc_aexe",
        List,
        "`proc.exe` of the ancestors.",
        Process(|p, a| ancestor(p, a, exe)),
    )
    .with(ArgRule::OptionalIndex),
    field(
        "proc.aexepath",
        "proc_aexepath",
        List,
        "`proc.exepath` of the ancestors.",
        Process(|p, a| ancestor(p, a, exe_path)),
    )
    .with(ArgRule::OptionalIndex),
    field(
        "proc.aargs",
        "proc_aargs",
        List,
        "`proc.args` of the ancestors.",
        Process(|p, a| ancestor(p, a, args)),
    )
    .with(ArgRule::OptionalIndex),
    field(
        "proc.acmdline",
        "proc_acmdline",
        List,
        "`proc.cmdline` of the ancestors.",
        Process(|p, a| ancestor(p, a, cmdline)),
    )
    .with(ArgRule::OptionalIndex),
    field(
        "proc.apid",
        "proc_apid",
        List,
        "Process ids of the ancestors.",
        Process(|p, a| ancestor(p, a, pid)),
    )
    .with(ArgRule::OptionalIndex),
    field(
        "proc.aenv",
        "proc_aenv",
        List,
        "Recorded environments of the ancestors, or the nearest ancestor's value of a variable.",
        Process(|p, a| of(p, |p| ancestor_env(p, a))),
    )
    .with(ArgRule::Optional),
    field(
        "proc.loginshellid",
        "proc_loginshellid",
        Int,
        "Process id of the eldest shell among itself and its ancestors.",
        Process(|p, _| of(p, login_shell)),
    )
    .no_column(),
    field(
        "proc.sid",
        "proc_sid",
        Int,
        "Session id.",
        Process(|p, _| of(p, |p| id(p.entry.sid))),
    ),
    field(
        "proc.sname",
        "proc_sname",
        Str,
        "Name of the session's leader, or of the eldest ancestor in the session.",
        Process(|p, _| of(p, |p| session(p, name))),
    ),
    field(
        "proc.sid.exe",
        "proc_sid_exe",
        Str,
        "`proc.exe` of the session's leader.",
        Process(|p, _| of(p, |p| session(p, exe))),
    ),
    field(
        "proc.sid.exepath",
        "proc_sid_exepath",
        Str,
        "`proc.exepath` of the session's leader.",
        Process(|p, _| of(p, |p| session(p, exe_path))),
    ),
    field(
        "proc.pgid",
        "proc_pgid",
        Int,
        "Process group id.",
        Process(|p, _| of(p, |p| id(p.entry.pgid))),
    ),
    field(
        "proc.pgid.name",
        "proc_pgid_name",
        Str,
        "Name of the process group's leader, or of the eldest ancestor in the group.",
        Process(|p, _| of(p, |p| group(p, name))),
    ),
    field(
        "proc.pgid.exe",
        "proc_pgid_exe",
        Str,
        "`proc.exe` of the process group's leader.",
        Process(|p, _| of(p, |p| group(p, exe))),
    ),
    field(
        "proc.pgid.exepath",
        "proc_pgid_exepath",
        Str,
        "`proc.exepath` of the process group's leader.",
        Process(|p, _| of(p, |p| group(p, exe_path))),
    ),
    field(
        "proc.vpgid",
        "proc_vpgid",
        Int,
        "Process group id in the process's own pid namespace, where the group's leader is an ancestor.",
        Process(|p, _| of(p, vpgid)),
    ),
    field(
        "proc.vpgid.name",
        "proc_vpgid_name",
        Str,
        "The same as `proc.pgid.name`.",
        Process(|p, _| of(p, |p| group(p, name))),
    )
    .no_column(),
    field(
        "proc.vpgid.exe",
        "proc_vpgid_exe",
        Str,
        "The same as `proc.pgid.exe`.",
        Process(|p, _| of(p, |p| group(p, exe))),
    )
    .no_column(),
    field(
        "proc.vpgid.exepath",
        "proc_vpgid_exepath",
        Str,
        "The same as `proc.pgid.exepath`.",
        Process(|p, _| of(p, |p| group(p, exe_path))),
    )
    .no_column(),
    field(
        "proc.is_vpgid_leader",
        "proc_is_vpgid_leader",
        Bool,
        "The same as `proc.is_pgid_leader`.",
        Process(|p, _| of(p, |p| Value::Bool(p.entry.pgid == p.entry.pid))),
    )
    .no_column(),
    field(
        "proc.is_sid_leader",
        "proc_is_sid_leader",
        Bool,
        "Whether it leads its session.",
        Process(|p, _| of(p, |p| Value::Bool(p.entry.sid == p.entry.pid))),
    ),
    field(
        "proc.is_pgid_leader",
        "proc_is_pgid_leader",
        Bool,
        "Whether it leads its process group.",
        Process(|p, _| of(p, |p| Value::Bool(p.entry.pgid == p.entry.pid))),
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

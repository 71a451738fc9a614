//! Fields of a process's relatives: parent, ancestors, session, process group.

use std::borrow::Cow;

use super::process::{args, cmdline, env, exe, exe_path, id, name, of, pid, real};
use super::{ArgRule, Field, FieldArg, FieldType, Getter, Value, field};
use crate::block::decoded::ImageView;
use FieldType::{Bool, Int, List, Str};
use Getter::Process;

pub(super) fn parent<'a>(p: ImageView<'a>, get: impl FnOnce(ImageView<'a>) -> Value<'a>) -> Value<'a> {
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

fn ancestor_env<'a>(p: ImageView<'a>, which: &FieldArg) -> Value<'a> {
    match which {
        FieldArg::Key(_) => {
            let mut values = p.ancestors().map(|a| env(a, which));
            values.find(|v| *v != Value::Absent).unwrap_or(Value::Absent)
        }
        _ => ancestor(p, which, |a| env(a, &FieldArg::None)),
    }
}

pub(super) const FIELDS: &[Field] = &[
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
    ),
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
];

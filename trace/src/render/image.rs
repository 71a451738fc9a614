//! Parameters that Falco stores with `execve`, `clone` and their kin, and that ctrace keeps in the process image.
//!
//! Those of an exec that failed are the event's own: its caller has the image of another program.

use super::text::Text;
use super::{Rendered, declared, number};
use crate::block::decoded::{EventView, ImageView};
use crate::schema::EventSpec;

const EXEC: [&str; 20] = [
    "exe",
    "args",
    "tid",
    "pid",
    "ptid",
    "cwd",
    "comm",
    "cgroups",
    "env",
    "tty",
    "loginuid",
    "flags",
    "cap_inheritable",
    "cap_permitted",
    "cap_effective",
    "exe_ino",
    "uid",
    "trusted_exepath",
    "pgid",
    "gid",
];
const CLONE: [&str; 11] = [
    "exe", "args", "tid", "pid", "ptid", "cwd", "comm", "cgroups", "uid", "gid", "vpid",
];
const CAPSET: [&str; 3] = ["cap_inheritable", "cap_permitted", "cap_effective"];

/// The names of the parameters that the image holds for an event type, in Falco's order.
pub(super) fn names(spec: &EventSpec) -> &'static [&'static str] {
    match spec.name.as_str() {
        "execve" | "execveat" => &EXEC,
        "clone" | "clone3" | "fork" | "vfork" => &CLONE,
        "capset" => &CAPSET,
        _ => &[],
    }
}

/// One of them.
pub(super) fn parameter<'a>(event: EventView<'a>, spec: &EventSpec, name: &str) -> Option<Rendered<'a>> {
    if !names(spec).contains(&name) {
        return None;
    }
    if let Some(slot) = spec.param(name) {
        let own = declared(event, spec, slot);
        if own.is_some() || event.ret().is_some_and(|ret| ret < 0) {
            return own;
        }
    }
    let p = event.image().filter(|p| p.entry.pid != 0)?;
    match name {
        "tid" => Some(Rendered::number(event.context()?.tid, Text::Bytes(p.str(p.entry.name)))),
        "uid" => Some(number::user(event, i64::from(p.entry.euid))),
        _ => of(p, name),
    }
}

/// Whether a parameter of the event itself holds arguments of a program, each followed by a NUL.
pub(super) fn is_list(spec: &EventSpec, name: &str) -> bool {
    name == "args" && names(spec).contains(&name)
}

fn of<'a>(p: ImageView<'a>, name: &str) -> Option<Rendered<'a>> {
    let text = |id| Rendered::plain(Text::Bytes(p.str(id)));
    let hexadecimal = |set: u64| Rendered::plain(Text::Hexadecimal(set));
    let number = |value: i64| Rendered::number(value, Text::EMPTY);
    let process = |pid: u32, name| Rendered::number(pid, Text::Bytes(name));
    Some(match name {
        "exe" => Rendered::plain(Text::Bytes(p.args().next().unwrap_or_default())),
        "args" => Rendered::plain(Text::Arguments(p)),
        "pid" => process(p.entry.pid, p.str(p.entry.name)),
        "ptid" => process(p.entry.ppid, p.parent().map_or(&[][..], |q| q.str(q.entry.name))),
        "vpid" => number(p.entry.vpid.into()),
        "pgid" => number(p.entry.pgid.into()),
        "tty" => number(p.entry.tty.into()),
        "cwd" => text(p.entry.cwd),
        "comm" => text(p.entry.name),
        "cgroups" => text(p.entry.cgroup),
        "env" => Rendered::plain(Text::Dots(p.str(p.entry.env))),
        "loginuid" => number::id(i64::from(p.entry.loginuid), p.str(p.entry.login_user)),
        "flags" => Rendered::number(p.entry.exe_flags, Text::ExeFlags(p.entry.exe_flags)),
        "cap_inheritable" => hexadecimal(p.entry.cap_inheritable),
        "cap_permitted" => hexadecimal(p.entry.cap_permitted),
        "cap_effective" => hexadecimal(p.entry.cap_effective),
        "exe_ino" => Rendered::plain(Text::Unsigned(p.entry.exe_ino)),
        "trusted_exepath" => text(p.entry.exe_path),
        "gid" => number::id(i64::from(p.entry.egid), p.str(p.entry.group)),
        _ => return None,
    })
}

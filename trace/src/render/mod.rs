//! Arguments as text, the way Falco prints them: `evt.args`, `evt.arg.NAME`.
//!
//! Falco keeps two texts for a parameter: the value, and what it stands for (`3` and `<f>/etc/passwd`, `1` and
//! `O_RDONLY`). `evt.args` shows both, `evt.arg.NAME` the second where there is one. Numbers are the kernel's own, also
//! where Falco renumbers flags.

mod image;
mod number;
mod shape;
mod text;

use std::borrow::Cow;

use crate::block::decoded::EventView;
use crate::event::Arg;
use crate::names;
use crate::schema::{EventSpec, FdUse, Param, ParamKind};
use crate::syscalls;
pub use shape::Shape;
use text::Text;

/// One parameter.
#[derive(Clone, Copy, Debug)]
struct Rendered<'a> {
    /// The value.
    value: Text<'a>,
    /// What it stands for; empty where it stands for itself.
    meaning: Text<'a>,
}

impl<'a> Rendered<'a> {
    fn plain(value: Text<'a>) -> Rendered<'a> {
        Rendered {
            value,
            meaning: Text::EMPTY,
        }
    }

    fn number(value: impl Into<i64>, meaning: Text<'a>) -> Rendered<'a> {
        Rendered {
            value: Text::Signed(value.into()),
            meaning,
        }
    }

    /// What `evt.arg.NAME` shows.
    fn shown(self) -> Cow<'a, [u8]> {
        let meaning = self.meaning.into_cow();
        if meaning.is_empty() {
            self.value.into_cow()
        } else {
            meaning
        }
    }

    /// Appends what [`Rendered::shown`] gives.
    fn write_shown(self, out: &mut Vec<u8>) {
        let start = out.len();
        self.meaning.write(out);
        if out.len() == start {
            self.value.write(out);
        }
    }

    /// Appends value and meaning: `value(meaning)`.
    fn write(self, out: &mut Vec<u8>) {
        self.value.write(out);
        let end = out.len();
        out.push(b'(');
        self.meaning.write(out);
        if out.len() == end + 1 {
            out.truncate(end);
        } else {
            out.push(b')');
        }
    }
}

/// The value of the event's parameter number `slot` as text; `None` where there is none.
pub fn arg<'a>(event: EventView<'a>, slot: usize) -> Option<Cow<'a, [u8]>> {
    let spec = event.spec()?;
    Some(declared(event, spec, slot)?.shown())
}

/// The value of a parameter by Falco's name (`evt.arg.NAME`), also of those that ctrace keeps in the result, the process
/// image or the open object.
pub fn named<'a>(event: EventView<'a>, name: &str) -> Option<Cow<'a, [u8]>> {
    Some(find(event, name)?.shown())
}

/// The value of a parameter by its position in Falco's order (`evt.arg[0]`), which begins with the result.
pub fn nth<'a>(event: EventView<'a>, position: usize) -> Option<Cow<'a, [u8]>> {
    let (mut at, mut found) = (0, None);
    parameters(event, |_, rendered| {
        if at == position {
            found = Some(rendered);
        }
        at += 1;
    });
    Some(found?.shown())
}

/// Of most events all arguments as text have less.
const TYPICAL: usize = 128;

/// All arguments (`evt.args`): `fd=3(<f>/etc/passwd) dirfd=-100(AT_FDCWD) name=/etc/passwd flags=0(O_RDONLY) mode=0`.
pub fn args(event: EventView<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(TYPICAL);
    if let Some(spec) = event.spec() {
        Shape::passing(spec).write_args(event, &mut out);
    }
    out
}

/// Whether the arguments of events of a type show something of the process: Falco's parameters that its image holds, or
/// names of users and groups, which are those of the process.
pub(crate) fn shows_process(spec: &EventSpec) -> bool {
    let id = |p: &Param| matches!(p.kind, ParamKind::Uid | ParamKind::Gid);
    !image::names(spec).is_empty() || spec.params.iter().any(id)
}

/// Whether the arguments of events of a type show something of the open object: what the descriptor stands for, or both
/// ends of the connection.
pub(crate) fn shows_object(spec: &EventSpec) -> bool {
    spec.ret_is_fd() || has_tuple(spec) || spec.params.iter().any(|p| is_descriptor(spec, p))
}

/// Whether events of a type can have a parameter of that name for [`named`].
pub fn knows(spec: &EventSpec, name: &str) -> bool {
    let declared = || spec.param(name).is_some() || image::names(spec).contains(&name);
    declared() || spec.has_ret && name == result_name(spec) || name == "tuple" || name == DATA && moves_data(spec)
}

/// Appends what [`named`] gives for each name that the event has; see [`Shape::write_each`].
pub fn each(event: EventView<'_>, out: &mut Vec<u8>, begin: &[u8], end: impl FnMut(&mut Vec<u8>, usize)) {
    if let Some(spec) = event.spec() {
        Shape::passing(spec).write_each(event, out, begin, end);
    }
}

/// Whether a name stands for more than one parameter of an event type.
fn is_ambiguous(spec: &EventSpec, name: &str) -> bool {
    let declared = spec.params.iter().filter(|p| p.name == name).count();
    // The event's own goes before that of the image.
    let of_image = usize::from(declared == 0 && image::names(spec).contains(&name));
    let of_result = usize::from(name == "tuple" || spec.has_ret && name == result_name(spec));
    declared + of_image + of_result > 1
}

/// A result with the error's name: `0`, `-2(ENOENT)`.
pub fn result(ret: i64) -> String {
    match names::errno(ret.saturating_neg()) {
        Some(name) if ret < 0 => format!("{ret}({name})"),
        _ => ret.to_string(),
    }
}

/// Tells the parameters that the event has, in Falco's order: result, tuple, process image, then as declared.
fn parameters<'a>(event: EventView<'a>, tell: impl FnMut(&'a str, Rendered<'a>)) {
    if let Some(spec) = event.spec() {
        Shape::passing(spec).parameters(event, tell);
    }
}

fn find<'a>(event: EventView<'a>, name: &str) -> Option<Rendered<'a>> {
    let spec = event.spec()?;
    if let Some(found) = image::parameter(event, spec, name) {
        return Some(found);
    }
    if let Some(found) = spec.param(name).and_then(|slot| declared(event, spec, slot)) {
        return Some(found);
    }
    match name {
        _ if spec.has_ret && name == result_name(spec) => returned(event, spec),
        "tuple" => tuple(event, spec),
        DATA if moves_data(spec) => data(event),
        _ => None,
    }
}

/// What Falco calls the bytes that were read or written.
pub const DATA: &str = "data";

/// Whether events of a type read or write.
fn moves_data(spec: &EventSpec) -> bool {
    syscalls::io(spec).is_some()
}

/// Falco's name of the result.
fn result_name(spec: &EventSpec) -> &'static str {
    match spec.name.as_str() {
        "getuid" => "uid",
        "geteuid" => "euid",
        "getgid" => "gid",
        "getegid" => "egid",
        "open" | "openat" | "openat2" | "open_by_handle_at" | "creat" | "socket" | "accept" | "accept4"
        | "memfd_create" | "pidfd_open" | "pidfd_getfd" | "bpf" => "fd",
        _ => "res",
    }
}

fn returned<'a>(event: EventView<'a>, spec: &EventSpec) -> Option<Rendered<'a>> {
    let ret = event.ret().or_else(|| event.fd_num().filter(|_| spec.ret_is_fd()))?;
    if ret >= 0 && spec.ret_is_fd() {
        return Some(Rendered::number(ret, object(event)));
    }
    let error = names::errno(ret.saturating_neg()).filter(|_| ret < 0);
    Some(Rendered::number(ret, Text::Bytes(error.unwrap_or_default().as_bytes())))
}

/// The object behind the event's descriptor: `<f>/etc/passwd`.
fn object(event: EventView<'_>) -> Text<'_> {
    event.fd().map_or(Text::EMPTY, Text::Object)
}

/// Captured bytes.
fn data(event: EventView<'_>) -> Option<Rendered<'_>> {
    let data = event.data();
    (!data.is_empty()).then(|| Rendered::plain(Text::Dots(data)))
}

/// Both ends of the connection.
fn tuple<'a>(event: EventView<'a>, spec: &EventSpec) -> Option<Rendered<'a>> {
    if has_tuple(spec) { ends(event) } else { None }
}

fn ends(event: EventView<'_>) -> Option<Rendered<'_>> {
    let fd = event.fd()?;
    fd.entry.socket.as_ref()?;
    Some(Rendered::plain(Text::ObjectName(fd)))
}

/// Whether Falco shows both ends of the connection.
fn has_tuple(spec: &EventSpec) -> bool {
    matches!(
        spec.name.as_str(),
        "connect"
            | "accept"
            | "accept4"
            | "send"
            | "sendto"
            | "sendmsg"
            | "sendmmsg"
            | "recv"
            | "recvfrom"
            | "recvmsg"
            | "recvmmsg"
    )
}

fn declared<'a>(event: EventView<'a>, spec: &EventSpec, slot: usize) -> Option<Rendered<'a>> {
    let param = spec.params.get(slot)?;
    if is_descriptor(spec, param) {
        return descriptor(event, slot);
    }
    match event.arg(slot) {
        Arg::Num(v) => Some(number::rendered(event, param, v)),
        Arg::Str(s) if image::is_list(spec, &param.name) => Some(Rendered::plain(Text::Dots(s))),
        Arg::Str(s) => Some(Rendered::plain(Text::Bytes(s))),
        Arg::Path { resolved, raw: [] } => Some(Rendered::plain(Text::Bytes(resolved))),
        Arg::Path { raw, .. } if raw.starts_with(b"/") => Some(Rendered::plain(Text::Bytes(raw))),
        Arg::Path { resolved, raw } => Some(Rendered {
            value: Text::Bytes(raw),
            meaning: Text::Bytes(resolved),
        }),
        Arg::None => None,
    }
}

/// Whether the parameter is the descriptor that the event is about.
fn is_descriptor(spec: &EventSpec, param: &Param) -> bool {
    match spec.fd {
        FdUse::Arg(arg) => param.kind == ParamKind::Fd && param.arg == Some(arg),
        FdUse::Ret | FdUse::None => false,
    }
}

fn descriptor(event: EventView<'_>, slot: usize) -> Option<Rendered<'_>> {
    let number = match event.arg(slot) {
        Arg::Num(v) => v,
        _ => event.fd_num()?,
    };
    let meaning = if event.fd().is_some() {
        object(event)
    } else {
        Text::Bytes(number::descriptor(number).as_bytes())
    };
    Some(Rendered::number(number, meaning))
}

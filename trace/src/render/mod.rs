//! Arguments as text, the way Falco prints them: `evt.args`, `evt.arg.NAME`.
//!
//! Falco keeps two texts for a parameter: the value, and what it stands for (`3` and `<f>/etc/passwd`, `1` and
//! `O_RDONLY`). `evt.args` shows both, `evt.arg.NAME` the second where there is one. Numbers are the kernel's own, also
//! where Falco renumbers flags.

mod image;
mod number;

use std::borrow::Cow;

use crate::block::decoded::EventView;
use crate::event::{Arg, Source};
use crate::names;
use crate::schema::{EventSpec, FdUse, Param, ParamKind};
use crate::syscalls;

/// One parameter as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered<'a> {
    /// The value.
    pub value: Cow<'a, [u8]>,
    /// What it stands for; empty where it stands for itself.
    pub meaning: Cow<'a, [u8]>,
}

impl<'a> Rendered<'a> {
    fn plain(value: impl Into<Cow<'a, [u8]>>) -> Rendered<'a> {
        Rendered {
            value: value.into(),
            meaning: Cow::Borrowed(b""),
        }
    }

    fn number(value: impl ToString, meaning: impl Into<Vec<u8>>) -> Rendered<'a> {
        Rendered {
            value: value.to_string().into_bytes().into(),
            meaning: Cow::Owned(meaning.into()),
        }
    }

    /// What `evt.arg.NAME` shows.
    fn shown(self) -> Cow<'a, [u8]> {
        if self.meaning.is_empty() {
            self.value
        } else {
            self.meaning
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
    let (_, rendered) = parameters(event).into_iter().nth(position)?;
    Some(rendered.shown())
}

/// All arguments (`evt.args`): `fd=3(<f>/etc/passwd) dirfd=-100(AT_FDCWD) name=/etc/passwd flags=0(O_RDONLY) mode=0`.
pub fn args(event: EventView<'_>) -> Vec<u8> {
    let mut all = parameters(event);
    if let Some(data) = data(event) {
        all.insert(all.len().min(1), (DATA, data));
    }
    let mut out = Vec::new();
    for (name, rendered) in all {
        if !out.is_empty() {
            out.push(b' ');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        out.extend_from_slice(&rendered.value);
        if !rendered.meaning.is_empty() {
            out.push(b'(');
            out.extend_from_slice(&rendered.meaning);
            out.push(b')');
        }
    }
    out
}

/// Whether events of a type can have a parameter of that name for [`named`].
pub fn knows(spec: &EventSpec, name: &str) -> bool {
    let declared = || spec.param(name).is_some() || image::names(spec).contains(&name);
    declared() || spec.has_ret && name == result_name(spec) || name == "tuple" || name == DATA && moves_data(spec)
}

/// What [`named`] gives for each name that the event has, in Falco's order; without the source's own text and bytes that
/// were read or written.
pub fn each(event: EventView<'_>) -> Vec<(String, Cow<'_, [u8]>)> {
    let mut out: Vec<(String, Cow<'_, [u8]>)> = Vec::new();
    for (name, _) in parameters(event) {
        if name != "raw" && out.iter().all(|(known, _)| known != name) {
            out.extend(named(event, name).map(|value| (name.to_owned(), value)));
        }
    }
    out
}

/// A result with the error's name: `0`, `-2(ENOENT)`.
pub fn result(ret: i64) -> String {
    match names::errno(ret.saturating_neg()) {
        Some(name) if ret < 0 => format!("{ret}({name})"),
        _ => ret.to_string(),
    }
}

/// The parameters that the event has, in Falco's order: result, tuple, process image, then as declared.
fn parameters(event: EventView<'_>) -> Vec<(&str, Rendered<'_>)> {
    let Some(spec) = event.spec() else { return Vec::new() };
    let mut out = Vec::new();
    let mut push = |name, rendered: Option<_>| out.extend(rendered.map(|r| (name, r)));
    if spec.has_ret {
        push(result_name(spec), returned(event, spec));
    }
    push("tuple", tuple(event, spec));
    for name in image::names(spec) {
        push(name, image::parameter(event, spec, name));
    }
    let several = spec.params.len() > 1;
    for (slot, param) in spec.params.iter().enumerate() {
        // The source's own text repeats what the parameters before it say.
        let repeats = several && param.name == "raw" && spec.source != Source::Syscall;
        if !repeats {
            push(&param.name, declared(event, spec, slot));
        }
    }
    out
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
    Some(Rendered::number(ret, error.unwrap_or_default()))
}

/// The object behind the event's descriptor: `<f>/etc/passwd`.
fn object(event: EventView<'_>) -> Vec<u8> {
    let Some(fd) = event.fd() else { return Vec::new() };
    let mut text = vec![b'<', fd.entry.kind.type_char(), b'>'];
    text.extend_from_slice(&fd.name());
    text
}

/// Captured bytes as Falco shows them: what is not printable ASCII as a dot.
fn data(event: EventView<'_>) -> Option<Rendered<'_>> {
    let data = event.data();
    (!data.is_empty()).then(|| Rendered::plain(dots(data)))
}

fn dots(bytes: &[u8]) -> Vec<u8> {
    let printable = |b: &u8| if (b' '..=b'~').contains(b) { *b } else { b'.' };
    bytes.iter().map(printable).collect()
}

/// Both ends of the connection.
fn tuple<'a>(event: EventView<'a>, spec: &EventSpec) -> Option<Rendered<'a>> {
    let has_tuple = matches!(
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
    );
    let fd = event.fd().filter(|_| has_tuple)?;
    fd.entry.socket.as_ref()?;
    Some(Rendered::plain(fd.name()))
}

fn declared<'a>(event: EventView<'a>, spec: &EventSpec, slot: usize) -> Option<Rendered<'a>> {
    let param = spec.params.get(slot)?;
    if is_descriptor(spec, param) {
        return descriptor(event, slot);
    }
    match event.arg(slot) {
        Arg::Num(v) => Some(number::rendered(event, param, v)),
        Arg::Str(s) => Some(Rendered::plain(s)),
        Arg::Path { resolved, raw: [] } => Some(Rendered::plain(resolved)),
        Arg::Path { raw, .. } if raw.starts_with(b"/") => Some(Rendered::plain(raw)),
        Arg::Path { resolved, raw } => Some(Rendered {
            value: raw.into(),
            meaning: resolved.into(),
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
        number::descriptor(number).into()
    };
    Some(Rendered::number(number, meaning))
}

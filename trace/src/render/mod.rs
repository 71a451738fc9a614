//! Arguments as text, the way Falco prints them: `evt.args`, `evt.arg.NAME`.
//!
//! Falco keeps two texts for a parameter: the value, and what it stands for (`3` and `<f>/etc/passwd`, `1` and
//! `O_RDONLY`). `evt.args` shows both, `evt.arg.NAME` the second where there is one. Numbers are the kernel's own, also
//! where Falco renumbers flags.

mod image;
mod number;
mod text;

use std::borrow::Cow;

use crate::block::decoded::EventView;
use crate::event::{Arg, Source};
use crate::names;
use crate::schema::{EventSpec, FdUse, Param, ParamKind};
use crate::syscalls;
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
    let mut data = data(event);
    let mut write = |name: &str, rendered: Rendered<'_>| {
        if !out.is_empty() {
            out.push(b' ');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        rendered.write(&mut out);
    };
    parameters(event, |name, rendered| {
        write(name, rendered);
        // Behind the first one.
        if let Some(data) = data.take() {
            write(DATA, data);
        }
    });
    if let Some(data) = data {
        write(DATA, data);
    }
    out
}

/// Whether events of a type can have a parameter of that name for [`named`].
pub fn knows(spec: &EventSpec, name: &str) -> bool {
    let declared = || spec.param(name).is_some() || image::names(spec).contains(&name);
    declared() || spec.has_ret && name == result_name(spec) || name == "tuple" || name == DATA && moves_data(spec)
}

/// Appends what [`named`] gives for each name that the event has, in Falco's order, without the source's own text and
/// bytes that were read or written:
/// `NAME=VALUE`, each followed by a call of `end` with the place where it began.
pub fn each(event: EventView<'_>, out: &mut Vec<u8>, mut end: impl FnMut(&mut Vec<u8>, usize)) {
    let Some(spec) = event.spec() else { return };
    let mut known = Known::default();
    parameters(event, |name, rendered| {
        if name == "raw" || !known.insert(name) {
            return;
        }
        // Several parameters may have a name; which one it means `find` knows.
        let shown = if is_ambiguous(spec, name) {
            find(event, name)
        } else {
            Some(rendered)
        };
        if let Some(shown) = shown {
            let start = out.len();
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            shown.write_shown(out);
            end(out, start);
        }
    });
}

/// Names that were met.
#[derive(Default)]
struct Known<'a> {
    first: [&'a str; 8],
    len: usize,
    more: Vec<&'a str>,
}

impl<'a> Known<'a> {
    /// Whether it is new.
    fn insert(&mut self, name: &'a str) -> bool {
        let first = self.first.get(..self.len).unwrap_or_default();
        if first.contains(&name) || self.more.contains(&name) {
            return false;
        }
        match self.first.get_mut(self.len) {
            Some(free) => {
                *free = name;
                self.len += 1;
            }
            None => self.more.push(name),
        }
        true
    }
}

/// Whether a name stands for more than one parameter of an event type.
fn is_ambiguous(spec: &EventSpec, name: &str) -> bool {
    let declared = spec.params.iter().filter(|p| p.name == name).count();
    let of_image = usize::from(image::names(spec).contains(&name));
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
fn parameters<'a>(event: EventView<'a>, mut tell: impl FnMut(&'a str, Rendered<'a>)) {
    let Some(spec) = event.spec() else { return };
    let mut push = |name, rendered: Option<_>| {
        if let Some(rendered) = rendered {
            tell(name, rendered);
        }
    };
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
    Some(Rendered::plain(Text::ObjectName(fd)))
}

fn declared<'a>(event: EventView<'a>, spec: &EventSpec, slot: usize) -> Option<Rendered<'a>> {
    let param = spec.params.get(slot)?;
    if is_descriptor(spec, param) {
        return descriptor(event, slot);
    }
    match event.arg(slot) {
        Arg::Num(v) => Some(number::rendered(event, param, v)),
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

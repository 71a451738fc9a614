//! Arguments as text, the way Falco prints them.

use std::borrow::Cow;

use crate::block::decoded::EventView;
use crate::event::Arg;
use crate::names;
use crate::schema::{NameSet, Param, ParamKind};

/// `AT_FDCWD` (`linux/fcntl.h`): the working directory in place of a descriptor.
const AT_FDCWD: i64 = -100;
/// `SOL_SOCKET` (`asm-generic/socket.h`).
const SOL_SOCKET: i64 = 1;

/// The value of the event's parameter number `slot` as text (`evt.arg.NAME`); `None` where there is none.
pub fn arg<'a>(event: EventView<'a>, slot: usize) -> Option<Cow<'a, [u8]>> {
    let spec = event.spec()?;
    let param = spec.params.get(slot)?;
    match event.arg(slot) {
        Arg::Num(v) if param.kind == ParamKind::Enum(NameSet::SockOption) && !is_socket_level(event) => {
            Some(v.to_string().into_bytes().into())
        }
        Arg::Num(v) => Some(number(param, v).into_bytes().into()),
        Arg::Str(s) => Some(s.into()),
        Arg::Path { raw, resolved } => Some(if raw.is_empty() { resolved.into() } else { raw.into() }),
        Arg::None if param.name == "fd" && spec.has_fd() => fd(event),
        Arg::None => None,
    }
}

/// Whether the option of a `setsockopt` is one of the socket itself: the same numbers mean others to each protocol.
fn is_socket_level(event: EventView<'_>) -> bool {
    event.arg_named("level") == Arg::Num(SOL_SOCKET)
}

/// The descriptor of the event as Falco shows it: `3(<f>/etc/passwd)`.
fn fd(event: EventView<'_>) -> Option<Cow<'_, [u8]>> {
    let num = event.fd_num()?;
    let mut text = num.to_string().into_bytes();
    if let Some(entry) = event.fd() {
        text.extend_from_slice(b"(<");
        text.push(entry.entry.kind.type_char());
        text.push(b'>');
        text.extend_from_slice(&entry.name());
        text.push(b')');
    }
    Some(text.into())
}

/// A number as its parameter's kind shows it.
fn number(param: &Param, v: i64) -> String {
    match param.kind {
        ParamKind::Flags(set) => {
            let names = names::flags(set, v);
            if names.is_empty() { v.to_string() } else { names }
        }
        ParamKind::Enum(set) => names::value(set, v).map_or_else(|| v.to_string(), str::to_owned),
        ParamKind::Signal => names::signal(v).map_or_else(|| v.to_string(), str::to_owned),
        ParamKind::Mode => format!("{v:#o}"),
        ParamKind::Addr => format!("{v:x}"),
        ParamKind::Fd if v == AT_FDCWD => "-100(AT_FDCWD)".to_owned(),
        ParamKind::Uint | ParamKind::Size => v.cast_unsigned().to_string(),
        _ => v.to_string(),
    }
}

/// All arguments (`evt.args`): `res=0 fd=3(<f>/etc/passwd) name=/etc/passwd flags=O_RDONLY`.
pub fn args(event: EventView<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let Some(spec) = event.spec() else { return out };
    let mut push = |name: &str, value: &[u8]| {
        if !out.is_empty() {
            out.push(b' ');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        out.extend_from_slice(value);
    };
    if spec.has_ret && !spec.ret_is_fd() {
        event.ret().inspect(|ret| push("res", result(*ret).as_bytes()));
    }
    if spec.has_fd() {
        match fd(event) {
            Some(text) => push("fd", &text),
            None => {
                event
                    .ret()
                    .filter(|_| spec.ret_is_fd())
                    .inspect(|ret| push("fd", result(*ret).as_bytes()));
            }
        }
    }
    for (slot, param) in spec.params.iter().enumerate() {
        if param.name == "fd" && spec.has_fd() {
            continue;
        }
        if let Some(value) = arg(event, slot) {
            push(&param.name, &value);
        }
    }
    out
}

/// A result with the error's name: `0`, `-2(ENOENT)`.
pub fn result(ret: i64) -> String {
    match names::errno(-ret) {
        Some(name) if ret < 0 => format!("{ret}({name})"),
        _ => ret.to_string(),
    }
}

//! Numbers by the kind of their parameter.

use super::Rendered;
use crate::block::decoded::EventView;
use crate::event::Arg;
use crate::names;
use crate::schema::{NameSet, Param, ParamKind};

/// `AT_FDCWD` (`linux/fcntl.h`): the working directory in place of a descriptor.
const AT_FDCWD: i64 = -100;
/// `SOL_SOCKET` (`asm-generic/socket.h`).
const SOL_SOCKET: i64 = 1;

/// Parameters that Falco shows in hexadecimal although they are no addresses.
const HEXADECIMAL: [&str; 4] = ["dev", "request", "argument", "mask"];

pub(super) fn rendered<'a>(event: EventView<'a>, param: &Param, v: i64) -> Rendered<'a> {
    match param.kind {
        ParamKind::Flags(set @ NameSet::ModeBits) => Rendered::number(octal(v), names::render(set, v)),
        // The same numbers mean other options to each protocol.
        ParamKind::Enum(NameSet::SockOption) if event.arg_named("level") != Arg::Num(SOL_SOCKET) => {
            Rendered::plain(v.to_string().into_bytes())
        }
        ParamKind::Flags(set) | ParamKind::Enum(set) => Rendered::number(v.cast_unsigned(), names::render(set, v)),
        ParamKind::Signal => Rendered::number(v, names::signal(v).unwrap_or_default()),
        ParamKind::Mode => Rendered::plain(octal(v).into_bytes()),
        ParamKind::Addr => Rendered::plain(format!("{v:X}").into_bytes()),
        ParamKind::Uint if HEXADECIMAL.contains(&param.name.as_str()) => Rendered::plain(format!("{v:X}").into_bytes()),
        ParamKind::Fd => Rendered::number(v, descriptor(v)),
        ParamKind::Uint | ParamKind::Size => Rendered::plain(v.cast_unsigned().to_string().into_bytes()),
        ParamKind::Uid => user(event, v),
        ParamKind::Gid => group(event, v),
        _ => Rendered::plain(v.to_string().into_bytes()),
    }
}

/// As `printf("%#o")` writes it.
fn octal(v: i64) -> String {
    if v == 0 { "0".to_owned() } else { format!("0{v:o}") }
}

/// What a number stands for where a descriptor is expected.
pub(super) fn descriptor(v: i64) -> &'static str {
    match v {
        AT_FDCWD => "AT_FDCWD",
        v if v < 0 => names::errno(v.saturating_neg()).unwrap_or_default(),
        _ => "",
    }
}

/// "Leave as it is" in calls that set ids; "unset" as a login user.
const NO_ID: i64 = 0xFFFF_FFFF;

/// The name is known where the process is that user, as after a successful `setuid`.
pub(super) fn user<'a>(event: EventView<'a>, uid: i64) -> Rendered<'a> {
    let image = event.image().filter(|p| i64::from(p.entry.euid) == uid);
    id(uid, image.map_or(&[][..], |p| p.str(p.entry.user)))
}

fn group<'a>(event: EventView<'a>, gid: i64) -> Rendered<'a> {
    let image = event.image().filter(|p| i64::from(p.entry.egid) == gid);
    id(gid, image.map_or(&[][..], |p| p.str(p.entry.group)))
}

pub(super) fn id<'a>(id: i64, name: &[u8]) -> Rendered<'a> {
    if id == NO_ID || id == -1 {
        Rendered::number(-1, "<NONE>")
    } else {
        Rendered::number(id, name)
    }
}

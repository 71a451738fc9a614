//! Numbers by the kind of their parameter.

use super::Rendered;
use super::text::Text;
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
    let unsigned = |meaning| Rendered {
        value: Text::Unsigned(v.cast_unsigned()),
        meaning,
    };
    match param.kind {
        ParamKind::Flags(set @ NameSet::ModeBits) => Rendered {
            value: Text::Octal(v),
            meaning: Text::Names(set, v),
        },
        // The same numbers mean other options to each protocol.
        ParamKind::Enum(NameSet::SockOption) if event.arg_named("level") != Arg::Num(SOL_SOCKET) => {
            Rendered::plain(Text::Signed(v))
        }
        ParamKind::Flags(set) => unsigned(Text::Names(set, v)),
        ParamKind::Enum(set) => Rendered::number(v, Text::Names(set, v)),
        ParamKind::Signal => Rendered::number(v, Text::Bytes(names::signal(v).unwrap_or_default().as_bytes())),
        ParamKind::Mode => Rendered::plain(Text::Octal(v)),
        ParamKind::Addr => Rendered::plain(Text::Hexadecimal(v.cast_unsigned())),
        ParamKind::Uint if HEXADECIMAL.contains(&param.name.as_str()) => {
            Rendered::plain(Text::Hexadecimal(v.cast_unsigned()))
        }
        ParamKind::Fd => Rendered::number(v, Text::Bytes(descriptor(v).as_bytes())),
        ParamKind::Uint | ParamKind::Size => unsigned(Text::EMPTY),
        ParamKind::Uid => user(event, v),
        ParamKind::Gid => group(event, v),
        _ => Rendered::plain(Text::Signed(v)),
    }
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

pub(super) fn id<'a>(id: i64, name: &'a [u8]) -> Rendered<'a> {
    if id == NO_ID || id == -1 {
        Rendered::number(-1, Text::Bytes(b"<NONE>"))
    } else {
        Rendered::number(id, Text::Bytes(name))
    }
}

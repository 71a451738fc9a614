//! Fields of the open object behind the event's descriptor: `fd.*`.

use std::net::SocketAddr;

use super::{Basis, Field, FieldType, Getter, Value, field};
use crate::block::Need;
use crate::block::decoded::{EventView, FdView};
use crate::event::Arg;
use crate::fd::{FdKind, Role, Socket};
use FieldType::{Bool, Int, Ip, List, Str, Uint};
use Getter::{Event, Fd};

fn path<'a>(f: FdView<'a>, get: impl FnOnce(FdView<'a>) -> &'a [u8]) -> Value<'a> {
    if f.entry.kind.is_path() {
        Value::text(get(f))
    } else {
        Value::Absent
    }
}

/// What Falco calls the directory: of a file where it lies, of a directory itself.
fn directory<'a>(f: FdView<'a>) -> &'a [u8] {
    let path = f.path();
    if f.entry.kind == FdKind::Directory {
        return path;
    }
    match path.iter().rposition(|b| *b == b'/') {
        Some(0) | None => b"/",
        Some(at) => &path[..at],
    }
}

fn filename(f: FdView<'_>) -> Value<'_> {
    if f.entry.kind != FdKind::File {
        return Value::Absent;
    }
    Value::text(f.path().rsplit(|b| *b == b'/').next().unwrap_or_default())
}

fn socket<'a>(f: FdView<'a>, get: impl FnOnce(&Socket) -> Value<'a>) -> Value<'a> {
    f.entry.socket.as_deref().map_or(Value::Absent, get)
}

/// An unspecified address (`0.0.0.0`) of an end that nobody connected says nothing.
fn ip(f: FdView<'_>, end: fn(&Socket) -> SocketAddr) -> Value<'_> {
    socket(f, |s| match end(s) {
        a if a.ip().is_unspecified() && a.port() == 0 => Value::Absent,
        a => Value::Ip(a.ip()),
    })
}

fn port(f: FdView<'_>, end: fn(&Socket) -> SocketAddr) -> Value<'_> {
    socket(f, |s| match end(s) {
        a if a.ip().is_unspecified() && a.port() == 0 => Value::Absent,
        a => Value::Uint(u64::from(a.port())),
    })
}

/// Both ends, for fields that match either.
fn either<'a>(f: FdView<'a>, show: fn(SocketAddr) -> String) -> Value<'a> {
    socket(f, |s| {
        let ends = [s.client(), s.server()]
            .into_iter()
            .filter(|a| !a.ip().is_unspecified() || a.port() != 0);
        Value::List(ends.map(|a| show(a).into_bytes().into()).collect())
    })
}

/// `id:text`, where the object has such a text.
fn with_container<'a>(e: EventView<'a>, get: impl FnOnce(FdView<'a>) -> Value<'a>) -> Value<'a> {
    let Some(Value::Str(name)) = e.fd().map(get) else {
        return Value::Absent;
    };
    let id = e.image().and_then(|p| p.container()).map_or("host", |c| c.short_id());
    let mut text = id.as_bytes().to_vec();
    text.push(b':');
    text.extend_from_slice(&name);
    Value::owned(text)
}

const WITH_CONTAINER: Need = Need(Need::FD.0 | Need::CONTEXT.0 | Need::IMAGES.0);

/// Major and minor part of the kernel's device number in user space (`MAJOR`, `MINOR` of `sys/sysmacros.h`).
fn major(dev: u64) -> u64 {
    (dev >> 8 & 0xfff) | (dev >> 32 & !0xfff)
}

fn minor(dev: u64) -> u64 {
    (dev & 0xff) | (dev >> 12 & !0xff)
}

/// Falco does not look up the names of ports either, unless it is told to.
fn proto(f: FdView<'_>, end: fn(&Socket) -> SocketAddr) -> Value<'_> {
    match port(f, end) {
        Value::Uint(port) => Value::owned(port.to_string()),
        _ => Value::Absent,
    }
}

/// Whether the call itself gave the socket its other end: a `connect` that went through or goes on, or a datagram to or
/// from somewhere on a socket that is not connected.
fn name_changed(e: EventView<'_>) -> Value<'_> {
    const EINPROGRESS: i64 = 115;
    let Some(s) = e.fd().and_then(|f| f.entry.socket.as_ref()) else {
        return Value::Bool(false);
    };
    let ret = e.ret().unwrap_or(0);
    let changed = match e.spec().map(|s| s.name.as_str()) {
        Some("connect") => ret >= 0 || ret == -EINPROGRESS,
        Some("sendto" | "sendmsg" | "recvfrom" | "recvmsg") => {
            ret >= 0 && !s.is_connected() && !matches!(e.arg_named("addr"), Arg::None)
        }
        _ => false,
    };
    Value::Bool(changed)
}

fn known(v: u64) -> Value<'static> {
    if v == 0 { Value::Absent } else { Value::Uint(v) }
}

pub(super) const FIELDS: &[Field] = &[
    field(
        "fd.num",
        "fd_num",
        Int,
        "Number of the descriptor; -1 where none came of the call.",
        Event(|e, _| {
            let made = || e.spec().filter(|s| s.ret_is_fd()).and_then(|_| e.ret());
            let number = e.fd_num().or_else(|| made().map(|ret| ret.max(-1)));
            number.map_or(Value::Absent, Value::Int)
        }),
    )
    .reading(Need(Need::FD.0 | Need::RET.0))
    .based_on(Basis::Result),
    field(
        "fd.name",
        "fd_name",
        Str,
        "Absolute path of a file (of a failed open: the one asked for), `client->server` of a socket, or the object's name.",
        Fd(|f, _| match f.name() {
            n if n.is_empty() => Value::Absent,
            n => Value::Str(n),
        }),
    ),
    field(
        "fd.nameraw",
        "fd_nameraw",
        Str,
        "Path of a file as the opener wrote it.",
        Fd(|f, _| {
            if f.entry.kind.is_path() {
                Value::text(f.path_raw())
            } else {
                Value::Absent
            }
        }),
    ),
    field(
        "fd.type",
        "fd_type",
        Str,
        "Kind of object: `file`, `directory`, `ipv4`, `ipv6`, `unix`, `pipe`, `event`, `eventpoll`, `inotify` and others.",
        Fd(|f, _| Value::Str(f.entry.kind.type_name().as_bytes().into())),
    ),
    field(
        "fd.typechar",
        "fd_typechar",
        Str,
        "Kind of object in one letter: `f`, `d`, `4`, `6`, `u`, `p`, `e`, `l`, `i` and others.",
        Fd(|f, _| Value::owned(vec![f.entry.kind.type_char()])),
    ),
    field(
        "fd.directory",
        "fd_directory",
        Str,
        "Directory that a file lies in; of a directory its own path.",
        Fd(|f, _| path(f, directory)),
    ),
    field(
        "fd.filename",
        "fd_filename",
        Str,
        "Last part of a file's path.",
        Fd(|f, _| filename(f)),
    ),
    field(
        "fd.ip",
        "fd_ip",
        List,
        "Addresses of both ends; matches either.",
        Fd(|f, _| either(f, |a| a.ip().to_string())),
    ),
    field(
        "fd.cip",
        "fd_cip",
        Ip,
        "Client's address.",
        Fd(|f, _| ip(f, Socket::client)),
    )
    .of_socket(),
    field(
        "fd.sip",
        "fd_sip",
        Ip,
        "Server's address.",
        Fd(|f, _| ip(f, Socket::server)),
    )
    .of_socket(),
    field(
        "fd.lip",
        "fd_lip",
        Ip,
        "Address of this end.",
        Fd(|f, _| ip(f, |s| s.local)),
    )
    .of_socket(),
    field(
        "fd.rip",
        "fd_rip",
        Ip,
        "Address of the other end.",
        Fd(|f, _| ip(f, |s| s.remote)),
    )
    .of_socket(),
    field(
        "fd.net",
        "fd_net",
        List,
        "Like `fd.ip`, to be compared with networks.",
        Fd(|f, _| either(f, |a| a.ip().to_string())),
    )
    .no_column(),
    field(
        "fd.cnet",
        "fd_cnet",
        Ip,
        "Like `fd.cip`, to be compared with networks.",
        Fd(|f, _| ip(f, Socket::client)),
    )
    .of_socket()
    .no_column(),
    field(
        "fd.snet",
        "fd_snet",
        Ip,
        "Like `fd.sip`, to be compared with networks.",
        Fd(|f, _| ip(f, Socket::server)),
    )
    .of_socket()
    .no_column(),
    field(
        "fd.lnet",
        "fd_lnet",
        Ip,
        "Like `fd.lip`, to be compared with networks.",
        Fd(|f, _| ip(f, |s| s.local)),
    )
    .of_socket()
    .no_column(),
    field(
        "fd.rnet",
        "fd_rnet",
        Ip,
        "Like `fd.rip`, to be compared with networks.",
        Fd(|f, _| ip(f, |s| s.remote)),
    )
    .of_socket()
    .no_column(),
    field(
        "fd.port",
        "fd_port",
        List,
        "Ports of both ends; matches either.",
        Fd(|f, _| either(f, |a| a.port().to_string())),
    ),
    field(
        "fd.cport",
        "fd_cport",
        Uint,
        "Client's port.",
        Fd(|f, _| port(f, Socket::client)),
    )
    .of_socket(),
    field(
        "fd.sport",
        "fd_sport",
        Uint,
        "Server's port.",
        Fd(|f, _| port(f, Socket::server)),
    )
    .of_socket(),
    field(
        "fd.lport",
        "fd_lport",
        Uint,
        "Port of this end.",
        Fd(|f, _| port(f, |s| s.local)),
    )
    .of_socket(),
    field(
        "fd.rport",
        "fd_rport",
        Uint,
        "Port of the other end.",
        Fd(|f, _| port(f, |s| s.remote)),
    )
    .of_socket(),
    field(
        "fd.proto",
        "fd_proto",
        List,
        "Ports of both ends as text; matches either.",
        Fd(|f, _| either(f, |a| a.port().to_string())),
    )
    .no_column(),
    field(
        "fd.cproto",
        "fd_cproto",
        Str,
        "Client's port as text.",
        Fd(|f, _| proto(f, Socket::client)),
    )
    .of_socket()
    .no_column(),
    field(
        "fd.sproto",
        "fd_sproto",
        Str,
        "Server's port as text.",
        Fd(|f, _| proto(f, Socket::server)),
    )
    .of_socket()
    .no_column(),
    field(
        "fd.lproto",
        "fd_lproto",
        Str,
        "Port of this end as text.",
        Fd(|f, _| proto(f, |s| s.local)),
    )
    .of_socket()
    .no_column(),
    field(
        "fd.rproto",
        "fd_rproto",
        Str,
        "Port of the other end as text.",
        Fd(|f, _| proto(f, |s| s.remote)),
    )
    .of_socket()
    .no_column(),
    field(
        "fd.l4proto",
        "fd_l4proto",
        Str,
        "Transport protocol: `tcp`, `udp`, `icmp`, `raw`.",
        Fd(|f, _| {
            socket(f, |s| match s.l4proto() {
                "<NA>" => Value::Absent,
                name => Value::Str(name.as_bytes().into()),
            })
        }),
    ),
    field(
        "fd.sockfamily",
        "fd_sockfamily",
        Str,
        "Family of a socket: `ip` or `unix`.",
        Fd(|f, _| match f.entry.kind {
            FdKind::Unix => Value::Str(b"unix"[..].into()),
            k if k.is_inet() => Value::Str(b"ip"[..].into()),
            _ => Value::Absent,
        }),
    ),
    field(
        "fd.is_server",
        "fd_is_server",
        Bool,
        "Whether this end is the server.",
        Fd(|f, _| socket(f, |s| Value::Bool(s.role == Role::Server))),
    ),
    field(
        "fd.connected",
        "fd_connected",
        Bool,
        "Whether the other end is known.",
        Fd(|f, _| socket(f, |s| Value::Bool(s.is_connected()))),
    ),
    field(
        "fd.name_changed",
        "fd_name_changed",
        Bool,
        "Whether the call itself gave a socket its other end: `connect`, or a datagram on a socket without one.",
        Event(|e, _| name_changed(e)),
    )
    .reading(Need(Need::FD.0 | Need::RET.0 | Need::ARGS.0))
    .based_on(Basis::Arguments),
    field(
        "fd.uid",
        "fd_uid",
        Str,
        "Thread id and descriptor number in one text.",
        Event(|e, _| match (e.context(), e.fd_num()) {
            (Some(c), Some(fd)) if c.tid != 0 => Value::owned(format!("{}{fd}", c.tid)),
            _ => Value::Absent,
        }),
    )
    .reading(Need(Need::FD.0 | Need::CONTEXT.0))
    .no_column(),
    field(
        "fd.containername",
        "fd_containername",
        Str,
        "Container id and name of the object, `id:name`.",
        Event(|e, _| with_container(e, |f| Value::Str(f.name()))),
    )
    .reading(WITH_CONTAINER)
    .based_on(Basis::ContainerObject),
    field(
        "fd.containerdirectory",
        "fd_containerdirectory",
        Str,
        "Container id and directory of a file, `id:directory`.",
        Event(|e, _| with_container(e, |f| path(f, directory))),
    )
    .reading(WITH_CONTAINER)
    .based_on(Basis::ContainerObject),
    field(
        "fd.dev",
        "fd_dev",
        Uint,
        "Device number of the file.",
        Fd(|f, _| known(f.entry.dev)),
    ),
    field(
        "fd.dev.major",
        "fd_dev_major",
        Uint,
        "Major part of the device number.",
        Fd(|f, _| {
            if f.entry.dev == 0 {
                Value::Absent
            } else {
                Value::Uint(major(f.entry.dev))
            }
        }),
    ),
    field(
        "fd.dev.minor",
        "fd_dev_minor",
        Uint,
        "Minor part of the device number.",
        Fd(|f, _| {
            if f.entry.dev == 0 {
                Value::Absent
            } else {
                Value::Uint(minor(f.entry.dev))
            }
        }),
    ),
    field(
        "fd.ino",
        "fd_ino",
        Uint,
        "Inode number of the file.",
        Fd(|f, _| known(f.entry.ino)),
    ),
];

//! The syscall table: x86_64 and i386 numbers, names as Falco prints them, arguments.

use crate::event::{EventType, Source};
use crate::schema::{EventSpec, FdUse, NameSet, Param, ParamKind};

/// One syscall as it is declared here.
struct Syscall {
    nr: u16,
    name: &'static str,
    hot: bool,
    fd: FdUse,
    /// Name, kind and the argument (0 – 5) it is taken from.
    params: &'static [(&'static str, ParamKind, u8)],
}

const OPENAT: Syscall = Syscall {
    nr: 257,
    name: "openat",
    hot: true,
    fd: FdUse::Ret,
    params: &[
        ("dirfd", ParamKind::Fd, 0),
        ("name", ParamKind::Path, 1),
        ("flags", ParamKind::Flags(NameSet::Open), 2),
        ("mode", ParamKind::Mode, 3),
    ],
};

/// Every syscall of both tables.
pub(crate) fn declared() -> Vec<EventSpec> {
    [OPENAT].iter().map(spec).collect()
}

fn spec(s: &Syscall) -> EventSpec {
    let params = s.params.iter().map(|(name, kind, arg)| Param {
        name: (*name).to_owned(),
        kind: *kind,
        arg: Some(*arg),
    });
    EventSpec {
        id: EventType::syscall(u32::from(s.nr)),
        name: s.name.to_owned(),
        source: Source::Syscall,
        hot: s.hot,
        fd: s.fd,
        has_ret: true,
        params: params.collect(),
    }
}

//! The event types of the workload, declared here so that the benches measure the same thing while the table grows.

use std::sync::Arc;

use ctrace_trace::event::{EventType, Source};
use ctrace_trace::schema::{EventSpec, FdUse, NameSet, Param, ParamKind, Schema};

/// Number, name, whether it is of the hot family, descriptor, parameters.
type Row = (u16, &'static str, bool, FdUse, &'static [(&'static str, ParamKind)]);

use FdUse::{Arg as FdArg, None as NoFd, Ret as FdRet};
use ParamKind::{Addr, Enum, Fd, Flags, Int, Mode, Path, Pid, Size, SockAddr, Uint};

const OPEN: ParamKind = Flags(NameSet::Open);
const AT: ParamKind = Flags(NameSet::At);

const ROWS: &[Row] = &[
    (0, "read", false, FdArg(0), &[("fd", Fd), ("size", Size)]),
    (1, "write", false, FdArg(0), &[("fd", Fd), ("size", Size)]),
    (3, "close", false, FdArg(0), &[("fd", Fd)]),
    (5, "fstat", false, FdArg(0), &[("fd", Fd)]),
    (
        8,
        "lseek",
        false,
        FdArg(0),
        &[("fd", Fd), ("offset", Int), ("whence", Enum(NameSet::Whence))],
    ),
    (
        9,
        "mmap",
        false,
        FdArg(4),
        &[
            ("addr", Addr),
            ("length", Size),
            ("prot", Flags(NameSet::MmapProt)),
            ("flags", Flags(NameSet::MmapFlags)),
            ("fd", Fd),
            ("offset", Uint),
        ],
    ),
    (
        10,
        "mprotect",
        false,
        NoFd,
        &[("addr", Addr), ("length", Size), ("prot", Flags(NameSet::MmapProt))],
    ),
    (11, "munmap", false, NoFd, &[("addr", Addr), ("length", Size)]),
    (12, "brk", false, NoFd, &[("addr", Addr)]),
    (13, "rt_sigaction", false, NoFd, &[("sig", ParamKind::Signal)]),
    (14, "rt_sigprocmask", false, NoFd, &[("how", Int)]),
    (
        16,
        "ioctl",
        false,
        FdArg(0),
        &[("fd", Fd), ("request", Uint), ("argument", Uint)],
    ),
    (
        17,
        "pread",
        false,
        FdArg(0),
        &[("fd", Fd), ("size", Size), ("pos", Uint)],
    ),
    (
        21,
        "access",
        false,
        NoFd,
        &[("name", Path), ("mode", Flags(NameSet::Access))],
    ),
    (39, "getpid", false, NoFd, &[]),
    (
        41,
        "socket",
        true,
        FdRet,
        &[("domain", Enum(NameSet::SocketFamily)), ("type", Uint), ("proto", Uint)],
    ),
    (42, "connect", true, FdArg(0), &[("fd", Fd), ("addr", SockAddr)]),
    (
        44,
        "sendto",
        true,
        FdArg(0),
        &[
            ("fd", Fd),
            ("size", Size),
            ("flags", Flags(NameSet::MsgFlags)),
            ("addr", SockAddr),
        ],
    ),
    (
        45,
        "recvfrom",
        true,
        FdArg(0),
        &[
            ("fd", Fd),
            ("size", Size),
            ("flags", Flags(NameSet::MsgFlags)),
            ("addr", SockAddr),
        ],
    ),
    (56, "clone", true, NoFd, &[("flags", Flags(NameSet::Clone))]),
    (59, "execve", true, NoFd, &[("filename", Path)]),
    (61, "wait4", false, NoFd, &[("pid", Pid), ("options", Uint)]),
    (
        72,
        "fcntl",
        false,
        FdArg(0),
        &[("fd", Fd), ("cmd", Enum(NameSet::Fcntl)), ("arg", Uint)],
    ),
    (82, "rename", true, NoFd, &[("oldpath", Path), ("newpath", Path)]),
    (87, "unlink", true, NoFd, &[("path", Path)]),
    (89, "readlink", false, NoFd, &[("path", Path), ("size", Size)]),
    (158, "arch_prctl", false, NoFd, &[("option", Int), ("addr", Addr)]),
    (
        202,
        "futex",
        false,
        NoFd,
        &[("addr", Addr), ("op", Enum(NameSet::Futex)), ("val", Uint)],
    ),
    (217, "getdents64", false, FdArg(0), &[("fd", Fd)]),
    (218, "set_tid_address", false, NoFd, &[]),
    (231, "exit_group", true, NoFd, &[("status", Int)]),
    (
        232,
        "epoll_wait",
        false,
        FdArg(0),
        &[("epfd", Fd), ("maxevents", Int), ("timeout", Int)],
    ),
    (
        257,
        "openat",
        true,
        FdRet,
        &[
            ("dirfd", Fd),
            ("name", Path),
            ("flags", OPEN),
            ("mode", Mode),
            ("dev", Uint),
            ("ino", Uint),
        ],
    ),
    (
        262,
        "newfstatat",
        false,
        NoFd,
        &[("dirfd", Fd), ("path", Path), ("flags", AT)],
    ),
    (
        263,
        "unlinkat",
        true,
        NoFd,
        &[("dirfd", Fd), ("name", Path), ("flags", AT)],
    ),
    (273, "set_robust_list", false, NoFd, &[]),
    (
        280,
        "utimensat",
        false,
        NoFd,
        &[("dirfd", Fd), ("path", Path), ("flags", AT)],
    ),
    (
        288,
        "accept4",
        true,
        FdRet,
        &[("sockfd", Fd), ("addr", SockAddr), ("flags", Int)],
    ),
    (
        302,
        "prlimit",
        false,
        NoFd,
        &[("pid", Pid), ("resource", Enum(NameSet::Resource))],
    ),
    (318, "getrandom", false, NoFd, &[("size", Size), ("flags", Uint)]),
    (334, "rseq", false, NoFd, &[]),
    (
        0x1001,
        "procexit",
        true,
        NoFd,
        &[
            ("status", Int),
            ("ret", Int),
            ("sig", ParamKind::Signal),
            ("core", Int),
            ("threads", Uint),
        ],
    ),
];

/// What the workload's events carry.
pub fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(ROWS.iter().map(spec).collect()))
}

fn spec(&(id, name, hot, fd, params): &Row) -> EventSpec {
    let param = |(name, kind): &(&str, ParamKind)| Param {
        name: (*name).to_owned(),
        kind: *kind,
        arg: None,
    };
    EventSpec {
        id: EventType(id),
        name: name.to_owned(),
        source: Source::Syscall,
        hot,
        fd,
        has_ret: id < 0x1000,
        params: params.iter().map(param).collect(),
    }
}

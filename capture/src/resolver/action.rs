//! Which state a syscall changes, by its name: x86_64 and i386 numbers share names.

use ctrace_trace::fd::FdKind;
use ctrace_trace::schema::{EventSpec, FdUse};

/// What a syscall does to what the resolver knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing.
    None,
    /// A new descriptor of a file; its flags.
    Open(Flags),
    /// A new descriptor of an object without a file: its kind, its name, its flags.
    Anonymous(FdKind, &'static str, Flags),
    /// `memfd_create`.
    Memfd,
    /// A new descriptor of something that only the kernel knows.
    Opaque(Flags),
    /// `bpf`, of which some commands give a descriptor.
    Bpf,
    Close,
    CloseRange,
    /// `dup`, `dup2`, `dup3`: where the flags of the new descriptor are.
    Dup(Flags),
    Fcntl,
    /// `pipe`, `pipe2`.
    Pipe(Flags),
    SocketPair,
    Socket,
    Bind,
    Connect,
    Listen,
    Accept(Flags),
    Send,
    Receive,
    LocalName,
    PeerName,
    Chdir,
    Fchdir,
    Chroot,
    PivotRoot,
    SetNamespace,
    Unshare,
    /// `set*id`, `capset`: the ids and capabilities of the calling thread.
    SetIds,
    Prctl,
    SetSession,
    SetGroup,
    /// `execve`, `execveat`.
    Exec,
    /// `symlink`, `symlinkat`: a new symbolic link.
    Symlink,
    /// `link`, `linkat`: a second name.
    Link,
    Rename,
    /// What names meant is gone: removed, or that of a new directory.
    Unlink,
    /// The same, covered or uncovered by a mount, with which directories may move.
    Mount,
}

/// Where the flags of a new descriptor are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flags {
    /// Always these.
    Const(u32),
    /// The register whose bit `O_CLOEXEC` (= `SOCK_CLOEXEC`, `EFD_CLOEXEC` …) counts.
    Arg(u8),
    /// The register whose lowest bit means close-on-exec (`MFD_CLOEXEC`, `FSOPEN_CLOEXEC`).
    LowBit(u8),
    /// The register whose bit 3 means close-on-exec (`PERF_FLAG_FD_CLOEXEC`).
    Bit3(u8),
    /// The first eight bytes of the captured structure.
    Field,
    /// `O_PATH`, and the register whose bit `O_CLOEXEC` counts: its others mean something else than those of `open`.
    Path(u8),
}

/// `O_CLOEXEC`, for descriptors that are always closed by `exec`.
const CLOEXEC: Flags = Flags::Const(libc::O_CLOEXEC as u32);
const NO_FLAGS: Flags = Flags::Const(0);

impl Action {
    /// Whether it only keeps the table of descriptors.
    pub(super) fn is_about_descriptors(self) -> bool {
        use Action::*;
        match self {
            Open(_) | Anonymous(..) | Memfd | Opaque(_) | Bpf | Close | CloseRange | Dup(_) | Fcntl | Pipe(_)
            | SocketPair | Socket | Bind | Connect | Listen | Accept(_) | Send | Receive | LocalName | PeerName => true,
            None | Chdir | Fchdir | Chroot | PivotRoot | SetNamespace | Unshare | SetIds | Prctl | SetSession
            | SetGroup | Exec | Symlink | Link | Rename | Unlink | Mount => false,
        }
    }

    /// Whether it changes from where the caller's own names lead on.
    pub(super) fn moves_caller(self) -> bool {
        use Action::*;
        matches!(self, Chdir | Fchdir | Chroot | PivotRoot | SetNamespace)
    }

    /// Whether it only keeps what is known of symbolic links.
    pub(super) fn is_about_names(self) -> bool {
        use Action::*;
        matches!(self, Symlink | Link | Rename | Unlink | Mount)
    }

    /// Whether it can be told without knowing any descriptor that was there before.
    pub(super) fn needs_no_descriptor(self) -> bool {
        use Action::*;
        let makes = matches!(
            self,
            Open(_) | Anonymous(..) | Memfd | Opaque(_) | Bpf | Pipe(_) | SocketPair | Socket
        );
        makes || !self.is_about_descriptors()
    }

    /// What a syscall does.
    pub(super) fn of(spec: &EventSpec) -> Action {
        let known = descriptors(&spec.name)
            .or_else(|| sockets(&spec.name))
            .or_else(|| names(&spec.name))
            .or_else(|| identity(&spec.name));
        match known {
            Some(action) => action,
            None if spec.fd == FdUse::Ret => Action::Opaque(NO_FLAGS),
            None => Action::None,
        }
    }
}

fn descriptors(name: &str) -> Option<Action> {
    use Action::*;
    Some(match name {
        "open" => Open(Flags::Arg(1)),
        "openat" | "open_by_handle_at" => Open(Flags::Arg(2)),
        "creat" => Open(Flags::Const((libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC) as u32)),
        "openat2" => Open(Flags::Field),
        "open_tree" | "open_tree_attr" => Open(Flags::Path(2)),
        "close" => Close,
        "close_range" => CloseRange,
        "dup" | "dup2" => Dup(NO_FLAGS),
        "dup3" => Dup(Flags::Arg(2)),
        "fcntl" | "fcntl64" => Fcntl,
        "pipe" => Pipe(NO_FLAGS),
        "pipe2" => Pipe(Flags::Arg(1)),
        "memfd_create" => Memfd,
        "memfd_secret" => Anonymous(FdKind::Memfd, "secretmem", Flags::Arg(0)),
        "eventfd" => Anonymous(FdKind::Event, "anon_inode:[eventfd]", NO_FLAGS),
        "eventfd2" => Anonymous(FdKind::Event, "anon_inode:[eventfd]", Flags::Arg(1)),
        "epoll_create" => Anonymous(FdKind::EventPoll, "anon_inode:[eventpoll]", NO_FLAGS),
        "epoll_create1" => Anonymous(FdKind::EventPoll, "anon_inode:[eventpoll]", Flags::Arg(0)),
        "signalfd" => Anonymous(FdKind::Signal, "anon_inode:[signalfd]", NO_FLAGS),
        "signalfd4" => Anonymous(FdKind::Signal, "anon_inode:[signalfd]", Flags::Arg(3)),
        "timerfd_create" => Anonymous(FdKind::Timer, "anon_inode:[timerfd]", Flags::Arg(1)),
        "inotify_init" => Anonymous(FdKind::Inotify, "anon_inode:inotify", NO_FLAGS),
        "inotify_init1" => Anonymous(FdKind::Inotify, "anon_inode:inotify", Flags::Arg(0)),
        "fanotify_init" => Anonymous(FdKind::Unknown, "anon_inode:[fanotify]", Flags::LowBit(0)),
        "pidfd_open" => Anonymous(FdKind::Pidfd, "anon_inode:[pidfd]", CLOEXEC),
        "userfaultfd" => Anonymous(FdKind::UserFault, "anon_inode:[userfaultfd]", Flags::Arg(0)),
        "io_uring_setup" => Anonymous(FdKind::IoUring, "anon_inode:[io_uring]", CLOEXEC),
        "bpf" => Bpf,
        "pidfd_getfd" | "mq_open" => Opaque(CLOEXEC),
        "fsmount" => Opaque(Flags::LowBit(1)),
        "perf_event_open" => Anonymous(FdKind::Unknown, "anon_inode:[perf_event]", Flags::Bit3(4)),
        "landlock_create_ruleset" => Anonymous(FdKind::Unknown, "anon_inode:[landlock-ruleset]", CLOEXEC),
        "fsopen" => Anonymous(FdKind::Unknown, "anon_inode:[fscontext]", Flags::LowBit(1)),
        "fspick" => Anonymous(FdKind::Unknown, "anon_inode:[fscontext]", Flags::LowBit(2)),
        _ => return Option::None,
    })
}

fn sockets(name: &str) -> Option<Action> {
    use Action::*;
    Some(match name {
        "socket" => Socket,
        "socketpair" => SocketPair,
        "bind" => Bind,
        "connect" => Connect,
        "listen" => Listen,
        "accept" => Accept(NO_FLAGS),
        "accept4" => Accept(Flags::Arg(3)),
        "sendto" | "sendmsg" | "sendmmsg" => Send,
        "recvfrom" | "recvmsg" | "recvmmsg" => Receive,
        "getsockname" => LocalName,
        "getpeername" => PeerName,
        _ => return Option::None,
    })
}

fn names(name: &str) -> Option<Action> {
    use Action::*;
    Some(match name {
        "symlink" | "symlinkat" => Symlink,
        "link" | "linkat" => Link,
        "rename" | "renameat" | "renameat2" => Rename,
        "unlink" | "unlinkat" | "rmdir" | "mkdir" | "mkdirat" => Unlink,
        "mount" | "umount" | "umount2" | "move_mount" => Mount,
        _ => return Option::None,
    })
}

fn identity(name: &str) -> Option<Action> {
    use Action::*;
    Some(match name {
        "chdir" => Chdir,
        "fchdir" => Fchdir,
        "chroot" => Chroot,
        "pivot_root" => PivotRoot,
        "setns" => SetNamespace,
        "unshare" => Unshare,
        "setuid" | "setuid32" | "setreuid" | "setreuid32" | "setresuid" | "setresuid32" | "setfsuid" | "setfsuid32"
        | "setgid" | "setgid32" | "setregid" | "setregid32" | "setresgid" | "setresgid32" | "capset" => SetIds,
        "prctl" => Prctl,
        "setsid" => SetSession,
        "setpgid" => SetGroup,
        "execve" | "execveat" => Exec,
        _ => return Option::None,
    })
}

//! What an event changes in the state of processes and descriptors.

use ctrace_trace::fd::FdKind;

/// The change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    None,
    Open,
    Close,
    CloseRange,
    /// The result is a second number for a descriptor.
    Duplicate,
    /// The same, for some commands.
    Fcntl,
    Pipe,
    Socket,
    SocketPair,
    Connect,
    Bind,
    Listen,
    Accept,
    Send,
    Receive,
    /// The result is a new descriptor of a kind.
    Make(FdKind),
    ChangeDirectory,
    ChangeToDescriptor,
    Clone,
    Exec,
    SetUser,
    SetGroup,
    SetSession,
    SetProcessGroup,
    SetName,
    SetCapabilities,
    EndProcess,
    Container,
}

impl Action {
    pub(super) fn of(name: &str) -> Action {
        match name {
            "open" | "openat" | "openat2" | "creat" | "open_by_handle_at" => Action::Open,
            "close" => Action::Close,
            "close_range" => Action::CloseRange,
            "dup" | "dup2" | "dup3" => Action::Duplicate,
            "fcntl" => Action::Fcntl,
            "pipe" | "pipe2" => Action::Pipe,
            "socket" => Action::Socket,
            "socketpair" => Action::SocketPair,
            "connect" => Action::Connect,
            "bind" => Action::Bind,
            "listen" => Action::Listen,
            "accept" | "accept4" => Action::Accept,
            "send" | "sendto" | "sendmsg" | "sendmmsg" => Action::Send,
            "recv" | "recvfrom" | "recvmsg" | "recvmmsg" => Action::Receive,
            "eventfd" | "eventfd2" => Action::Make(FdKind::Event),
            "signalfd" | "signalfd4" => Action::Make(FdKind::Signal),
            "timerfd_create" => Action::Make(FdKind::Timer),
            "epoll_create" | "epoll_create1" => Action::Make(FdKind::EventPoll),
            "inotify_init" | "inotify_init1" => Action::Make(FdKind::Inotify),
            "memfd_create" => Action::Make(FdKind::Memfd),
            "userfaultfd" => Action::Make(FdKind::UserFault),
            "io_uring_setup" => Action::Make(FdKind::IoUring),
            "pidfd_open" | "pidfd_getfd" => Action::Make(FdKind::Pidfd),
            "chdir" => Action::ChangeDirectory,
            "fchdir" => Action::ChangeToDescriptor,
            "clone" | "clone3" | "fork" | "vfork" => Action::Clone,
            "execve" | "execveat" => Action::Exec,
            "setuid" | "setreuid" | "setresuid" => Action::SetUser,
            "setgid" | "setregid" | "setresgid" => Action::SetGroup,
            "setsid" => Action::SetSession,
            "setpgid" => Action::SetProcessGroup,
            "prctl" => Action::SetName,
            "capset" => Action::SetCapabilities,
            "procexit" => Action::EndProcess,
            "container" => Action::Container,
            _ => Action::None,
        }
    }

    /// Whether what the entry told may be needed.
    pub(super) fn needs_enter(self) -> bool {
        !matches!(
            self,
            Action::None | Action::Clone | Action::EndProcess | Action::Container
        )
    }
}

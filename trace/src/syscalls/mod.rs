//! The syscall table: x86_64 and i386 numbers, names as Falco prints them, arguments, and what has to be read through
//! pointers.
//!
//! One row declares one x86_64 syscall (see [`declare!`]); everything else about it is derived: the stored schema, the
//! reads the kernel program does ([`captures`]), its lane and the named sets. i386 numbers borrow the row of the same
//! name.

mod capture;
mod file;
mod i386;
mod io;
mod memory;
mod net;
mod process;
mod register;
mod sets;
mod system;

use std::sync::LazyLock;

pub use capture::{Capture, Length, captures};
pub use register::{Width, widths};
pub use sets::{SET_NAMES, set};

use crate::event::{EventType, Source};
use crate::schema::{EventSpec, FdUse, Param, ParamKind};

/// How important it is not to lose a syscall, and in which column family it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Process life, credentials, connections, kernel changes: has ring buffer room of its own, shed last.
    Priority,
    /// Looked at by rules: opens, changes to the file system, sockets.
    Hot,
    /// The mass: reads, writes, memory, time. Shed first.
    Bulk,
}

/// What a syscall is about; Falco's `evt.category`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is Falco's category of that name")]
pub enum Category {
    File,
    Net,
    Ipc,
    Memory,
    Process,
    Sleep,
    System,
    Signal,
    User,
    Time,
    IoRead,
    IoWrite,
    Wait,
    Scheduler,
    Other,
}

/// What lies behind a pointer argument and cannot be told from the parameters alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pointer {
    Nothing,
    /// The `SockAddr` parameter has its length in this argument.
    AddrLen(u8),
    /// The `SockAddr` parameter was written by the kernel, its length too, through this argument.
    AddrLenPtr(u8),
    /// `struct msghdr` at this argument: address and data.
    Message(u8),
    /// An array of `struct mmsghdr` at this argument: the address of each.
    Messages(u8),
    /// Two descriptors at this argument.
    Pair(u8),
    /// `struct open_how` at this argument.
    OpenHow(u8),
    /// `struct clone_args` at this argument.
    CloneArgs(u8),
    /// `struct io_uring_params` at this argument.
    RingParams(u8),
    /// The string parameter is one only when this argument has this value.
    TextIf(u8, u64),
}

/// Where the bytes lie that `--snaplen` keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Payload {
    Nothing,
    /// Buffer argument, length argument: the caller's data.
    Out(u8, u8),
    /// Buffer argument: the kernel's data, as long as the result.
    In(u8),
    /// `struct iovec` argument and its count.
    Vector(u8, u8),
}

/// One parameter as it is declared here.
struct Declared {
    name: &'static str,
    kind: ParamKind,
    /// How much of the register counts, where the kind alone does not say.
    width: Option<Width>,
    arg: Option<u8>,
}

/// One syscall as it is declared here.
struct Syscall {
    nr: u16,
    name: &'static str,
    category: Category,
    lane: Lane,
    fd: FdUse,
    params: &'static [Declared],
    pointer: Pointer,
    payload: Payload,
}

/// Declares rows: `number name category lane descriptor: parameter Kind argument, …; => pointer, payload`.
///
/// The descriptor is `_` (none), `ret` or an argument number; a parameter's argument is a number or `_` where its value
/// does not stand in a register.
macro_rules! declare {
    ($($nr:literal $name:ident $category:ident $lane:ident $fd:tt
        $(: $($param:ident $kind:ident $arg:tt),+)? $(=> $pointer:expr, $payload:expr)?;)*) => {
        pub(super) const TABLE: &[$crate::syscalls::Syscall] = &[$($crate::syscalls::Syscall {
            nr: $nr,
            name: stringify!($name),
            category: $crate::syscalls::Category::$category,
            lane: $crate::syscalls::Lane::$lane,
            fd: $crate::syscalls::declare!(@fd $fd),
            params: &[$($($crate::syscalls::Declared {
                name: stringify!($param),
                kind: $crate::syscalls::kinds::$kind,
                width: $crate::syscalls::declare!(@width $kind),
                arg: $crate::syscalls::declare!(@arg $arg),
            }),+)?],
            pointer: $crate::syscalls::declare!(@pointer $($pointer)?),
            payload: $crate::syscalls::declare!(@payload $($payload)?),
        }),*];
    };
    (@width Long) => { Some($crate::syscalls::Width::Word) };
    (@width U32) => { Some($crate::syscalls::Width::Unsigned32) };
    (@width Size32) => { Some($crate::syscalls::Width::Unsigned32) };
    (@width FanotifyMask) => { Some($crate::syscalls::Width::Word) };
    (@width KexecFile) => { Some($crate::syscalls::Width::Word) };
    (@width KexecLoad) => { Some($crate::syscalls::Width::Word) };
    (@width Keyring) => { Some($crate::syscalls::Width::Signed32) };
    (@width MemoryPolicyGet) => { Some($crate::syscalls::Width::Word) };
    (@width Mremap) => { Some($crate::syscalls::Width::Word) };
    (@width PerfEvent) => { Some($crate::syscalls::Width::Word) };
    (@width PkeyRights) => { Some($crate::syscalls::Width::Word) };
    (@width $kind:ident) => { None };
    (@fd _) => { $crate::schema::FdUse::None };
    (@fd ret) => { $crate::schema::FdUse::Ret };
    (@fd $arg:literal) => { $crate::schema::FdUse::Arg($arg) };
    (@arg _) => { None };
    (@arg $arg:literal) => { Some($arg) };
    (@pointer) => { $crate::syscalls::Pointer::Nothing };
    (@pointer $pointer:expr) => { $pointer };
    (@payload) => { $crate::syscalls::Payload::Nothing };
    (@payload $payload:expr) => { $payload };
}
use declare;

/// The kinds under the short names that rows use.
#[expect(non_upper_case_globals, reason = "rows read as `name Kind argument`")]
mod kinds {
    use crate::schema::NameSet as N;
    use crate::schema::ParamKind::{self, Enum, Flags};

    pub(super) use ParamKind::{Addr, Fd, Gid, Int, Mode, Path, Pid, Signal, Size, SockAddr, Str, Uid, Uint};

    pub(super) const AcceptFlags: ParamKind = Flags(N::AcceptFlags);
    pub(super) const Access: ParamKind = Flags(N::Access);
    pub(super) const AccessAt: ParamKind = Flags(N::AccessAt);
    pub(super) const ArchPrctl: ParamKind = Enum(N::ArchPrctl);
    pub(super) const At: ParamKind = Flags(N::At);
    pub(super) const BpfCmd: ParamKind = Enum(N::BpfCmd);
    pub(super) const Clock: ParamKind = Enum(N::Clock);
    pub(super) const Clone: ParamKind = Flags(N::Clone);
    pub(super) const CloseRange: ParamKind = Flags(N::CloseRange);
    pub(super) const EpollCreate: ParamKind = Flags(N::EpollCreate);
    pub(super) const EpollOp: ParamKind = Enum(N::EpollOp);
    pub(super) const Eventfd: ParamKind = Flags(N::Eventfd);
    pub(super) const Fadvise: ParamKind = Enum(N::Fadvise);
    pub(super) const FallocateMode: ParamKind = Flags(N::FallocateMode);
    pub(super) const Family: ParamKind = Enum(N::SocketFamily);
    pub(super) const FanotifyInit: ParamKind = Flags(N::FanotifyInit);
    pub(super) const FanotifyMark: ParamKind = Flags(N::FanotifyMark);
    pub(super) const FanotifyMask: ParamKind = Flags(N::FanotifyMask);
    pub(super) const Fcntl: ParamKind = Enum(N::Fcntl);
    pub(super) const Flock: ParamKind = Flags(N::Flock);
    pub(super) const FsConfig: ParamKind = Enum(N::FsConfig);
    pub(super) const FsMount: ParamKind = Flags(N::FsMount);
    pub(super) const FsOpen: ParamKind = Flags(N::FsOpen);
    pub(super) const FsPick: ParamKind = Flags(N::FsPick);
    pub(super) const Futex: ParamKind = Flags(N::Futex);
    pub(super) const Futex2: ParamKind = Flags(N::Futex2);
    pub(super) const GetRandom: ParamKind = Flags(N::GetRandom);
    pub(super) const HandleAt: ParamKind = Flags(N::HandleAt);
    pub(super) const InotifyMask: ParamKind = Flags(N::InotifyMask);
    pub(super) const IoPriority: ParamKind = Flags(N::IoPriority);
    pub(super) const IoPriorityWho: ParamKind = Enum(N::IoPriorityWho);
    pub(super) const IpcFlags: ParamKind = Flags(N::IpcFlags);
    /// A `long`; [`Int`] is an `int`.
    pub(super) const Long: ParamKind = ParamKind::Int;
    /// An `int` or `unsigned int` without a sign; [`Uint`] is as wide as a register.
    pub(super) const U32: ParamKind = ParamKind::Uint;
    /// A size of 32 bits; [`Size`] is a `size_t`.
    pub(super) const Size32: ParamKind = ParamKind::Size;
    pub(super) const Itimer: ParamKind = Enum(N::Itimer);
    pub(super) const Kcmp: ParamKind = Enum(N::Kcmp);
    pub(super) const KexecFile: ParamKind = Flags(N::KexecFile);
    pub(super) const KexecLoad: ParamKind = Flags(N::KexecLoad);
    pub(super) const Keyctl: ParamKind = Enum(N::Keyctl);
    pub(super) const Keyring: ParamKind = Enum(N::Keyring);
    pub(super) const LandlockCreate: ParamKind = Flags(N::LandlockCreate);
    pub(super) const LandlockRestrict: ParamKind = Flags(N::LandlockRestrict);
    pub(super) const LandlockRule: ParamKind = Enum(N::LandlockRule);
    pub(super) const ListMount: ParamKind = Flags(N::ListMount);
    pub(super) const LsmAttr: ParamKind = Enum(N::LsmAttr);
    pub(super) const LsmFlags: ParamKind = Flags(N::LsmFlags);
    pub(super) const Madvise: ParamKind = Enum(N::Madvise);
    pub(super) const Membarrier: ParamKind = Enum(N::Membarrier);
    pub(super) const MembarrierFlags: ParamKind = Flags(N::MembarrierFlags);
    pub(super) const Memfd: ParamKind = Flags(N::Memfd);
    pub(super) const MemoryPolicy: ParamKind = Flags(N::MemoryPolicy);
    pub(super) const MemoryPolicyGet: ParamKind = Flags(N::MemoryPolicyGet);
    pub(super) const MemoryPolicyMove: ParamKind = Flags(N::MemoryPolicyMove);
    pub(super) const MessageQueue: ParamKind = Flags(N::MessageQueue);
    pub(super) const Mlock2: ParamKind = Flags(N::Mlock2);
    pub(super) const MlockAll: ParamKind = Flags(N::MlockAll);
    pub(super) const MmapFlags: ParamKind = Flags(N::MmapFlags);
    pub(super) const ModeBits: ParamKind = Flags(N::ModeBits);
    pub(super) const ModuleInit: ParamKind = Flags(N::ModuleInit);
    pub(super) const Mount: ParamKind = Flags(N::Mount);
    pub(super) const MountAttr: ParamKind = Flags(N::MountAttr);
    pub(super) const MoveMount: ParamKind = Flags(N::MoveMount);
    pub(super) const Mremap: ParamKind = Flags(N::Mremap);
    pub(super) const Msg: ParamKind = Flags(N::MsgFlags);
    pub(super) const MsgCmd: ParamKind = Flags(N::MsgCmd);
    pub(super) const Msync: ParamKind = Flags(N::Msync);
    pub(super) const NewFd: ParamKind = Flags(N::Dup3);
    pub(super) const Open: ParamKind = Flags(N::Open);
    pub(super) const OpenTree: ParamKind = Flags(N::OpenTree);
    pub(super) const PerfEvent: ParamKind = Flags(N::PerfEvent);
    pub(super) const Personality: ParamKind = Flags(N::Personality);
    pub(super) const PidfdOpen: ParamKind = Flags(N::PidfdOpen);
    pub(super) const PidfdSignal: ParamKind = Flags(N::PidfdSignal);
    pub(super) const PkeyRights: ParamKind = Flags(N::PkeyRights);
    pub(super) const Prctl: ParamKind = Enum(N::Prctl);
    pub(super) const PriorityWho: ParamKind = Enum(N::PriorityWho);
    pub(super) const Prot: ParamKind = Flags(N::MmapProt);
    pub(super) const Ptrace: ParamKind = Enum(N::Ptrace);
    pub(super) const QuotaCmd: ParamKind = Flags(N::QuotaCmd);
    pub(super) const ReadWrite: ParamKind = Flags(N::ReadWrite);
    pub(super) const Reboot: ParamKind = Enum(N::Reboot);
    pub(super) const RebootMagic: ParamKind = Enum(N::RebootMagic);
    pub(super) const Rename: ParamKind = Flags(N::Rename);
    pub(super) const Resolve: ParamKind = Flags(N::Resolve);
    pub(super) const Resource: ParamKind = Enum(N::Resource);
    pub(super) const RingEnter: ParamKind = Flags(N::RingEnter);
    pub(super) const RingOp: ParamKind = Enum(N::RingOp);
    pub(super) const RingSetup: ParamKind = Flags(N::RingSetup);
    pub(super) const Rseq: ParamKind = Flags(N::Rseq);
    pub(super) const Rusage: ParamKind = Enum(N::Rusage);
    pub(super) const SchedPolicy: ParamKind = Flags(N::SchedPolicy);
    pub(super) const Seccomp: ParamKind = Enum(N::Seccomp);
    pub(super) const SeccompFlags: ParamKind = Flags(N::SeccompFlags);
    pub(super) const SemCmd: ParamKind = Flags(N::SemCmd);
    pub(super) const ShadowStack: ParamKind = Flags(N::ShadowStack);
    pub(super) const ShmAttach: ParamKind = Flags(N::ShmAttach);
    pub(super) const ShmCmd: ParamKind = Flags(N::ShmCmd);
    pub(super) const Shutdown: ParamKind = Enum(N::Shutdown);
    pub(super) const SignalMask: ParamKind = Enum(N::SignalMask);
    pub(super) const SockLevel: ParamKind = Enum(N::SockLevel);
    pub(super) const SockOption: ParamKind = Enum(N::SockOption);
    pub(super) const Splice: ParamKind = Flags(N::Splice);
    pub(super) const StatMount: ParamKind = Flags(N::StatMount);
    pub(super) const StatxMask: ParamKind = Flags(N::StatxMask);
    pub(super) const SwapOn: ParamKind = Flags(N::SwapOn);
    pub(super) const SyncFileRange: ParamKind = Flags(N::SyncFileRange);
    pub(super) const Syslog: ParamKind = Enum(N::Syslog);
    pub(super) const TimerfdFlags: ParamKind = Flags(N::TimerfdFlags);
    pub(super) const TimerFlags: ParamKind = Flags(N::TimerFlags);
    pub(super) const Umount: ParamKind = Flags(N::Umount);
    pub(super) const Unshare: ParamKind = Flags(N::Unshare);
    pub(super) const UserFault: ParamKind = Flags(N::UserFault);
    pub(super) const Wait: ParamKind = Flags(N::Wait);
    pub(super) const WaitId: ParamKind = Enum(N::WaitId);
    pub(super) const Whence: ParamKind = Enum(N::Whence);
    pub(super) const Xattr: ParamKind = Flags(N::Xattr);
}

/// The x86_64 rows, ascending by number.
fn table() -> &'static [&'static Syscall] {
    static TABLE: LazyLock<Vec<&'static Syscall>> = LazyLock::new(|| {
        let families = [
            file::TABLE,
            io::TABLE,
            net::TABLE,
            process::TABLE,
            memory::TABLE,
            system::TABLE,
        ];
        let mut rows: Vec<&Syscall> = families.into_iter().flatten().collect();
        rows.sort_by_key(|s| s.nr);
        rows
    });
    &TABLE
}

/// The x86_64 row of that name.
fn named(name: &str) -> Option<&'static Syscall> {
    table().iter().copied().find(|s| s.name == name)
}

/// The row that describes an event type: its own, or for an i386 number the x86_64 row of the same name.
fn row(kind: EventType) -> Option<&'static Syscall> {
    if kind.is_compat() {
        return i386::row(kind.0 & 0xFFF);
    }
    let rows = table();
    let at = rows.binary_search_by_key(&kind.0, |s| s.nr).ok()?;
    rows.get(at).copied()
}

/// `prctl` option whose argument is the thread's new name (`linux/prctl.h`).
const PR_SET_NAME: u64 = 15;

/// Every syscall of both tables, and of each the one for numbers that it has not.
pub(crate) fn declared() -> Vec<EventSpec> {
    let mut specs: Vec<EventSpec> = table()
        .iter()
        .map(|s| spec(EventType::syscall(u32::from(s.nr)), s.name, Some(s)))
        .collect();
    specs.push(unknown(EventType::UNKNOWN_SYSCALL));
    specs.extend(i386::names().map(|(nr, name)| {
        let id = EventType::compat_syscall(u32::from(nr));
        spec(id, name, row(id))
    }));
    specs.push(unknown(EventType::UNKNOWN_COMPAT_SYSCALL));
    specs
}

fn spec(id: EventType, name: &str, row: Option<&Syscall>) -> EventSpec {
    let params = row.map_or(&[][..], |s| s.params).iter().map(|p| Param {
        name: p.name.to_owned(),
        kind: p.kind,
        arg: p.arg,
    });
    EventSpec {
        id,
        name: name.to_owned(),
        source: Source::Syscall,
        hot: row.is_none_or(|s| s.lane != Lane::Bulk),
        fd: row.map_or(FdUse::None, |s| s.fd),
        has_ret: true,
        params: params.collect(),
    }
}

/// A number outside a table: the number itself and the six arguments as they came.
fn unknown(id: EventType) -> EventSpec {
    let mut params = vec![Param {
        name: "nr".to_owned(),
        kind: ParamKind::Uint,
        arg: None,
    }];
    params.extend((0..6).map(|i| Param {
        name: format!("arg{i}"),
        kind: ParamKind::Uint,
        arg: Some(i),
    }));
    EventSpec {
        id,
        name: "unknown".to_owned(),
        source: Source::Syscall,
        hot: true,
        fd: FdUse::None,
        has_ret: true,
        params,
    }
}

/// The name of a syscall in the kernel's tables. Falco's is another for some (`prlimit` for `prlimit64`).
pub(crate) fn kernel_name(kind: EventType) -> Option<&'static str> {
    if kind.is_compat() {
        return i386::kernel_name(kind.0 & 0xFFF);
    }
    match row(kind)?.name {
        "prlimit" => Some("prlimit64"),
        name => Some(name),
    }
}

/// Whether a call takes 16 bits of a user or group, all set meaning −1 (`linux/highuid.h`).
pub fn has_short_ids(kind: EventType) -> bool {
    kind.is_compat() && i386::has_short_ids(kind.0 & 0xFFF)
}

/// How important an event type is. Types that are not syscalls, and syscalls without a row, are never bulk.
pub fn lane(kind: EventType) -> Lane {
    match row(kind) {
        Some(s) => s.lane,
        None if kind.is_syscall() => Lane::Hot,
        None => Lane::Priority,
    }
}

/// Whether events of a type move bytes from or to their descriptor, and which way.
pub fn io(s: &EventSpec) -> Option<&'static str> {
    match s.name.as_str() {
        "read" | "pread" | "readv" | "preadv" | "preadv2" | "recv" | "recvfrom" | "recvmsg" | "recvmmsg" => {
            Some("read")
        }
        "write" | "pwrite" | "writev" | "pwritev" | "pwritev2" | "send" | "sendto" | "sendmsg" | "sendmmsg" => {
            Some("write")
        }
        _ => None,
    }
}

/// What a syscall is about; [`Category::Other`] for one without a row.
pub fn category(kind: EventType) -> Category {
    row(kind).map_or(Category::Other, |s| s.category)
}

#[cfg(test)]
mod tests;

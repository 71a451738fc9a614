//! Names of flag bits and enumerated values, as Falco prints them.
//!
//! Where Falco names a value, its names, their order and its omissions are kept, so that a rule's
//! `evt.arg.flags contains O_CREAT` means the same; numbers are the kernel's own. Sets that Falco does not have follow
//! the kernel's headers.

mod errno;
mod error_text;
mod file;
mod kernel;
mod memory;
mod net;
mod process;
mod time;

pub use errno::errno;
pub(crate) use error_text::error_text;
pub use process::{capabilities, capability, signal};

use crate::process::exe_flag;
use crate::schema::NameSet;

/// One name: it applies when the bits of `mask` have the value `value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// As Falco prints it.
    pub name: &'static str,
    /// The value.
    pub value: u64,
    /// The bits that count; all for an enumerated value.
    pub mask: u64,
}

/// Declares bits that are named one by one (`flags`), values (`values`), or fields of several bits (`fields`).
macro_rules! names {
    ($($(#[$doc:meta])* $table:ident flags: $($name:ident $value:expr),+;)+) => {
        $($(#[$doc])* pub(super) const $table: &[$crate::names::Name] = &[$($crate::names::Name {
            name: stringify!($name),
            value: $value,
            mask: $crate::names::mask($value),
        }),+];)+
    };
    ($($(#[$doc:meta])* $table:ident values: $($name:ident $value:expr),+;)+) => {
        $($(#[$doc])* pub(super) const $table: &[$crate::names::Name] = &[$($crate::names::Name {
            name: stringify!($name),
            value: $value,
            mask: u64::MAX,
        }),+];)+
    };
    ($($(#[$doc:meta])* $table:ident fields: $($name:ident $value:literal / $mask:expr),+;)+) => {
        $($(#[$doc])* pub(super) const $table: &[$crate::names::Name] = &[$($crate::names::Name {
            name: stringify!($name),
            value: $value,
            mask: $mask,
        }),+];)+
    };
}
use names;

/// A flag is its own mask; the name of 0 applies when nothing is set.
const fn mask(value: u64) -> u64 {
    if value == 0 { u64::MAX } else { value }
}

/// The names of a set, in the order in which they are printed.
pub fn table(set: NameSet) -> &'static [Name] {
    match set {
        NameSet::Unknown => &[],
        NameSet::Open => file::OPEN,
        NameSet::At => file::AT,
        NameSet::Access => file::ACCESS,
        NameSet::AccessAt => file::ACCESS_AT,
        NameSet::CloseRange => file::CLOSE_RANGE,
        NameSet::EpollCreate => file::EPOLL_CREATE,
        NameSet::EpollOp => file::EPOLL_OP,
        NameSet::Eventfd => file::EVENTFD,
        NameSet::Fcntl => file::FCNTL,
        NameSet::Flock => file::FLOCK,
        NameSet::FsConfig => file::FSCONFIG,
        NameSet::Dup3 => file::NEW_FD,
        NameSet::UserFault => file::USERFAULT,
        NameSet::FallocateMode => file::FALLOCATE,
        NameSet::Fadvise => file::FADVISE,
        NameSet::FanotifyInit => file::FANOTIFY_INIT,
        NameSet::FanotifyMark => file::FANOTIFY_MARK,
        NameSet::FanotifyMask => file::FANOTIFY_MASK,
        NameSet::FsMount => file::FSMOUNT,
        NameSet::FsOpen => file::FSOPEN,
        NameSet::FsPick => file::FSPICK,
        NameSet::InotifyMask => file::INOTIFY_MASK,
        NameSet::ListMount => file::LIST_MOUNT,
        NameSet::Memfd => memory::MEMFD,
        NameSet::ModeBits => file::MODE_BITS,
        NameSet::Mount => file::MOUNT,
        NameSet::MountAttr => file::MOUNT_ATTR,
        NameSet::MoveMount => file::MOVE_MOUNT,
        NameSet::OpenTree => file::OPEN_TREE,
        NameSet::QuotaCmd => file::QUOTA,
        NameSet::ReadWrite => file::READ_WRITE,
        NameSet::Rename => file::RENAME,
        NameSet::Resolve => file::RESOLVE,
        NameSet::Splice => file::SPLICE,
        NameSet::StatMount => file::STAT_MOUNT,
        NameSet::SwapOn => file::SWAP_ON,
        NameSet::SyncFileRange => file::SYNC_FILE_RANGE,
        NameSet::Umount => file::UMOUNT,
        NameSet::Whence => file::WHENCE,
        NameSet::Xattr => file::XATTR,
        NameSet::HandleAt => file::HANDLE_AT,
        NameSet::StatxMask => file::STATX_MASK,
        NameSet::MsgFlags => net::MSG,
        NameSet::Shutdown => net::SHUTDOWN,
        NameSet::SockLevel => net::LEVEL,
        NameSet::SockOption => net::OPTION,
        NameSet::SocketFamily => net::FAMILY,
        NameSet::SocketType => net::TYPE,
        NameSet::AcceptFlags => net::ACCEPT,
        NameSet::Madvise => memory::MADVISE,
        NameSet::Membarrier => memory::MEMBARRIER,
        NameSet::MembarrierFlags => memory::MEMBARRIER_FLAGS,
        NameSet::MemoryPolicy => memory::POLICY,
        NameSet::MemoryPolicyGet => memory::POLICY_GET,
        NameSet::MemoryPolicyMove => memory::POLICY_MOVE,
        NameSet::Mlock2 => memory::MLOCK2,
        NameSet::MlockAll => memory::MLOCKALL,
        NameSet::MmapFlags => memory::MAP,
        NameSet::MmapProt => memory::PROT,
        NameSet::Mremap => memory::MREMAP,
        NameSet::Msync => memory::MSYNC,
        NameSet::ShmAttach => memory::SHM_ATTACH,
        NameSet::PkeyRights => memory::PKEY_RIGHTS,
        NameSet::ShadowStack => memory::SHADOW_STACK,
        NameSet::ShmCmd => memory::SHM_CMD,
        NameSet::Clone => process::CLONE,
        NameSet::Futex => process::FUTEX,
        NameSet::Futex2 => process::FUTEX2,
        NameSet::LandlockCreate => process::LANDLOCK_CREATE,
        NameSet::LandlockRestrict => process::LANDLOCK_RESTRICT,
        NameSet::LandlockRule => process::LANDLOCK_RULE,
        NameSet::PidfdSignal => process::PIDFD_SIGNAL,
        NameSet::Prctl => process::PRCTL,
        NameSet::Ptrace => process::PTRACE,
        NameSet::Resource => process::RESOURCE,
        NameSet::Seccomp => process::SECCOMP,
        NameSet::SeccompFlags => process::SECCOMP_FLAGS,
        NameSet::Signal => process::SIGNAL,
        NameSet::SignalMask => process::SIGNAL_MASK,
        NameSet::Unshare => process::CLONE,
        NameSet::Wait => process::WAIT,
        NameSet::ArchPrctl => process::ARCH_PRCTL,
        NameSet::IoPriority => process::IO_PRIORITY,
        NameSet::IoPriorityWho => process::IO_PRIORITY_WHO,
        NameSet::Kcmp => process::KCMP,
        NameSet::Personality => process::PERSONALITY,
        NameSet::PidfdOpen => process::PIDFD_OPEN,
        NameSet::PriorityWho => process::PRIORITY_WHO,
        NameSet::Rseq => process::RSEQ,
        NameSet::Rusage => process::RUSAGE,
        NameSet::SchedPolicy => process::SCHED_POLICY,
        NameSet::WaitId => process::WAIT_ID,
        NameSet::BpfCmd => kernel::BPF,
        NameSet::GetRandom => kernel::GETRANDOM,
        NameSet::IpcFlags => kernel::IPC,
        NameSet::KexecFile => kernel::KEXEC_FILE,
        NameSet::KexecLoad => kernel::KEXEC_LOAD,
        NameSet::Keyctl => kernel::KEYCTL,
        NameSet::MessageQueue => kernel::MESSAGE_QUEUE,
        NameSet::ModuleInit => kernel::MODULE_INIT,
        NameSet::PerfEvent => kernel::PERF_EVENT,
        NameSet::Reboot => kernel::REBOOT,
        NameSet::RebootMagic => kernel::REBOOT_MAGIC,
        NameSet::RingEnter => kernel::RING_ENTER,
        NameSet::RingOp => kernel::RING_OP,
        NameSet::RingRequest => kernel::RING_REQUEST,
        NameSet::RingRequestFlags => kernel::RING_REQUEST_FLAGS,
        NameSet::RingSetup => kernel::RING_SETUP,
        NameSet::SemCmd => kernel::SEM,
        NameSet::Keyring => kernel::KEYRING,
        NameSet::LsmAttr => kernel::LSM_ATTR,
        NameSet::LsmFlags => kernel::LSM,
        NameSet::MsgCmd => kernel::MSG_CMD,
        NameSet::Syslog => kernel::SYSLOG,
        NameSet::GapClass => kernel::GAP_CLASS,
        NameSet::Clock => time::CLOCK,
        NameSet::Itimer => time::ITIMER,
        NameSet::TimerFlags => time::TIMER,
        NameSet::TimerfdFlags => time::TIMERFD,
    }
}

/// The names that apply to a value, joined by `|` as Falco does; bits without a name are left out.
///
/// ```
/// use ctrace_trace::{names, schema::NameSet};
/// assert_eq!(names::render(NameSet::Open, 0o2000001), "O_WRONLY|O_CLOEXEC");
/// ```
pub fn render(set: NameSet, value: i64) -> String {
    let mut out = String::new();
    names_of(set, value).for_each(|name| push(&mut out, name));
    out
}

/// Appends what [`render`] gives.
pub fn write(set: NameSet, value: i64, out: &mut Vec<u8>) {
    for (at, name) in names_of(set, value).enumerate() {
        if at > 0 {
            out.push(b'|');
        }
        out.extend_from_slice(name.as_bytes());
    }
}

fn names_of(set: NameSet, value: i64) -> impl Iterator<Item = &'static str> {
    let named = table(set).iter().filter(move |n| value as u64 & n.mask == n.value);
    named.map(|n| n.name)
}

/// Like [`render`], but bits without a name follow in hexadecimal, so that nothing is lost.
pub fn flags(set: NameSet, value: i64) -> String {
    let mut out = render(set, value);
    let named = |n: &&Name| n.value != 0 && value as u64 & n.mask == n.value;
    let covered = table(set).iter().filter(named).fold(0, |bits, n| bits | n.mask);
    let rest = value as u64 & !covered;
    if rest != 0 {
        push(&mut out, &format!("{rest:#x}"));
    }
    out
}

/// The name of an enumerated value; `None` for values without a name.
pub fn value(set: NameSet, value: i64) -> Option<&'static str> {
    let names = table(set).iter();
    names
        .into_iter()
        .find(|n| n.mask == u64::MAX && n.value as i64 == value)
        .map(|n| n.name)
}

/// The names of [`exe_flag`] bits, as `evt.arg.flags` of `execve` shows them.
pub fn exe_flags(flags: u8) -> String {
    let mut out = String::new();
    for (bit, name) in [
        (exe_flag::WRITABLE, "EXE_WRITABLE"),
        (exe_flag::UPPER_LAYER, "EXE_UPPER_LAYER"),
        (exe_flag::MEMFD, "EXE_FROM_MEMFD"),
        (exe_flag::LOWER_LAYER, "EXE_LOWER_LAYER"),
    ] {
        if flags & bit != 0 {
            push(&mut out, name);
        }
    }
    out
}

fn push(out: &mut String, name: &str) {
    if !out.is_empty() {
        out.push('|');
    }
    out.push_str(name);
}

#[cfg(test)]
mod tests;

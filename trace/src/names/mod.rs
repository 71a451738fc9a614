//! Names of flag bits and enumerated values, as Falco and strace print them. Values are those of the kernel's UAPI headers
//! for x86_64.

mod errno;
mod files;
mod kernel;
mod net;
mod process;
mod signal;

pub use errno::errno;
pub use signal::signal;

use crate::schema::NameSet;

/// Names with their values.
type Names = &'static [(i64, &'static str)];

/// How a set of flags is put together.
struct Flags {
    /// Bits that are not flags of their own but hold one of `values`.
    mask: i64,
    values: Names,
    bits: Names,
}

const fn bits(bits: Names) -> Flags {
    Flags {
        mask: 0,
        values: &[],
        bits,
    }
}

/// The name of an enumerated value; `None` for values without a name.
pub fn value(set: NameSet, value: i64) -> Option<&'static str> {
    // Signals and options may come with the upper half of the register set.
    let name = |names: Names| names.iter().find(|(v, _)| *v == value).map(|(_, n)| *n);
    match set {
        NameSet::SocketFamily => name(net::FAMILY),
        NameSet::Fcntl => name(files::FCNTL),
        NameSet::Whence => name(files::WHENCE),
        NameSet::Ptrace => name(process::PTRACE),
        NameSet::Prctl => name(process::PRCTL),
        NameSet::BpfCmd => name(kernel::BPF),
        NameSet::EpollOp => name(files::EPOLL_OP),
        NameSet::Signal => signal(value),
        NameSet::Resource => name(process::RESOURCE),
        NameSet::Seccomp => name(process::SECCOMP),
        NameSet::Keyctl => name(kernel::KEYCTL),
        NameSet::Shutdown => name(net::SHUTDOWN),
        NameSet::SockLevel => name(net::LEVEL),
        NameSet::SockOption => name(net::OPTION),
        NameSet::FsConfig => name(files::FS_CONFIG),
        NameSet::Madvise => name(kernel::MADVISE),
        NameSet::RingOp => name(kernel::RING_OP),
        NameSet::SemCmd => name(kernel::SEM_CMD),
        NameSet::GapClass => name(GAP_CLASS),
        _ => None,
    }
}

/// Flags as `A|B`; bits without a name follow in hexadecimal. Empty for a set of flags that is 0 and has no name for it.
pub fn flags(set: NameSet, value: i64) -> String {
    let Flags { mask, values, bits } = of(set);
    let mut parts: Vec<&str> = Vec::new();
    let mut rest = value;
    if let Some((_, name)) = values.iter().find(|(v, _)| *v == value & mask) {
        parts.push(name);
        rest &= !mask;
    }
    for (bit, name) in bits {
        if *bit != 0 && rest & bit == *bit {
            parts.push(name);
            rest &= !bit;
        }
    }
    let mut text = parts.join("|");
    if rest != 0 {
        let bar = if text.is_empty() { "" } else { "|" };
        text.push_str(&format!("{bar}{rest:#x}"));
    }
    if text.is_empty()
        && let Some((_, name)) = bits.iter().find(|(v, _)| *v == 0)
    {
        text.push_str(name);
    }
    text
}

fn of(set: NameSet) -> Flags {
    match set {
        NameSet::Open => files::OPEN,
        NameSet::At => bits(files::AT),
        NameSet::AccessAt => bits(files::ACCESS_AT),
        NameSet::Access => bits(files::ACCESS),
        NameSet::MmapProt => bits(kernel::PROT),
        NameSet::MmapFlags => kernel::MMAP,
        NameSet::Clone | NameSet::Unshare => bits(process::CLONE),
        NameSet::SocketType => net::TYPE,
        NameSet::MsgFlags => bits(net::MSG),
        NameSet::Mount => bits(files::MOUNT),
        NameSet::Umount => bits(files::UMOUNT),
        NameSet::Futex => kernel::FUTEX,
        NameSet::Memfd => bits(files::MEMFD),
        NameSet::Dup3 | NameSet::EpollCreate => bits(files::CLOEXEC),
        NameSet::Rename => bits(files::RENAME),
        NameSet::CloseRange => bits(files::CLOSE_RANGE),
        NameSet::Eventfd => bits(files::EVENTFD),
        NameSet::Flock => bits(files::FLOCK),
        NameSet::GetRandom => bits(kernel::GETRANDOM),
        NameSet::IpcFlags => bits(kernel::IPC),
        NameSet::MlockAll => bits(kernel::MLOCKALL),
        NameSet::ModeBits => bits(files::MODE),
        NameSet::ModuleInit => bits(kernel::MODULE_INIT),
        NameSet::Resolve => bits(files::RESOLVE),
        NameSet::RingEnter => bits(kernel::RING_ENTER),
        NameSet::RingSetup => bits(kernel::RING_SETUP),
        NameSet::Splice => bits(files::SPLICE),
        NameSet::Wait => bits(process::WAIT),
        NameSet::Xattr => bits(files::XATTR),
        _ => bits(&[]),
    }
}

/// Classes of losses in `gap` events.
const GAP_CLASS: Names = &[
    (0, "bulk"),
    (1, "priority"),
    (2, "kernel"),
    (3, "reader"),
    (4, "away"),
    (5, "malformed"),
    (6, "unwritten"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_as_the_kernel_headers_define_them() {
        assert_eq!(flags(NameSet::Open, 0o2000000), "O_RDONLY|O_CLOEXEC");
        assert_eq!(flags(NameSet::Open, 0o1101), "O_WRONLY|O_CREAT|O_TRUNC");
        assert_eq!(flags(NameSet::Open, 0o20200000), "O_RDONLY|O_TMPFILE");
        assert_eq!(
            flags(NameSet::SocketType, 0o2004001),
            "SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK"
        );
        assert_eq!(flags(NameSet::MmapProt, 5), "PROT_READ|PROT_EXEC");
        assert_eq!(flags(NameSet::MmapProt, 0), "PROT_NONE");
        assert_eq!(flags(NameSet::At, 0x10_0000), "0x100000");
        assert_eq!(flags(NameSet::Rename, 0), "");
    }

    #[test]
    fn values_with_and_without_names() {
        assert_eq!(value(NameSet::SocketFamily, 10), Some("AF_INET6"));
        assert_eq!(value(NameSet::Ptrace, 16), Some("PTRACE_ATTACH"));
        assert_eq!(value(NameSet::Ptrace, -1), None);
        assert_eq!(errno(2), Some("ENOENT"));
        assert_eq!(errno(133), Some("EHWPOISON"));
        assert_eq!(signal(9), Some("SIGKILL"));
    }
}

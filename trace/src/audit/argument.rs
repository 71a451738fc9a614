//! What the first four registers of a system call mean, by its name.

use super::field::{Value, fields};
use super::interpret::Names;
use super::option;
use super::packet;
use super::record::Record;
use super::record_type::RecordType;
use super::value::{capability, mode, short_mode, signal};
use crate::event::EventType;
use crate::names::{self, table};
use crate::schema::NameSet;
use crate::syscalls;

/// `AUDIT_ARCH_X86_64` and `AUDIT_ARCH_I386` (`linux/audit.h`).
const ARCH_X86_64: u32 = 0xC000_003E;
const ARCH_I386: u32 = 0x4000_0003;

/// The name of an architecture by its number in records (`linux/audit.h`).
pub(super) fn arch_name(arch: u32) -> Option<&'static str> {
    Some(match arch {
        ARCH_X86_64 => "x86_64",
        ARCH_I386 => "i386",
        0xC000_00B7 => "aarch64",
        0x4000_0028 => "arm",
        0x0000_0014 => "ppc",
        0x8000_0015 => "ppc64",
        0xC000_0015 => "ppc64le",
        0x0000_0016 => "s390",
        0x8000_0016 => "s390x",
        0xC000_00F3 => "riscv64",
        0x4000_00F3 => "riscv32",
        _ => return None,
    })
}

/// The name of a system call as the kernel has it; `None` for other architectures than x86 and unknown numbers.
pub fn syscall_name(arch: u32, number: u32) -> Option<&'static str> {
    let kind = match arch {
        ARCH_X86_64 => EventType::syscall(number),
        ARCH_I386 => EventType::compat_syscall(number),
        _ => return None,
    };
    syscalls::kernel_name(kind)
}

/// The call of a record: what the meaning of its registers depends on.
#[derive(Debug, Default)]
pub(super) struct Call<'a> {
    name: Option<&'a str>,
    number: Option<i64>,
    is_x86: bool,
    a0: u64,
    a1: u64,
}

impl<'a> Call<'a> {
    pub(super) fn of(record: &Record<'a>) -> Call<'a> {
        if !matches!(record.kind, RecordType::SYSCALL | RecordType::SECCOMP) {
            return Call::default();
        }
        let (mut call, mut arch) = (Call::default(), None);
        for field in fields(record.body) {
            match field.name {
                b"arch" => arch = field.value.hex_number(),
                b"syscall" => call.number = field.value.number(),
                b"a0" => call.a0 = field.value.hex_number().unwrap_or(0),
                b"a1" => call.a1 = field.value.hex_number().unwrap_or(0),
                b"a2" => break,
                _ => {}
            }
        }
        let arch = arch.and_then(|a| u32::try_from(a).ok());
        call.is_x86 = matches!(arch, Some(ARCH_X86_64 | ARCH_I386));
        let told = fields(record.enriched).find(|f| f.name == b"SYSCALL");
        let told = told.and_then(|f| std::str::from_utf8(f.value.text()).ok());
        let known = || syscall_name(arch?, u32::try_from(call.number?).ok()?);
        let name = told.filter(|n| !n.starts_with("unknown"));
        call.name = name.or_else(known);
        call
    }

    /// `openat`, `socketcall(connect)`, `unknown-syscall(999)`.
    pub(super) fn shown(&self) -> Option<String> {
        let Some(name) = self.name else {
            // Other machines have tables of their own.
            let number = self.number.filter(|_| self.is_x86)?;
            return Some(format!("unknown-syscall({number})"));
        };
        Some(match name {
            "socketcall" => part_of(name, option::socket_call(self.a0)),
            "ipc" => part_of(name, option::ipc_call(self.a0)),
            name => name.to_owned(),
        })
    }

    /// What a register holds. `None` where it is no hexadecimal number.
    pub(super) fn register(&self, number: u8, value: Value<'_>, names: &Names) -> Option<String> {
        let bits = value.hex_number()?;
        let name = self.name.unwrap_or_default();
        let meaning = match number {
            0 => self.first(name, bits, names),
            1 => self.second(name, bits, names),
            2 => self.third(name, bits, names),
            3 => fourth(name, bits),
            _ => None,
        };
        Some(meaning.unwrap_or_else(|| format!("0x{}", String::from_utf8_lossy(value.text()))))
    }

    fn first(&self, name: &str, bits: u64, names: &Names) -> Option<String> {
        let known = |name: Option<&'static str>| name.map(str::to_owned);
        match name {
            "rt_sigaction" => known(signal(bits.cast_signed())),
            "clone" | "unshare" => Some(clone_flags(bits)),
            "clock_settime" => known(option::clock(bits)),
            "personality" => personality(bits),
            "ptrace" => enumerated(NameSet::Ptrace, bits).map(|name| name.replace("USR", "USER")),
            "prctl" => enumerated(NameSet::Prctl, bits).or_else(|| known(option::process_option(bits))),
            "getrlimit" | "setrlimit" => enumerated(NameSet::Resource, bits),
            // The whole register, as `ausearch` shows it; of some i386 calls the kernel takes 16 bits.
            "setuid" | "setreuid" | "setresuid" | "setfsuid" => Some(names.user(low(bits))),
            "setgid" | "setregid" | "setresgid" | "setfsgid" => Some(names.group(low(bits))),
            "socket" => family(bits),
            "socketcall" => known(option::socket_call(bits)),
            "bpf" => enumerated(NameSet::BpfCmd, bits),
            "exit" | "exit_group" => known(match bits {
                0 => Some("EXIT_SUCCESS"),
                1 => Some("EXIT_FAILURE"),
                _ => None,
            }),
            "renameat" | "renameat2" | "readlinkat" | "mkdirat" | "mknodat" | "fchownat" | "futimesat" | "fchmodat"
            | "fchmodat2" | "faccessat" | "faccessat2" | "unlinkat" | "utimensat" | "linkat" | "newfstatat"
            | "openat" | "openat2" | "name_to_handle_at" => folder(bits),
            _ => None,
        }
    }

    fn second(&self, name: &str, bits: u64, names: &Names) -> Option<String> {
        let known = |name: Option<&'static str>| name.map(str::to_owned);
        match name {
            "fchmod" | "chmod" | "creat" | "mkdir" => Some(short_mode(low(bits))),
            "mknod" => Some(mode(low(bits))),
            "fcntl" | "fcntl64" => enumerated(NameSet::Fcntl, bits).or_else(|| known(option::fcntl64(bits))),
            "fsconfig" => enumerated(NameSet::FsConfig, bits),
            "fsopen" if bits == 1 => Some("FSOPEN_CLOEXEC".to_owned()),
            "fsmount" if bits == 1 => Some("FSMOUNT_CLOEXEC".to_owned()),
            "chown" | "chown32" | "setreuid" | "setresuid" => Some(names.user(low(bits))),
            "setregid" | "setresgid" => Some(names.group(low(bits))),
            "getsockopt" | "setsockopt" => known(option::level(bits)),
            "socket" => known(option::socket_type(bits)),
            "setns" => Some(clone_flags(bits)),
            "sched_setscheduler" => option::scheduler(bits),
            "mq_open" | "open" => Some(open_flags(bits)),
            "access" => Some(access_mode(bits)),
            "epoll_ctl" => enumerated(NameSet::EpollOp, bits),
            "kill" | "tkill" => known(signal(bits.cast_signed())),
            "prctl" => match enumerated(NameSet::Prctl, self.a0)?.as_str() {
                "PR_CAPBSET_READ" | "PR_CAPBSET_DROP" => capability(u32::try_from(bits).ok()?),
                "PR_SET_PDEATHSIG" => known(signal(bits.cast_signed())),
                _ => None,
            },
            "umount2" => Some(option::unmount_flags(bits)),
            "ioctl" => ioctl(bits),
            _ => None,
        }
    }

    fn third(&self, name: &str, bits: u64, names: &Names) -> Option<String> {
        const F_SETFD: u64 = 2;
        const F_SETOWN: u64 = 8;
        let creates = self.a1 & 0o100 != 0;
        let known = |name: Option<&'static str>| name.map(str::to_owned);
        match name {
            "fcntl" | "fcntl64" => match self.a1 {
                F_SETOWN => Some(names.user(low(bits))),
                F_SETFD if bits == 1 => Some("FD_CLOEXEC".to_owned()),
                _ => None,
            },
            "getsockopt" | "setsockopt" => known(option::of_level(self.a1, bits)),
            "openat" | "open_by_handle_at" => Some(open_flags(bits)),
            "open" | "mq_open" if creates => Some(short_mode(low(bits))),
            "fchmodat" | "fchmodat2" | "mkdirat" | "mknodat" => Some(short_mode(low(bits))),
            "faccessat" | "faccessat2" => Some(access_mode(bits)),
            "fsmount" => Some(option::mount_flags(bits)),
            "setresuid" => Some(names.user(low(bits))),
            "setresgid" => Some(names.group(low(bits))),
            "chown" | "fchown" | "lchown" | "chown32" | "fchown32" | "lchown32" | "fchownat" => {
                Some(names.group(low(bits)))
            }
            "socket" => known(packet::protocol(bits.cast_signed())),
            "shmget" => Some(option::shared_memory_flags(bits)),
            "sendmsg" | "recvmsg" => Some(flags(NameSet::MsgFlags, bits)),
            "mmap" => Some(protection(bits, 0xF)),
            "mprotect" => Some(protection(bits, 0x7)),
            "readlinkat" | "renameat" | "renameat2" | "linkat" | "move_mount" => folder(bits),
            "lseek" => enumerated(NameSet::Whence, bits),
            "tgkill" => known(signal(bits.cast_signed())),
            _ => None,
        }
    }
}

fn fourth(name: &str, bits: u64) -> Option<String> {
    match name {
        "mmap" => Some(map_flags(bits)),
        "mount" => Some(option::mount_flags(bits)),
        "recv" | "recvfrom" | "recvmmsg" | "send" | "sendto" | "sendmmsg" => Some(flags(NameSet::MsgFlags, bits)),
        "faccessat2" => Some(flags(NameSet::AccessAt, bits)),
        _ => None,
    }
}

fn part_of(name: &str, part: Option<&str>) -> String {
    part.map_or_else(|| name.to_owned(), |part| format!("{name}({part})"))
}

/// The kernel's 32 bits of a register that holds an id or a mode.
fn low(bits: u64) -> u32 {
    u32::try_from(bits & 0xFFFF_FFFF).unwrap_or_default()
}

fn enumerated(set: NameSet, bits: u64) -> Option<String> {
    names::value(set, bits.cast_signed()).map(str::to_owned)
}

fn family(bits: u64) -> Option<String> {
    // Two names have this number.
    if bits == 16 {
        return Some("netlink".to_owned());
    }
    let name = names::value(NameSet::SocketFamily, bits.cast_signed())?.to_ascii_lowercase();
    Some(name.trim_start_matches("af_").to_owned())
}

/// `AT_FDCWD`, in the 32 bits that count.
fn folder(bits: u64) -> Option<String> {
    (low(bits) == 0xFFFF_FF9C).then(|| "AT_FDCWD".to_owned())
}

/// Bits that are half of a flag of two, or the kernel's own.
const HALVES: &[(NameSet, u64, &str)] = &[
    (NameSet::Open, 0o4_000_000, "__O_SYNC"),
    (NameSet::Open, 0o20_000_000, "__O_TMPFILE"),
    (NameSet::MsgFlags, 0x2_0000, "MSG_SENDPAGE_NOTLAST"),
    (NameSet::MsgFlags, 0x8000_0000, "MSG_CMSG_COMPAT"),
];

/// The names of bits, the lowest first; the number where none has a name.
pub(super) fn flags(set: NameSet, bits: u64) -> String {
    let named = table(set).iter().filter(|n| n.value.is_power_of_two());
    let halves = HALVES
        .iter()
        .filter(|(of, ..)| *of == set)
        .map(|(_, bit, name)| (*bit, *name));
    let all = named.map(|n| (n.value, n.name)).chain(halves);
    let mut held: Vec<_> = all.filter(|(bit, _)| bits & bit != 0).collect();
    held.sort_unstable();
    match held.as_slice() {
        [] => format!("{bits:#x}"),
        held => held.iter().map(|(_, name)| *name).collect::<Vec<_>>().join("|"),
    }
}

/// Flags behind a name for none of some bits.
fn flags_or(set: NameSet, bits: u64, mask: u64, none: &str) -> String {
    let held = flags(set, bits);
    match (bits & mask == 0, held.starts_with("0x")) {
        (true, true) => none.to_owned(),
        (true, false) => format!("{none}|{held}"),
        (false, _) => held,
    }
}

pub(super) fn open_flags(bits: u64) -> String {
    // The large file flag is the kernel's own and says nothing.
    flags_or(NameSet::Open, bits & !0o100_000, 0o3, "O_RDONLY")
}

pub(super) fn map_flags(bits: u64) -> String {
    flags_or(NameSet::MmapFlags, bits, 0xF, "MAP_FILE")
}

fn protection(bits: u64, mask: u64) -> String {
    match bits & 0x7 {
        0 => "PROT_NONE".to_owned(),
        _ => flags(NameSet::MmapProt, bits & mask),
    }
}

fn access_mode(bits: u64) -> String {
    match bits & 0xF {
        0 => "F_OK".to_owned(),
        _ => flags(NameSet::Access, bits),
    }
}

/// The low byte is the signal at the end.
fn clone_flags(bits: u64) -> String {
    let held = flags(NameSet::Clone, bits & !0xFF);
    let end = signal((bits & 0xFF).cast_signed()).filter(|s| *s != "SIG0");
    match (held.starts_with("0x"), end) {
        (true, Some(end)) => end.to_owned(),
        (true, None) => format!("{bits:#x}"),
        (false, Some(end)) => format!("{held}|{end}"),
        (false, None) => held,
    }
}

/// `linux/personality.h`
pub(super) fn personality(bits: u64) -> Option<String> {
    const ADDR_NO_RANDOMIZE: u64 = 0x0004_0000;
    let name = match bits & 0xFF {
        0 => "PER_LINUX",
        6 => "PER_BSD",
        8 => "PER_LINUX32",
        0xc => "PER_RISCOS",
        0xf => "PER_OSF4",
        0x10 => "PER_HPUX",
        _ => return None,
    };
    let fixed = if bits & ADDR_NO_RANDOMIZE != 0 {
        "|~ADDR_NO_RANDOMIZE"
    } else {
        ""
    };
    Some(format!("{name}{fixed}"))
}

pub(super) fn ioctl(request: u64) -> Option<String> {
    option::ioctl(request).map(str::to_owned)
}

//! What kind of value a field of a record holds. The same names mean the same in all records but for a few.

use super::field::{Value, unhex};
use super::record_type::RecordType;

/// How a value is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As it stands.
    Plain,
    User,
    Group,
    Syscall,
    /// An operation of io_uring.
    RingOp,
    Arch,
    /// A result: negative is an error.
    Exit,
    /// Text that is in hexadecimal where it holds more than plain characters.
    Text,
    /// The same, with NUL between arguments.
    Arguments,
    /// Keys of rules, joined by a byte 1.
    Keys,
    /// Keystrokes in hexadecimal.
    Keystrokes,
    /// `auditctl -p`: bits of read, write, exec and attribute change.
    Permissions,
    /// Type and permissions of a file, octal.
    Mode,
    /// Permissions alone, octal.
    ShortMode,
    Address,
    /// 0 is no.
    Flag,
    /// `1`, `0` or a word.
    Success,
    Capability,
    CapabilitySet,
    /// A register of a system call, hexadecimal.
    Register(u8),
    Signal,
    /// A rule list.
    List,
    Session,
    Personality,
    /// What seccomp did.
    Seccomp,
    OpenFlags,
    MapFlags,
    Resolve,
    /// Of netfilter: family, hook, verdict, ICMP type, IP protocol, Ethernet protocol.
    Family,
    Hook,
    Verdict,
    IcmpType,
    Protocol,
    EtherType,
    Ioctl,
    /// What a fanotify listener answered.
    Fanotify,
    Errno,
}

impl Kind {
    /// The kind of a field.
    pub(super) fn of(record: RecordType, name: &[u8], value: Value<'_>) -> Kind {
        match (record, name) {
            (RecordType::EXECVE, [b'a', rest @ ..]) if rest.first().is_some_and(u8::is_ascii_digit) => {
                if name.ends_with(b"_len") {
                    Kind::Plain
                } else {
                    Kind::Text
                }
            }
            (RecordType::AVC, b"saddr") | (RecordType::NETFILTER_PKT, b"saddr") => Kind::Plain,
            (RecordType::MQ_OPEN, b"mode") => Kind::ShortMode,
            (RecordType::CRYPTO_KEY_USER, b"fp") => Kind::Plain,
            (RecordType::ADD_GROUP | RecordType::DEL_GROUP | RecordType::GRP_MGMT, b"id") => Kind::Group,
            // Programs write a name here as it is; one that looks like hexadecimal is taken for that.
            (_, b"acct") if !is_coded(value) => Kind::Plain,
            (RecordType::SYSCALL, [b'a', digit @ b'0'..=b'3']) => Kind::Register(digit - b'0'),
            (_, [b'a', b'0'..=b'3']) => Kind::Register(u8::MAX),
            _ => Kind::of_name(name),
        }
    }

    fn of_name(name: &[u8]) -> Kind {
        match name {
            b"auid" | b"uid" | b"euid" | b"suid" | b"fsuid" | b"ouid" | b"oauid" | b"old-auid" | b"iuid" | b"id"
            | b"inode_uid" | b"sauid" | b"obj_uid" => Kind::User,
            b"obj_gid" | b"gid" | b"egid" | b"sgid" | b"fsgid" | b"ogid" | b"igid" | b"inode_gid" | b"new_gid" => {
                Kind::Group
            }
            b"syscall" => Kind::Syscall,
            b"uring_op" => Kind::RingOp,
            b"arch" => Kind::Arch,
            b"exit" => Kind::Exit,
            b"path" | b"comm" | b"exe" | b"file" | b"name" | b"watch" | b"cwd" | b"cmd" | b"acct" | b"dir" | b"vm"
            | b"old-chardev" | b"new-chardev" | b"old-disk" | b"new-disk" | b"old-fs" | b"new-fs" | b"old-net"
            | b"new-net" | b"old-rng" | b"new-rng" | b"device" | b"cgroup" | b"apparmor" | b"operation"
            | b"denied_mask" | b"info" | b"profile" | b"requested_mask" | b"ocomm" | b"grp" | b"new_group"
            | b"invalid_context" | b"sw" | b"root_dir" => Kind::Text,
            b"proctitle" => Kind::Arguments,
            b"key" => Kind::Keys,
            b"data" => Kind::Keystrokes,
            b"perm" | b"perm_mask" => Kind::Permissions,
            b"mode" => Kind::Mode,
            b"saddr" => Kind::Address,
            b"prom" | b"old_prom" => Kind::Flag,
            b"res" | b"result" => Kind::Success,
            b"capability" => Kind::Capability,
            b"cap_pi" | b"cap_pe" | b"cap_pp" | b"cap_pa" | b"cap_fi" | b"cap_fp" | b"fp" | b"fi" | b"old_pp"
            | b"old_pi" | b"old_pe" | b"old_pa" | b"new_pp" | b"new_pi" | b"new_pe" | b"pp" | b"pi" | b"pe" | b"pa" => {
                Kind::CapabilitySet
            }
            b"sig" | b"sigev_signo" => Kind::Signal,
            b"list" => Kind::List,
            b"ses" => Kind::Session,
            b"per" => Kind::Personality,
            b"code" => Kind::Seccomp,
            b"oflag" => Kind::OpenFlags,
            b"flags" => Kind::MapFlags,
            b"resolve" => Kind::Resolve,
            b"family" => Kind::Family,
            b"hook" => Kind::Hook,
            b"action" => Kind::Verdict,
            b"icmptype" => Kind::IcmpType,
            b"proto" => Kind::Protocol,
            b"macproto" => Kind::EtherType,
            b"ioctlcmd" => Kind::Ioctl,
            b"resp" => Kind::Fanotify,
            b"errno" => Kind::Errno,
            _ => Kind::Plain,
        }
    }
}

fn is_coded(value: Value<'_>) -> bool {
    match value {
        Value::Quoted(_) => true,
        Value::Bare(text) => unhex(text).is_some(),
    }
}

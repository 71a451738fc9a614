//! What a value means, by its kind.

use std::borrow::Cow;

use super::address::Address;
use super::argument::{self, Call};
use super::field::{Value, unhex};
use super::interpret::Names;
use super::kind::Kind;
use super::{packet, tty};
use crate::names;
use crate::schema::NameSet;

/// A value in its surroundings.
pub(super) struct Read<'r, 'a> {
    pub(super) names: &'r Names,
    pub(super) call: &'r Call<'a>,
    pub(super) value: Value<'a>,
}

/// The meaning of a value; `None` where it has no other than itself.
pub(super) fn meaning<'a>(kind: Kind, read: &Read<'_, 'a>) -> Option<Cow<'a, [u8]>> {
    let text = match kind {
        Kind::Text => return Some(text(read.value)),
        Kind::Arguments => return Some(arguments(read.value)),
        Kind::Keystrokes => tty::keystrokes(read.value)?,
        Kind::Address => address(read.value.text())?,
        Kind::User | Kind::Group => id(kind, read)?,
        Kind::Syscall => read.call.shown()?,
        Kind::Arch => argument::arch_name(u32::try_from(read.value.hex_number()?).ok()?)?.to_owned(),
        Kind::Register(number) => read.call.register(number, read.value, read.names)?,
        Kind::Exit => exit(read.value.number()?)?,
        Kind::Success => success(read.value.text())?.to_owned(),
        Kind::Session => session(read.value.number()?)?.to_owned(),
        Kind::Flag => yes_or_no(read.value.number()? != 0).to_owned(),
        Kind::OpenFlags => argument::open_flags(leading_number(read.value)?),
        kind => number(kind, read.value)?,
    };
    Some(Cow::Owned(text.into_bytes()))
}

/// Kinds that are a number and nothing else.
fn number(kind: Kind, value: Value<'_>) -> Option<String> {
    let decimal = || value.number();
    let hexadecimal = || value.hex_number();
    let known = |name: Option<&'static str>| name.map(str::to_owned);
    match kind {
        Kind::Permissions => Some(permissions(decimal()?)),
        Kind::Mode => Some(mode(octal(value)?)),
        Kind::ShortMode => Some(short_mode(octal(value)?)),
        Kind::Capability => capability(u32::try_from(decimal()?).ok()?),
        Kind::CapabilitySet => Some(capability_set(hexadecimal()?)),
        Kind::Signal => known(signal(decimal()?)),
        Kind::List => known(list(decimal()?)),
        Kind::RingOp => names::value(NameSet::RingRequest, decimal()?).map(ring_op),
        Kind::Personality => argument::personality(hexadecimal()?),
        Kind::Seccomp => known(seccomp(hexadecimal()?)),
        Kind::MapFlags => Some(argument::map_flags(hexadecimal()?)),
        Kind::Resolve => Some(argument::flags(NameSet::Resolve, hexadecimal()?)),
        Kind::Ioctl => argument::ioctl(hexadecimal()?),
        Kind::Fanotify => known(match decimal()? {
            1 => Some("allow"),
            2 => Some("deny"),
            _ => None,
        }),
        Kind::Errno => exit(-decimal()?),
        Kind::Family => known(packet::family(decimal()?)),
        Kind::Hook => known(packet::hook(hexadecimal()?)),
        Kind::Verdict => known(packet::verdict(hexadecimal()?)),
        Kind::IcmpType => known(packet::icmp_type(decimal()?)),
        Kind::Protocol => known(packet::protocol(decimal()?)),
        Kind::EtherType => known(packet::ether_type(hexadecimal()?)),
        _ => None,
    }
}

fn octal(value: Value<'_>) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(value.text()).ok()?, 8).ok()
}

/// As C reads a number: `0x1F`, `017`, `15`.
fn leading_number(value: Value<'_>) -> Option<u64> {
    let text = std::str::from_utf8(value.text()).ok()?;
    match (text.strip_prefix("0x"), text.strip_prefix('0')) {
        (Some(digits), _) => u64::from_str_radix(digits, 16).ok(),
        (None, Some(digits)) if !digits.is_empty() => u64::from_str_radix(digits, 8).ok(),
        _ => text.parse().ok(),
    }
}

/// Text ends at its first NUL; one at the beginning stands before the name of an abstract socket.
pub(super) fn text(value: Value<'_>) -> Cow<'_, [u8]> {
    let decoded = match value {
        Value::Bare([b'0', b'0', rest @ ..]) if !rest.is_empty() => Value::Bare(rest).decoded(),
        value => value.decoded(),
    };
    match (memchr::memchr(0, &decoded), decoded) {
        (None, decoded) => decoded,
        (Some(end), Cow::Borrowed(text)) => Cow::Borrowed(text.get(..end).unwrap_or(text)),
        (Some(end), Cow::Owned(mut text)) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

fn arguments(value: Value<'_>) -> Cow<'_, [u8]> {
    let mut arguments = value.decoded().into_owned();
    if let Value::Quoted(text) = value {
        return Cow::Borrowed(text);
    }
    while arguments.last() == Some(&0) {
        arguments.pop();
    }
    for byte in &mut arguments {
        if *byte == 0 {
            *byte = b' ';
        }
    }
    Cow::Owned(arguments)
}

fn id(kind: Kind, read: &Read<'_, '_>) -> Option<String> {
    let number = read.value.number()?;
    let id = if number == -1 {
        u32::MAX
    } else {
        u32::try_from(number).ok()?
    };
    Some(if kind == Kind::User {
        read.names.user(id)
    } else {
        read.names.group(id)
    })
}

fn exit(result: i64) -> Option<String> {
    let error = result.checked_neg().filter(|e| *e > 0)?;
    let name = names::errno(error)?;
    let text = names::error_text(error).map_or_else(|| format!("Unknown error {error}"), str::to_owned);
    Some(format!("{name}({text})"))
}

fn success(text: &[u8]) -> Option<&'static str> {
    match text {
        b"1" => Some("yes"),
        b"0" => Some("no"),
        [first, ..] if first.is_ascii_digit() => Some("unset"),
        _ => None,
    }
}

fn session(number: i64) -> Option<&'static str> {
    (number == i64::from(u32::MAX) || number == -1).then_some("unset")
}

fn yes_or_no(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// The kernel takes none for all.
fn permissions(bits: i64) -> String {
    let bits = if bits == 0 { 0xF } else { bits };
    let named = [(4, "read"), (2, "write"), (1, "exec"), (8, "attr")];
    let set = named.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name);
    set.collect::<Vec<_>>().join(",")
}

/// `file,suid,755`
pub(super) fn mode(mode: u32) -> String {
    let kind = match mode >> 12 & 0xF {
        0o01 => "fifo",
        0o02 => "character",
        0o04 => "dir",
        0o06 => "block",
        0o10 => "file",
        0o12 => "link",
        0o14 => "socket",
        other => return format!("{other:03o}{},{:03o}", special(mode, ","), mode & 0o777),
    };
    format!("{kind}{},{:03o}", special(mode, ","), mode & 0o777)
}

/// `suid,0755`
pub(super) fn short_mode(mode: u32) -> String {
    let special = special(mode, ",");
    match special.strip_prefix(',') {
        Some(special) => format!("{special},0{:03o}", mode & 0o777),
        None => format!("0{:03o}", mode & 0o777),
    }
}

fn special(mode: u32, before: &str) -> String {
    let bits = [(0o4000, "suid"), (0o2000, "sgid"), (0o1000, "sticky")];
    let set = bits.iter().filter(|(bit, _)| mode & bit != 0);
    set.map(|(_, name)| format!("{before}{name}")).collect()
}

/// Without `CAP_`, in small letters.
pub(super) fn capability(number: u32) -> Option<String> {
    let set = 1_u64.checked_shl(number)?;
    let name = names::capabilities(set);
    Some(name.strip_prefix("CAP_")?.to_ascii_lowercase())
}

fn capability_set(set: u64) -> String {
    let held: Vec<String> = (0..64).filter(|n| set >> n & 1 == 1).filter_map(capability).collect();
    if held.is_empty() {
        "none".to_owned()
    } else {
        held.join(",")
    }
}

pub(super) fn signal(number: i64) -> Option<&'static str> {
    if number == 0 {
        Some("SIG0")
    } else {
        names::signal(number)
    }
}

/// Rule lists (`linux/audit.h`).
fn list(number: i64) -> Option<&'static str> {
    Some(match number {
        0 => "user",
        1 => "task",
        4 => "exit",
        5 => "exclude",
        6 => "filesystem",
        7 => "io_uring",
        _ => return None,
    })
}

/// What a filter returned, without its data (`linux/seccomp.h`).
fn seccomp(code: u64) -> Option<&'static str> {
    Some(match code & 0xFFFF_0000 {
        0x8000_0000 => "kill-process",
        0x0000_0000 => "kill-thread",
        0x0003_0000 => "trap",
        0x0005_0000 => "errno",
        0x7fc0_0000 => "user-notify",
        0x7ff0_0000 => "trace",
        0x7ffc_0000 => "log",
        0x7fff_0000 => "allow",
        _ => return None,
    })
}

fn ring_op(name: &str) -> String {
    name.trim_start_matches("IORING_OP_").to_ascii_lowercase()
}

/// `{ saddr_fam=inet laddr=127.0.0.1 lport=80 }`
fn address(hex: &[u8]) -> Option<String> {
    let bytes = unhex(hex)?;
    Some(match Address::parse(hex)? {
        Address::Inet(address) => {
            let family = if address.is_ipv4() { "inet" } else { "inet6" };
            format!(
                "{{ saddr_fam={family} laddr={} lport={} }}",
                address.ip(),
                address.port()
            )
        }
        Address::Unix(path) if bytes.len() < 4 => {
            let what = if path.is_empty() {
                "unnamed socket"
            } else {
                "sockaddr len too short"
            };
            format!("{{ saddr_fam=local {what} }}")
        }
        Address::Unix(path) => {
            let path = String::from_utf8_lossy(&path).into_owned();
            format!("{{ saddr_fam=local path={} }}", path.strip_prefix('@').unwrap_or(&path))
        }
        Address::Netlink { pid } => format!("{{ saddr_fam=netlink nlnk-fam=16 nlnk-pid={pid} }}"),
        Address::Other { family } => {
            let name = names::value(NameSet::SocketFamily, family.into())?;
            let name = name.trim_start_matches("AF_").to_ascii_lowercase();
            format!("{{ saddr_fam={name} (unsupported) }}")
        }
    })
}

//! How strace's text stands to what ctrace records: where each parameter is printed, and every difference that is meant.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use ctrace_trace::fd::FdKind;
use ctrace_trace::schema::{EventSpec, FdUse, NameSet, Param, ParamKind};

use crate::seen::{Seen, SeenFd, Value};
use crate::strace::{self, Call, Ret};

/// Calls that are recorded although they do not return.
pub(crate) fn never_returns(call: &Call) -> bool {
    matches!(&*call.name, "exit" | "exit_group")
}

/// Calls that give a descriptor of the file they name.
pub(crate) fn opens(name: &str) -> bool {
    name.starts_with("open") || name == "creat"
}

/// Calls that are newer than strace: it prints their number and registers.
pub(crate) fn is_newer(call: &Call, seen: &Seen) -> bool {
    call.name == "unknown" && number_of(call) == Some(i64::from(seen.spec.id.0))
}

/// Whether a call is recorded by this name: what the table of 32-bit calls lacks is another call of it, with zeros for what
/// the caller did not give.
pub(crate) fn is_named(call: &Call, seen: &Seen) -> bool {
    let other = match &*call.name {
        "accept" => "accept4",
        "send" => "sendto",
        "recv" => "recvfrom",
        // Which of the two it was is gone with the registers.
        "sigreturn" => "rt_sigreturn",
        _ => "",
    };
    seen.name() == call.name || seen.spec.id.is_compat() && seen.name() == other
}

fn number_of(call: &Call) -> Option<i64> {
    strace::number(&format!("0x{}", call.text.split(['x', '(']).nth(1)?))
}

/// Compares the low halves of registers that hold numbers.
pub(crate) fn registers(call: &Call, seen: &Seen, found: &mut Vec<String>) {
    for param in &seen.spec.params {
        let theirs = param.arg.and_then(|at| strace::number(call.arg(usize::from(at))?));
        if let (Some(theirs), Some(Value::Num(ours))) = (theirs, seen.args.get(&param.name))
            && theirs as u32 != *ours as u32
        {
            found.push(format!("{}: {theirs:#x} but {ours:#x}", param.name));
        }
    }
}

/// Where strace prints a parameter: `None` where it does not, `Some(None)` where it says that there is none.
pub(crate) fn argument(call: &Call, param: &Param) -> Option<Option<String>> {
    let arg = |at: usize| call.arg(at).map(str::to_owned);
    let of_struct = |at: usize, field: &str| Some(call.arg(at).and_then(|a| strace::field(a, field)));
    let entry = |at: usize, nth: usize| Some(call.arg(at).and_then(strace::list).and_then(|l| l.get(nth).cloned()));
    match (&*call.name, &*param.name) {
        // Numbers of the file that strace does not print: the family tests look at them.
        (_, "dev" | "ino") if param.arg.is_none() => None,
        ("clone", "flags") => call
            .args
            .iter()
            .find_map(|a| a.strip_prefix("flags="))
            .map(|a| Some(a.to_owned())),
        // clone_args.exit_signal stands beside the flags.
        // What the kernel did not look at, because the size is wrong, is recorded all the same.
        ("clone3", "flags") if !call.args[0].starts_with('{') => None,
        ("clone3", "flags") => of_struct(0, "flags"),
        // When a program has started what its caller wrote is gone: the kernel's own name of the file tells what it was
        // (`/dev/fd/3`, `/dev/fd/3/true`).
        ("execveat", "filename") if call.succeeded() => {
            let (dir, name) = (strace::number(call.arg(0)?)?, strace::string(call.arg(1)?)?);
            let name = String::from_utf8(name).ok()?;
            Some(Some(match name.starts_with('/') {
                true => format!("\"{name}\""),
                false => format!("\"/dev/fd/{dir}/{name}\"").replace("/\"", "\""),
            }))
        }
        // The image has those of a program that started.
        ("execve" | "execveat", "exe" | "args") if call.succeeded() => Some(None),
        ("execve", "exe" | "args") => Some(given(call.arg(1)?, &param.name)),
        ("execveat", "exe" | "args") => Some(given(call.arg(2)?, &param.name)),
        // A mode of 0 is left out.
        ("openat2", "mode") => match call.arg(2).and_then(|a| strace::field(a, "mode")) {
            Some(mode) => Some(Some(mode)),
            None if call.arg(2)?.starts_with('{') => Some(Some("0".to_owned())),
            None => Some(None),
        },
        ("openat2", field @ ("flags" | "resolve")) => of_struct(2, field),
        ("io_uring_setup", "flags") => of_struct(1, "flags"),
        ("pipe" | "pipe2", "fd1") => entry(0, 0),
        ("pipe" | "pipe2", "fd2") => entry(0, 1),
        ("socketpair", "fd1") => entry(3, 0),
        ("socketpair", "fd2") => entry(3, 1),
        ("sendmsg" | "recvmsg", "addr") => of_struct(1, "msg_name"),
        ("sendmmsg" | "recvmmsg", "addr") => {
            let first = call.arg(1).and_then(strace::list)?.first().cloned()?;
            Some(strace::field(&first, "msg_hdr").and_then(|h| strace::field(&h, "msg_name")))
        }
        ("sendmmsg" | "recvmmsg", "others") => {
            let messages = call.arg(1).and_then(strace::list)?;
            let name = |m: &String| strace::field(m, "msg_hdr").and_then(|h| strace::field(&h, "msg_name"));
            let others: Vec<_> = messages.iter().skip(1).filter_map(name).collect();
            Some((!others.is_empty()).then(|| others.join(", ")))
        }
        // Recorded as `accept4`.
        ("accept", "flags") => None,
        ("unknown", "nr") => Some(number_of(call).map(|n| n.to_string())),
        // Not a string unless the option says so; strace shows the number, or nothing where the option takes none.
        ("prctl", "arg2_str") if call.args[0].contains("PR_GET_NAME") => Some(None),
        ("prctl", "arg2_str") => Some(arg(1).filter(|a| a.starts_with('"'))),
        ("prctl", "arg2_int") if arg(1).is_none_or(|a| a.starts_with('"')) => None,
        // strace leaves out arguments that the operation does not take; the registers are recorded as they are.
        ("fcntl" | "keyctl" | "ioctl" | "semctl" | "syslog" | "mremap" | "membarrier" | "ptrace" | "kcmp", _)
            if call.args.len() <= usize::from(param.arg?) =>
        {
            None
        }
        // The position takes two registers and is printed as one number; so are all that take two of a 32-bit program.
        ("preadv2" | "pwritev2", "flags") => Some(arg(4)),
        ("fadvise64" | "fadvise64_64", "advice") | ("sync_file_range", "flags") => Some(arg(3)),
        ("fanotify_mark", "dirfd") => Some(arg(3)),
        ("fanotify_mark", "path") => Some(arg(4)),
        // A structure or its flags rather than the pointer.
        ("ioctl", "argument") if arg(2).is_some_and(|a| a.starts_with(['{', '['])) => None,
        // Types of file systems are no strings where the flags say so; the caller's is recorded all the same.
        ("mount", "type") if arg(2).is_some_and(|a| a.starts_with("0x")) => None,
        ("fcntl", "arg") if arg(2).is_some_and(|a| a.starts_with(['{', '['])) => None,
        ("ptrace", "addr" | "data") => None,
        ("mknod" | "mknodat", "dev") if arg(usize::from(param.arg?)).is_none() => None,
        ("keyctl", _) if arg(usize::from(param.arg?)).is_some_and(|a| a.starts_with(['"', '[', '{'])) => None,
        _ => {
            let at = usize::from(param.arg?);
            let text = arg(at);
            Some(text)
        }
    }
}

/// The first of the arguments of an exec, or the others with a NUL behind each; of many and long ones as much as is kept.
fn given(argv: &str, wanted: &str) -> Option<String> {
    const MANY: usize = 128;
    const LONG: usize = 4095;
    let list = strace::list(argv)?;
    let mut given: Vec<Vec<u8>> = list.iter().filter_map(|one| strace::string(one)).collect();
    let is_cut = given.len() >= MANY;
    given.truncate(MANY);
    for long in given.iter_mut().filter(|one| one.len() > LONG) {
        long.splice(LONG.., *b"...");
    }
    let mut text = match (wanted, given.split_first()) {
        (_, None) => Vec::new(),
        ("exe", Some((program, _))) => program.clone(),
        (_, Some((_, others))) => others.iter().flat_map(|one| [one, &b"\0"[..]].concat()).collect(),
    };
    if is_cut && wanted == "args" {
        text.extend(b"...");
    }
    let escaped: String = text.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    Some(format!("\"{escaped}\""))
}

/// The argument with the directory that a path starts from.
pub(crate) fn directory(spec: &EventSpec, param: &Param) -> Option<usize> {
    let before = param.arg?.checked_sub(1)?;
    let dir = spec.params.iter().find(|p| p.arg == Some(before))?;
    (dir.kind == ParamKind::Fd && dir.name != "fd").then_some(usize::from(before))
}

/// What a path begins with that no directory leads to; strace leaves it out.
const UNREACHABLE: &str = "(unreachable)";

/// Paths of which the letters say less than the kernel.
pub(crate) fn resolves_otherwise(call: &Call, expected: &str, ours: &str) -> bool {
    match &*call.name {
        // The file that was executed, without symbolic links.
        "execve" | "execveat" if call.succeeded() => {
            // Through `execveat`, and through a link that is gone by now, scenes start this one.
            [expected, "/bin/true"]
                .iter()
                .any(|p| std::fs::canonicalize(p).is_ok_and(|real| real.to_str() == Some(ours)))
                || expected.starts_with("/dev/fd/") && ours.ends_with("/process/script")
        }
        // Namespaces: strace shows the kernel's name of the object, ctrace the caller's path of it.
        "open" if expected.contains(":[") => ours.starts_with("/proc/"),
        // With `AT_SYMLINK_FOLLOW` it is the file that gets another name.
        "linkat" if call.succeeded() => ours == expected.replace("/d/soft", "/f"),
        // What is mounted nowhere.
        _ if ours.strip_prefix(UNREACHABLE) == Some(expected) => true,
        // Where there is no directory, nothing is put before the path.
        _ if call.ret == Ret::Error("EBADF".to_owned()) => expected.ends_with(ours) && !ours.starts_with('/'),
        _ => false,
    }
}

/// Whether a printed string is the recorded one. strace cuts what the kernel cuts (the name of a thread).
pub(crate) fn same_text(theirs: &str, text: &[u8], ours: Option<&Value>) -> bool {
    match ours {
        Some(Value::Str(ours)) if theirs.ends_with("...") => ours.starts_with(text),
        Some(Value::Str(ours)) => ours == text,
        _ => false,
    }
}

/// Whether a printed number is the recorded one.
pub(crate) fn same_number(kind: ParamKind, theirs: &str, ours: i64, half: bool) -> bool {
    let theirs = theirs
        .strip_prefix("htons(")
        .map_or(theirs, |inner| inner.trim_end_matches(')'));
    let Some(theirs) = strace::number(theirs) else {
        return false;
    };
    match kind {
        // "As it is" is -1 to strace.
        ParamKind::Uid | ParamKind::Gid => theirs as u32 == ours as u32,
        _ if half => theirs as u32 == ours as u32,
        _ => theirs == ours,
    }
}

/// Names as a set, spelled as Falco spells them.
pub(crate) fn names(set: NameSet, names: &[String]) -> BTreeSet<String> {
    let known = |n: &&String| !n.is_empty() && !n.contains("???") && !n.contains("<<") && !is_mode(n);
    let mut spelled: BTreeSet<String> = names.iter().filter(known).flat_map(|n| alternatives(set, n)).collect();
    // Bits that are part of others are named too.
    if spelled.contains("O_SYNC") {
        spelled.insert("O_DSYNC".to_owned());
    }
    if spelled.contains("O_TMPFILE") {
        spelled.insert("O_DIRECTORY".to_owned());
    }
    // Permissions are a number to strace.
    spelled.retain(|n| set != NameSet::ModeBits || n.starts_with("S_IF"));
    spelled
}

fn is_mode(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_digit())
}

fn alternatives(set: NameSet, name: &str) -> Vec<String> {
    let one = |n: &str| vec![n.to_owned()];
    match set {
        NameSet::Mount => one(name.strip_prefix("MS_").unwrap_or(name)),
        NameSet::Umount => one(name
            .strip_prefix("MNT_")
            .or(name.strip_prefix("UMOUNT_"))
            .unwrap_or(name)),
        // Falco names the flag beside the command.
        NameSet::Futex => match name.strip_suffix("_PRIVATE") {
            Some(command) => vec![command.to_owned(), "FUTEX_PRIVATE_FLAG".to_owned()],
            None => one(name),
        },
        // Both names of a number, as Falco does.
        NameSet::SocketFamily => match name {
            "AF_UNIX" => vec!["AF_LOCAL".to_owned(), name.to_owned()],
            "AF_NETLINK" => vec!["AF_ROUTE".to_owned(), name.to_owned()],
            other => one(other),
        },
        // The options of protocols are numbers here.
        NameSet::SockOption if !name.starts_with("SO_") => Vec::new(),
        // The signal that tells the parent is beside the flags.
        NameSet::Clone if name.starts_with("SIG") => Vec::new(),
        NameSet::Wait if name == "WSTOPPED" => one("WUNTRACED"),
        // `QCMD(Q_QUOTAON, USRQUOTA)`: Falco's command is the first alone.
        NameSet::QuotaCmd => {
            let command = name.strip_prefix("QCMD(").and_then(|rest| rest.split_once(','));
            one(command.map_or(name, |(command, _)| command))
        }
        // `IOPRIO_PRIO_VALUE(0x2 /* IOPRIO_CLASS_BE */, 4)`: the level is a number.
        NameSet::IoPriority => {
            let class = name.split_once("/* ").and_then(|(_, rest)| rest.split_once(" */"));
            one(class.map_or(name, |(class, _)| class))
        }
        // Names of several bits.
        NameSet::StatxMask if matches!(name, "STATX_ALL" | "STATX_BASIC_STATS") => {
            let bits = if name == "STATX_ALL" { 0xFFF } else { 0x7FF };
            let names = ctrace_trace::names::render(set, bits);
            names.split('|').map(str::to_owned).collect()
        }
        // Falco has no name for the absence of flags.
        NameSet::At if name == "AT_STATX_SYNC_AS_STAT" => Vec::new(),
        // The flags of new descriptors are those of open, whoever makes them.
        NameSet::Dup3 => {
            let flag = ["SFD_", "TFD_", "IN_"].iter().find_map(|p| name.strip_prefix(p));
            flag.map_or_else(|| one(name), |flag| vec![format!("O_{flag}")])
        }
        _ => one(name),
    }
}

/// A socket address as ctrace writes it.
pub(crate) fn address(text: &str) -> Option<String> {
    let family = strace::field(text, "sa_family")?;
    let inner = |field: &str, function: &str| {
        let field = strace::field(text, field)?;
        let (_, rest) = field.split_once(function)?;
        Some(rest.split_once(')')?.0.to_owned())
    };
    Some(match strace::names(&family).first()?.as_str() {
        "AF_INET" => {
            let ip = inner("sin_addr", "inet_addr(")?;
            format!("{}:{}", ip.trim_matches('"'), inner("sin_port", "htons(")?)
        }
        "AF_INET6" => {
            let ip = inner("sin6_addr", "inet_pton(AF_INET6, ")?;
            let ip: IpAddr = ip.trim_matches('"').parse().unwrap();
            let port: u16 = inner("sin6_port", "htons(")?.parse().unwrap();
            // An address of the fourth version in the sixth is shown as one of the fourth.
            SocketAddr::new(ip.to_canonical(), port).to_string()
        }
        "AF_UNIX" => match strace::field(text, "sun_path") {
            Some(path) => match path.strip_prefix('@') {
                Some(name) => format!("@{}", String::from_utf8(strace::string(name)?).ok()?),
                None => String::from_utf8(strace::string(&path)?).ok()?,
            },
            None => return None,
        },
        "AF_NETLINK" => {
            let pid = strace::number(&strace::field(text, "nl_pid")?)?;
            let groups = strace::number(&strace::field(text, "nl_groups")?)?;
            format!("netlink:{pid}:{groups:#x}")
        }
        "AF_PACKET" => {
            // What is shorter or longer than the structure is printed as bytes.
            let (protocol, index) = match strace::field(text, "sa_data") {
                Some(data) => {
                    let data = strace::string(&data)?;
                    (
                        data.get(..2)?.to_vec(),
                        i32::from_ne_bytes(data.get(2..6)?.try_into().ok()?),
                    )
                }
                None => {
                    let protocol = strace::field(text, "sll_protocol")?;
                    let index = strace::number(&strace::field(text, "sll_ifindex")?)?;
                    let bytes = protocol.split(" /*").next().and_then(strace::string)?;
                    (bytes, i32::try_from(index).ok()?)
                }
            };
            let protocol = u16::from_be_bytes(protocol.try_into().ok()?);
            format!("packet:{protocol:#06x}:{index}")
        }
        "AF_UNSPEC" => return None,
        other => panic!("{other} in {text}"),
    })
}

/// Calls that change the socket they are about: strace shows it as it was before, ctrace as it is after.
const CHANGES: [&str; 11] = [
    "bind", "connect", "listen", "send", "sendto", "sendmsg", "sendmmsg", "recv", "recvfrom", "recvmsg", "recvmmsg",
];

/// The descriptor that the event is about: its number and what it refers to.
pub(crate) fn descriptor(call: &Call, seen: &Seen, found: &mut Vec<String>) {
    let (number, theirs) = match seen.spec.fd {
        FdUse::None => (None, None),
        FdUse::Arg(at) => {
            let text = call.arg(usize::from(at)).unwrap_or_default();
            (strace::number(text), strace::annotation(text))
        }
        FdUse::Ret if call.succeeded() => (seen.ret, call.ret_annotation()),
        FdUse::Ret => (None, None),
    };
    if number != seen.fd_num {
        found.push(format!("descriptor {number:?} but {:?}", seen.fd_num));
    }
    match (theirs, &seen.fd) {
        (None, None) => {}
        // What a failed open asked for is shown like Falco does.
        (None, Some(ours)) if opens(&call.name) && !call.succeeded() => {
            let asked = seen.path("name").or(seen.path("path")).map(|(resolved, _)| resolved);
            if asked != Some(&ours.name[..]) {
                found.push(format!("descriptor of {asked:?} but {ours:?}"));
            }
        }
        (Some(theirs), Some(ours)) if same_object(call, &theirs, ours) => {}
        (theirs, ours) => found.push(format!("descriptor of {theirs:?} but {ours:?}")),
    }
}

fn same_object(call: &Call, theirs: &str, ours: &SeenFd) -> bool {
    let name = String::from_utf8_lossy(&ours.name);
    if let Some((protocol, ends)) = theirs.split_once(":[").filter(|(p, _)| {
        p.chars()
            .all(|c| c.is_ascii_uppercase() || matches!(c, 'v' | '6' | '-'))
    }) {
        return socket(call, protocol, ends.trim_end_matches(']'), ours);
    }
    match theirs {
        _ if theirs.starts_with("pipe:[") => ours.kind == FdKind::Pipe,
        _ if theirs.starts_with("anon_inode:") => name == theirs,
        _ if theirs.starts_with("uts:[") => name.ends_with("/ns/uts") && theirs == format!("uts:[{}]", ours.ino),
        // strace knows no ends of a packet socket.
        _ if theirs.starts_with("socket:[") => ours.kind == FdKind::Packet,
        _ if theirs.starts_with("pid:") => ours.kind == FdKind::Pidfd,
        _ if theirs.starts_with("/memfd:") || theirs == "/secretmem" => {
            ours.kind == FdKind::Memfd && format!("/{name}") == theirs
        }
        _ => {
            let path = ours.name.strip_prefix(UNREACHABLE.as_bytes()).unwrap_or(&ours.name);
            path == strace::annotated_path(theirs)
        }
    }
}

fn socket(call: &Call, protocol: &str, ends: &str, ours: &SeenFd) -> bool {
    let kind = match protocol {
        "TCP" | "UDP" | "RAW" | "ICMP" => FdKind::Ipv4,
        "TCPv6" | "UDPv6" => FdKind::Ipv6,
        "NETLINK" => FdKind::Netlink,
        "PACKET" => FdKind::Packet,
        _ if protocol.starts_with("UNIX") => FdKind::Unix,
        _ => return false,
    };
    let Some(socket) = ours.socket else {
        return ours.kind == kind && (CHANGES.contains(&&*call.name) || unix(ends, ours) || kind != FdKind::Unix);
    };
    let number = match protocol {
        "TCP" | "TCPv6" => 6,
        "UDP" | "UDPv6" => 17,
        "ICMP" => 1,
        _ => socket.protocol,
    };
    if socket.protocol != number || !ours.kind.is_inet() {
        return false;
    }
    if CHANGES.contains(&&*call.name) {
        return true;
    }
    match ends.split_once("->") {
        Some((local, remote)) => end(local) == Some(socket.local) && end(remote) == Some(socket.remote),
        // Not bound: strace has the number of the inode only.
        None if ends.bytes().all(|b| b.is_ascii_digit()) => true,
        // strace keeps the first address that it found for a datagram socket, also when it was connected since.
        None if protocol.starts_with("UDP") => true,
        None => end(ends) == Some(socket.local),
    }
}

fn end(text: &str) -> Option<SocketAddr> {
    let end: SocketAddr = text.parse().ok()?;
    Some(SocketAddr::new(end.ip().to_canonical(), end.port()))
}

/// `inode->inode,"path"`, `inode,@"name"`.
fn unix(ends: &str, ours: &SeenFd) -> bool {
    let name = ends.split_once(',').map(|(_, name)| name.trim_start_matches('@'));
    let theirs = name.and_then(strace::string).unwrap_or_default();
    let ours = ours.name.strip_prefix(b"@").unwrap_or(&ours.name);
    theirs.is_empty() || ours.ends_with(&theirs)
}

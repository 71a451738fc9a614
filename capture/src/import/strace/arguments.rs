//! Arguments as strace writes them, made into those of an event: numbers, named flags, strings, addresses.

use std::borrow::Cow;
use std::ops::Deref;

use ctrace_trace::event::Arg;
use ctrace_trace::names;
use ctrace_trace::schema::{EventSpec, NameSet, Param, ParamKind};

use super::line::Call;
use crate::host::TRUNCATED;

/// The arguments of a call as they are written. Nearly all calls have no more than the kernel takes.
#[derive(Debug, Default)]
pub(super) struct Args<'a> {
    first: [&'a [u8]; 8],
    count: usize,
    /// All of them, where there are more.
    all: Vec<&'a [u8]>,
}

impl<'a> Args<'a> {
    /// Cuts a list of arguments at its commas; gives where its closing bracket stands.
    pub(super) fn split(&mut self, text: &'a [u8]) -> Option<usize> {
        let (mut start, mut depth, mut at) = (0, 0_usize, 0);
        loop {
            at += text.get(at..)?.iter().position(|b| MARKS[usize::from(*b)])?;
            match text.get(at)? {
                b'"' => at += string_len(text.get(at..)?)? - 1,
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' if depth == 0 => {
                    let last = text.get(start..at)?.trim_ascii();
                    if !last.is_empty() {
                        self.push(last);
                    }
                    return Some(at);
                }
                b')' | b']' | b'}' => depth -= 1,
                _ if depth == 0 => {
                    self.push(text.get(start..at)?.trim_ascii());
                    start = at + 1;
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn push(&mut self, arg: &'a [u8]) {
        match self.first.get_mut(self.count) {
            Some(place) => *place = arg,
            None => {
                if self.all.is_empty() {
                    self.all.extend_from_slice(&self.first);
                }
                self.all.push(arg);
            }
        }
        self.count += 1;
    }
}

impl<'a> Deref for Args<'a> {
    type Target = [&'a [u8]];

    fn deref(&self) -> &[&'a [u8]] {
        if self.all.is_empty() {
            self.first.get(..self.count).unwrap_or(&self.first)
        } else {
            &self.all
        }
    }
}

/// An argument that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::import) enum Told<'a> {
    Nothing,
    Number(i64),
    Text(Cow<'a, [u8]>),
    /// Absolute as far as that is known, and as it was written.
    Path(Cow<'a, [u8]>, Cow<'a, [u8]>),
}

impl Told<'_> {
    pub(in crate::import) fn arg(&self) -> Arg<'_> {
        match self {
            Told::Nothing => Arg::None,
            Told::Number(n) => Arg::Num(*n),
            Told::Text(text) => Arg::Str(text),
            Told::Path(resolved, raw) => Arg::Path { resolved, raw },
        }
    }
}

/// Puts the parameters of a call where there is nothing yet. `resolve` is given a path and the descriptor that it starts
/// from.
pub(super) fn of<'a>(
    spec: &EventSpec,
    call: &Call<'a, '_>,
    resolve: impl Fn(&Cow<'a, [u8]>, Option<i64>) -> Cow<'a, [u8]>,
    all: &mut [Told<'a>],
) {
    let mut dir = None;
    // Names of parameters are in lower case, and nearly no argument begins so.
    let is_named = call.args.iter().any(|a| a.first().is_some_and(u8::is_ascii_lowercase));
    if matches!(call.name, b"execve" | b"execveat") && call.ret.is_some_and(|ret| ret < 0) {
        put_given(spec, call, all);
    }
    for (param, told) in spec.params.iter().zip(all) {
        let Some(text) = find(param, call, is_named) else {
            continue;
        };
        *told = match param.kind {
            ParamKind::Path => string(text).map_or(Told::Nothing, |raw| Told::Path(resolve(&raw, dir), raw)),
            ParamKind::Str => string(text).map_or(Told::Nothing, Told::Text),
            ParamKind::SockAddr => address(text).map_or(Told::Nothing, Told::Text),
            ParamKind::Flags(set) | ParamKind::Enum(set) => flags(set, text).map_or(Told::Nothing, Told::Number),
            ParamKind::Signal => signal(text)
                .or_else(|| number(text))
                .map_or(Told::Nothing, Told::Number),
            // What is named all the same is a type of sockets.
            ParamKind::Uint => number(text)
                .or_else(|| device(text))
                .or_else(|| flags(NameSet::SocketType, text))
                .map_or(Told::Nothing, Told::Number),
            _ => number(text).map_or(Told::Nothing, Told::Number),
        };
        if let (ParamKind::Fd, Told::Number(fd)) = (param.kind, told) {
            dir = Some(*fd);
        }
    }
}

/// The arguments that an exec is given, and whether there are more; one that strace cut ends with `...`.
pub(super) fn given<'a>(call: &Call<'a, '_>) -> (Vec<Cow<'a, [u8]>>, bool) {
    let list = call.args.iter().find_map(|a| a.strip_prefix(b"["));
    let mut args = Args::default();
    list.and_then(|list| args.split(list));
    let one = |arg: &&'a [u8]| match string(arg)? {
        text if arg.ends_with(b"\"...") => Some([&text, TRUNCATED].concat().into()),
        text => Some(text),
    };
    let has_more = args.last().is_some_and(|last| *last == TRUNCATED);
    (args.iter().filter_map(one).collect(), has_more)
}

/// Puts those of an exec that failed where they are told: the image has those of a program that started.
fn put_given<'a>(spec: &EventSpec, call: &Call<'a, '_>, all: &mut [Told<'a>]) {
    let (argv, has_more) = given(call);
    let Some((program, others)) = argv.split_first() else {
        return;
    };
    let mut text = others.iter().flat_map(|one| [&**one, b"\0"]).collect::<Vec<_>>();
    text.extend(has_more.then_some(TRUNCATED));
    for (param, told) in spec.params.iter().zip(all) {
        match param.name.as_str() {
            "exe" => *told = Told::Text(program.clone()),
            "args" => *told = Told::Text(text.concat().into()),
            _ => {}
        }
    }
}

/// The text of a parameter: by its name where strace writes names (`clone(child_stack=NULL, flags=…)`), also inside of
/// the structure of `clone3`; else by its position.
fn find<'a>(param: &Param, call: &Call<'a, '_>, is_named: bool) -> Option<&'a [u8]> {
    let value = |text: &'a [u8]| text.strip_prefix(param.name.as_bytes())?.strip_prefix(b"=");
    if is_named && let Some(found) = call.args.iter().find_map(|a| value(a)) {
        return Some(found);
    }
    let text = *call.args.get(place(call.name, param.arg?))?;
    if call.name == b"clone3" && text.starts_with(b"{") {
        let mut members = Args::default();
        members.split(text.get(1..)?)?;
        return members.iter().find_map(|m| value(m));
    }
    Some(text)
}

/// Where an argument of the kernel is written: the position of a transfer takes two, and is written as one number.
fn place(call: &[u8], arg: u8) -> usize {
    match (call, arg) {
        (b"preadv2" | b"pwritev2", 5) => 4,
        (_, arg) => usize::from(arg),
    }
}

/// Bytes at which a list of arguments is looked at.
static MARKS: [bool; 256] = {
    let mut marks = [false; 256];
    let mut at = 0;
    let all = b"\"()[]{},";
    while at < all.len() {
        marks[all[at] as usize] = true;
        at += 1;
    }
    marks
};

/// The length of the string at the beginning, with its quotes.
fn string_len(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        let found = at + memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(found) == Some(&b'"') {
            return Some(found + 1);
        }
        at = found + 2;
    }
}

/// Names that no set has: they stand where an event has a number (`linux/in.h`), for several names of a set
/// or none (`linux/stat.h`, `linux/fcntl.h`), or for a part of a number that an event names by its other part
/// (`linux/quota.h`).
const NAMED: [(&str, i64); 12] = [
    ("AT_STATX_SYNC_AS_STAT", 0),
    ("STATX_BASIC_STATS", 0x7ff),
    ("STATX_ALL", 0xfff),
    ("USRQUOTA", 0),
    ("GRPQUOTA", 1),
    ("PRJQUOTA", 2),
    ("IPPROTO_IP", 0),
    ("IPPROTO_ICMP", 1),
    ("IPPROTO_TCP", 6),
    ("IPPROTO_UDP", 17),
    ("IPPROTO_IPV6", 41),
    ("IPPROTO_RAW", 255),
];

/// A number as strace writes one; a descriptor may have its path behind it.
pub(in crate::import) fn number(text: &[u8]) -> Option<i64> {
    plain_number(text).or_else(|| match text.first()? {
        b'-' | b'0'..=b'9' => written_number(text),
        _ => named_number(text),
    })
}

/// Where a number or a name ends.
fn end_of_word(text: &[u8]) -> usize {
    let is_inner = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    text.iter().take_while(is_inner).count()
}

fn named_number(text: &[u8]) -> Option<i64> {
    match text.get(..end_of_word(text))? {
        b"NULL" => Some(0),
        b"AT_FDCWD" => Some(-100),
        name => NAMED
            .iter()
            .find_map(|(known, value)| (known.as_bytes() == name).then_some(*value)),
    }
}

/// A device as strace writes it, `makedev(0x1, 0x3)`, as `mknod` takes it (`new_encode_dev` in `linux/kdev_t.h`).
fn device(text: &[u8]) -> Option<i64> {
    const LOW: i64 = 0xFF;
    let mut parts = text
        .strip_prefix(b"makedev(")?
        .strip_suffix(b")")?
        .split(|b| *b == b',');
    let mut part = || u32::try_from(number(parts.next()?.trim_ascii())?).ok().map(i64::from);
    let (major, minor) = (part()?, part()?);
    Some(minor & LOW | major << 8 | (minor & !LOW) << 12)
}

/// Hexadecimal, octal, and what has something behind it.
fn written_number(text: &[u8]) -> Option<i64> {
    let (digits, rest) = text.split_at_checked(end_of_word(text))?;
    // Products and sums are left to people.
    if matches!(rest.first(), Some(b'*' | b'|' | b'+')) {
        return None;
    }
    if let Some(number) = plain_number(digits) {
        return Some(number);
    }
    let digits = std::str::from_utf8(digits).ok()?;
    if let Some(hex) = digits.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok().map(u64::cast_signed);
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return i64::from_str_radix(digits, 8).ok();
    }
    digits
        .parse()
        .ok()
        .or_else(|| digits.parse::<u64>().ok().map(u64::cast_signed))
}

/// Decimal digits and nothing else, as most arguments are, or `-1` and the like.
fn plain_number(text: &[u8]) -> Option<i64> {
    /// More may be too large a number.
    const MAX: usize = 18;
    let (text, sign) = match text.strip_prefix(b"-") {
        Some(digits) => (digits, -1),
        None => (text, 1),
    };
    if text.is_empty() || text.len() > MAX || text.len() > 1 && text.starts_with(b"0") {
        return None;
    }
    let number = text.iter().try_fold(0, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|d| *d < 10)?;
        Some(number * 10 + i64::from(digit))
    })?;
    Some(sign * number)
}

/// Names joined by `|`, or a number. A name that is not known leaves the whole unknown: half of the flags would be wrong.
pub(in crate::import) fn flags(set: NameSet, text: &[u8]) -> Option<i64> {
    let parts = joined(text);
    parts
        .map(|part| flag(set, part))
        .try_fold(0, |all, flag| Some(all | flag?))
}

/// What is joined by `|`, also by one of the macros that put a number together of two fields.
fn joined(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    const MACROS: [&[u8]; 2] = [b"QCMD(", b"IOPRIO_PRIO_VALUE("];
    let fields = MACROS.iter().find_map(|m| text.strip_prefix(*m)?.strip_suffix(b")"));
    let separator = if fields.is_some() { b',' } else { b'|' };
    let parts = fields.unwrap_or(text).split(move |b| *b == separator);
    parts.map(<[u8]>::trim_ascii)
}

fn flag(set: NameSet, part: &[u8]) -> Option<i64> {
    let mut known = names::table(set).iter();
    let is_name = !part.first().is_some_and(u8::is_ascii_digit);
    if is_name && let Some(name) = known.clone().find(|n| n.name.as_bytes() == part) {
        return Some(name.value.cast_signed());
    }
    if let Some(value) = number(part) {
        return Some(value);
    }
    // Falco leaves out what some families of names begin with.
    let name = std::str::from_utf8(part).ok()?;
    let short = name.split_once('_').map_or(name, |(_, short)| short);
    match known.find(|n| n.name == short) {
        Some(name) => Some(name.value.cast_signed()),
        // The flags of `clone` have the signal at the child's end among them.
        None => signal(part),
    }
}

/// The number of a signal's name.
pub(in crate::import) fn signal(name: &[u8]) -> Option<i64> {
    (1..=64).find(|n| names::signal(*n).is_some_and(|known| known.as_bytes() == name))
}

/// A string without its quotes and escapes; one that strace cut off ends there.
#[inline]
pub(super) fn string(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let text = text.strip_prefix(b"\"")?;
    // Nearly all strings are plain.
    match plain(text) {
        Some(plain) => Some(plain.into()),
        None => escaped(text).map(Cow::Owned),
    }
}

/// What stands before the closing quote, where that needs no change.
#[inline]
fn plain(text: &[u8]) -> Option<&[u8]> {
    let at = memchr::memchr2(b'"', b'\\', text)?;
    text.get(..at).filter(|_| text.get(at) == Some(&b'"'))
}

fn escaped(text: &[u8]) -> Option<Vec<u8>> {
    let (mut rest, mut out) = (text, Vec::new());
    loop {
        let at = memchr::memchr2(b'"', b'\\', rest)?;
        out.extend_from_slice(rest.get(..at)?);
        let (byte, after) = rest.get(at..)?.split_first()?;
        if *byte == b'"' {
            return Some(out);
        }
        rest = unescape(after, &mut out)?;
    }
}

/// What follows a backslash; gives the rest.
fn unescape<'a>(text: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (byte, after) = text.split_first()?;
    let plain = match byte {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'v' => 0x0b,
        b'f' => 0x0c,
        b'x' => {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
            return after.get(2..);
        }
        b'0'..=b'7' => {
            let length = text.iter().take(3).take_while(|b| matches!(b, b'0'..=b'7')).count();
            let digits = std::str::from_utf8(text.get(..length)?).ok()?;
            out.push(u8::try_from(u16::from_str_radix(digits, 8).ok()?).ok()?);
            return text.get(length..);
        }
        other => *other,
    };
    out.push(plain);
    Some(after)
}

/// `{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.1")}` and its kin.
pub(super) fn address(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let member = |name: &[u8]| {
        let begins = |at: usize| text.get(at..)?.strip_prefix(name);
        memchr::memchr_iter(*name.first()?, text).find_map(begins)
    };
    if let Some(path) = member(b"sun_path=") {
        // `@` stands for the zero byte before an abstract name.
        return string(path.strip_prefix(b"@").unwrap_or(path));
    }
    let port = |name: &[u8]| number(member(name)?);
    if let Some(ip) = member(b"sin_addr=inet_addr(").and_then(string) {
        let ip = String::from_utf8_lossy(&ip).into_owned();
        return Some(format!("{ip}:{}", port(b"sin_port=htons(")?).into_bytes().into());
    }
    let ip = member(b"inet_pton(AF_INET6, ").and_then(string)?;
    let ip = String::from_utf8_lossy(&ip).into_owned();
    Some(format!("[{ip}]:{}", port(b"sin6_port=htons(")?).into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_flags_and_strings() {
        assert_eq!(number(b"3</etc/passwd>"), Some(3));
        assert_eq!(number(b"0xffffffffffffffff"), Some(-1));
        assert_eq!(number(b"0644"), Some(0o644));
        assert_eq!(number(b"8192*1024"), None);
        assert_eq!(
            flags(NameSet::Open, b"O_WRONLY|O_CREAT|0x80000"),
            Some(0o1 | 0o100 | 0x80000)
        );
        assert_eq!(flags(NameSet::Open, b"O_WRONLY|O_NEWER"), None);
        assert_eq!(
            flags(NameSet::QuotaCmd, b"QCMD(Q_GETQUOTA, PRJQUOTA)"),
            Some(0x8000_0702)
        );
        assert_eq!(
            flags(NameSet::QuotaCmd, b"QCMD(Q_XGETQSTAT, 0xff /* ???QUOTA */)"),
            Some(0x58_05ff)
        );
        assert_eq!(flags(NameSet::QuotaCmd, b"QCMD(Q_NEWER, USRQUOTA)"), None);
        assert_eq!(
            flags(NameSet::IoPriority, b"IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 4)"),
            Some(0x4004)
        );
        assert_eq!(flags(NameSet::StatxMask, b"STATX_ALL|STATX_MNT_ID"), Some(0x1fff));
        assert_eq!(flags(NameSet::At, b"AT_STATX_SYNC_AS_STAT"), Some(0));
        assert_eq!(
            flags(NameSet::SocketType, b"SOCK_STREAM|SOCK_CLOEXEC"),
            Some(0o2_000_001)
        );
        assert_eq!(
            flags(NameSet::AcceptFlags, b"SOCK_CLOEXEC|SOCK_NONBLOCK"),
            Some(0o2_004_000)
        );
        assert_eq!(device(b"makedev(0x103, 0x102)"), Some(0x11_0302));
        assert_eq!(device(b"makedev(0x1"), None);
        assert_eq!(flags(NameSet::Keyring, b"KEY_SPEC_PROCESS_KEYRING"), Some(-2));
        assert_eq!(flags(NameSet::ShmCmd, b"IPC_64|SHM_STAT"), Some(0x10d));
        assert_eq!(string(b"\"a\\n\\\"\\33[0m\\x41\"..."), Some(b"a\n\"\x1b[0mA".into()));
        assert_eq!(string(b"\"open"), None);
        assert_eq!(string(b"\"\\777\""), None);
        let split = |t: &'static [u8]| {
            let mut args = Args::default();
            args.split(t).map(|end| (args.len(), end))
        };
        assert_eq!(split(b"3, \"a,)\", {x=[1, 2]}, f(1)) = 0"), Some((4, 26)));
        assert_eq!(split(b"3, \"a"), None);
        assert_eq!(split(b"1, 2, 3, 4, 5, 6, 7, 8, 9, 10)"), Some((10, 29)));
    }

    #[test]
    fn addresses() {
        let text = |t: &[u8]| address(t).map(|a| String::from_utf8_lossy(&a).into_owned());
        let v4 = b"{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"192.0.2.1\")}";
        assert_eq!(text(v4).as_deref(), Some("192.0.2.1:80"));
        let v6 =
            b"{sa_family=AF_INET6, sin6_port=htons(443), inet_pton(AF_INET6, \"::1\", &sin6_addr), sin6_scope_id=0}";
        assert_eq!(text(v6).as_deref(), Some("[::1]:443"));
        assert_eq!(
            text(b"{sa_family=AF_UNIX, sun_path=\"/run/x\"}").as_deref(),
            Some("/run/x")
        );
        assert_eq!(text(b"{sa_family=AF_NETLINK, nl_pid=0}"), None);
    }
}

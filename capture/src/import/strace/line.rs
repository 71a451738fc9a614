//! One line: `[PID] SECONDS.MICROSECONDS name(arguments) = result`, and what else strace says. Pure; lines are not
//! trusted.

use std::sync::LazyLock;

use ctrace_trace::names;
use hashbrown::HashMap;

/// A line with its thread and time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamped<'a> {
    /// 0 where it is not told: one thread was traced.
    pub(super) tid: u32,
    /// Nanoseconds since the Unix epoch.
    pub(super) ts: u64,
    /// What follows.
    pub(super) rest: &'a [u8],
}

/// What a line says.
#[derive(Debug)]
pub(super) enum Said<'a> {
    /// A call with its result.
    Call(&'a [u8]),
    /// The beginning of a call.
    Unfinished(&'a [u8]),
    /// The rest of one.
    Resumed(&'a [u8]),
    /// A thread ended, by itself or by a signal.
    Exit {
        status: i64,
        signal: i64,
        core: bool,
    },
    /// A signal was delivered.
    Signal(&'a [u8]),
    Other,
}

/// A call.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) name: &'a str,
    /// As they are written.
    pub(super) args: Vec<&'a [u8]>,
    /// The result, negative errno on failure; `None` where strace has none (`?`).
    pub(super) ret: Option<i64>,
    /// How many nanoseconds it took (`-T`).
    pub(super) latency: Option<u64>,
    /// What `-y` says of a descriptor that is the result.
    pub(super) ret_fd: Option<&'a [u8]>,
}

/// Reads thread and time.
pub(super) fn read(line: &[u8]) -> Option<Stamped<'_>> {
    let (tid, rest) = match line.strip_prefix(b"[pid ") {
        Some(rest) => {
            let end = memchr::memchr(b']', rest)?;
            (decimal(rest.get(..end)?.trim_ascii())?, rest.get(end + 1..)?)
        }
        None => match word(line) {
            (first, rest) if !first.contains(&b'.') => (decimal(first)?, rest),
            _ => (0, line),
        },
    };
    let (stamp, rest) = word(rest.trim_ascii_start());
    // What has no fraction is another number.
    memchr::memchr(b'.', stamp)?;
    Some(Stamped {
        tid: u32::try_from(tid).ok()?,
        ts: nanoseconds(stamp)?,
        rest: rest.trim_ascii(),
    })
}

/// The first word and what follows.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b' ', text).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, &[]))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|d| *d < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

/// Tells the kinds of lines apart.
pub(super) fn said(text: &[u8]) -> Said<'_> {
    if let Some(end) = text.strip_prefix(b"+++ ").and_then(|t| t.strip_suffix(b" +++")) {
        return exit(end).unwrap_or(Said::Other);
    }
    if let Some(signal) = text.strip_prefix(b"--- ") {
        return Said::Signal(signal);
    }
    if text.starts_with(b"<... ") {
        let at = memchr::memmem::find(text, b" resumed>");
        let rest = at.and_then(|at| text.get(at + b" resumed>".len()..));
        return rest.map_or(Said::Other, Said::Resumed);
    }
    if let Some(begun) = text.strip_suffix(b"<unfinished ...>") {
        return Said::Unfinished(begun.trim_ascii_end());
    }
    let name = text.iter().position(|b| !b.is_ascii_alphanumeric() && *b != b'_');
    match name.and_then(|at| text.get(at)) {
        Some(b'(') if !text.starts_with(b"(") => Said::Call(text),
        _ => Said::Other,
    }
}

fn exit(text: &[u8]) -> Option<Said<'static>> {
    if let Some(status) = text.strip_prefix(b"exited with ") {
        let status = i64::try_from(decimal(status)?).ok()?;
        return Some(Said::Exit {
            status: status & 0xff,
            signal: 0,
            core: false,
        });
    }
    let (name, rest) = word(text.strip_prefix(b"killed by ")?);
    Some(Said::Exit {
        status: 0,
        signal: super::arguments::signal(name)?,
        core: rest.trim_ascii() == b"(core dumped)",
    })
}

/// Takes a call apart.
pub(super) fn call(text: &[u8]) -> Option<Call<'_>> {
    let open = memchr::memchr(b'(', text)?;
    let name = std::str::from_utf8(text.get(..open)?).ok()?;
    let inside = text.get(open + 1..)?;
    let (args, end) = super::arguments::split(inside)?;
    let result = inside
        .get(end + 1..)?
        .trim_ascii_start()
        .strip_prefix(b"=")?
        .trim_ascii_start();
    let (result, latency) = taken(result);
    let (value, rest) = word(result);
    let value_end = memchr::memchr(b'<', value).unwrap_or(value.len());
    let (number, named) = value.split_at_checked(value_end)?;
    let ret = match number {
        b"?" => None,
        b"-1" => Some(errno(word(rest.trim_ascii_start()).0).map_or(-1, |e| -e)),
        number => Some(super::arguments::number(number)?),
    };
    let ret_fd = named.strip_prefix(b"<").and_then(|n| n.strip_suffix(b">"));
    Some(Call {
        name,
        args,
        ret,
        latency,
        ret_fd,
    })
}

/// Cuts off what `-T` puts behind a result: ` <SECONDS>` or ` <SECONDS.FRACTION>`, or ` <unavailable>`.
fn taken(result: &[u8]) -> (&[u8], Option<u64>) {
    let Some(at) = memchr::memmem::rfind(result, b" <") else {
        return (result, None);
    };
    let (before, said) = result.split_at_checked(at).unwrap_or((result, &[]));
    let said = said.strip_prefix(b" <").and_then(|s| s.strip_suffix(b">"));
    // The name of a descriptor's file may look the same, and is not closed before it.
    let opened = word(before).0.contains(&b'<') && !before.ends_with(b">");
    match said {
        Some(b"unavailable") if !opened => (before, None),
        Some(seconds) if !opened => match nanoseconds(seconds) {
            Some(latency) => (before, Some(latency)),
            None => (result, None),
        },
        _ => (result, None),
    }
}

/// Seconds with at most nine places behind the dot.
fn nanoseconds(seconds: &[u8]) -> Option<u64> {
    let dot = memchr::memchr(b'.', seconds);
    let (whole, fraction) = match dot {
        Some(dot) => (seconds.get(..dot)?, seconds.get(dot + 1..)?),
        None => (seconds, &b"0"[..]),
    };
    if fraction.len() > 9 {
        return None;
    }
    let scale = 10_u64.pow(9 - u32::try_from(fraction.len()).ok()?);
    let whole = decimal(whole)?.checked_mul(1_000_000_000)?;
    whole.checked_add(decimal(fraction)? * scale)
}

/// Restarts of calls (`ERESTARTSYS`) have numbers up to here.
const MAX_ERRNO: i64 = 530;

fn errno(name: &[u8]) -> Option<i64> {
    static NUMBERS: LazyLock<HashMap<&[u8], i64>> = LazyLock::new(|| {
        let named = (1..=MAX_ERRNO).filter_map(|n| Some((names::errno(n)?.as_bytes(), n)));
        named.collect()
    });
    NUMBERS.get(name).copied()
}

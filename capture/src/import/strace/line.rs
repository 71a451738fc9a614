//! One line: `[PID] SECONDS.MICROSECONDS name(arguments) = result`, and what else strace says. Pure; lines are not
//! trusted.

use std::sync::LazyLock;

use ctrace_trace::names;
use hashbrown::HashMap;

use super::arguments::Args;

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
pub(super) struct Call<'a, 'c> {
    pub(super) name: &'a [u8],
    /// As they are written.
    pub(super) args: &'c [&'a [u8]],
    /// The result, negative errno on failure; `None` where strace has none (`?`).
    pub(super) ret: Option<i64>,
    /// How many nanoseconds it took (`-T`).
    pub(super) latency: Option<u64>,
    /// What `-y` says of a descriptor that is the result.
    pub(super) ret_fd: Option<&'a [u8]>,
}

/// Reads thread and time. Part of its caller: what is returned in parts is written and read again.
#[inline(always)]
pub(super) fn read(line: &[u8]) -> Option<Stamped<'_>> {
    let (tid, rest) = match line.strip_prefix(b"[pid ") {
        Some(rest) => {
            let end = memchr::memchr(b']', rest)?;
            (decimal(rest.get(..end)?.trim_ascii())?, rest.get(end + 1..)?)
        }
        None => {
            let (number, rest) = leading_number(line)?;
            match rest.first() {
                Some(b' ') => (number, rest),
                // The time begins the line.
                Some(b'.') => (0, line),
                _ => return None,
            }
        }
    };
    let (seconds, rest) = leading_number(rest.trim_ascii_start())?;
    // What has no fraction is another number.
    let (fraction, rest) = leading_fraction(rest.strip_prefix(b".")?)?;
    if !matches!(rest.first(), None | Some(b' ')) {
        return None;
    }
    Some(Stamped {
        tid: u32::try_from(tid).ok()?,
        ts: seconds.checked_mul(1_000_000_000)?.checked_add(fraction)?,
        rest: rest.trim_ascii(),
    })
}

/// The number at the beginning, and what follows; at most as many digits as cannot be too large a number.
fn leading_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let (mut number, mut digits) = (0_u64, 0);
    for digit in text.iter().map(|b| b.wrapping_sub(b'0')).take_while(|d| *d < 10) {
        number = number.wrapping_mul(10).wrapping_add(digit.into());
        digits += 1;
    }
    (1..=19)
        .contains(&digits)
        .then(|| (number, text.get(digits..).unwrap_or_default()))
}

/// The digits behind a dot as billionths, at most nine of them, and what follows.
fn leading_fraction(text: &[u8]) -> Option<(u64, &[u8])> {
    const SCALE: [u64; 10] = [
        1_000_000_000,
        100_000_000,
        10_000_000,
        1_000_000,
        100_000,
        10_000,
        1000,
        100,
        10,
        1,
    ];
    let (number, rest) = leading_number(text)?;
    Some((number * SCALE.get(text.len() - rest.len())?, rest))
}

/// The first word and what follows.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|b| *b == b' ').unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, &[]))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    leading_number(digits).and_then(|(number, rest)| rest.is_empty().then_some(number))
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
        let parts = memchr::memchr(b'>', text).and_then(|at| text.split_at_checked(at));
        let rest = parts
            .filter(|(name, _)| name.ends_with(b" resumed"))
            .and_then(|(_, rest)| rest.get(1..));
        return rest.map_or(Said::Other, Said::Resumed);
    }
    if let Some(begun) = text.strip_suffix(b"<unfinished ...>") {
        return Said::Unfinished(begun.trim_ascii_end());
    }
    let name = text
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
        .count();
    match text.get(name) {
        Some(b'(') if name > 0 => Said::Call(text),
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

/// Takes a call apart. `args` is the place for its arguments. Part of its caller, as [`read`].
#[inline(always)]
pub(super) fn call<'a, 'c>(text: &'a [u8], args: &'c mut Args<'a>) -> Option<Call<'a, 'c>> {
    let open = text.iter().position(|b| *b == b'(')?;
    let name = text.get(..open)?;
    let inside = text.get(open + 1..)?;
    let end = args.split(inside)?;
    let result = inside
        .get(end + 1..)?
        .trim_ascii_start()
        .strip_prefix(b"=")?
        .trim_ascii_start();
    let (result, latency) = taken(result);
    let (value, rest) = word(result);
    let value_end = value.iter().position(|b| *b == b'<').unwrap_or(value.len());
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
    // Nearly all that does not end so has no time behind it.
    let Some(said) = result.strip_suffix(b">") else {
        return (result, None);
    };
    let mut brackets = memchr::memrchr_iter(b'<', said);
    let Some(at) = brackets.find_map(|at| said.get(..at)?.ends_with(b" ").then(|| at - 1)) else {
        return (result, None);
    };
    let (before, said) = said.split_at_checked(at).unwrap_or((result, &[]));
    // The name of a descriptor's file may look the same, and is not closed before it.
    if word(before).0.contains(&b'<') && !before.ends_with(b">") {
        return (result, None);
    }
    let said = said.get(2..).unwrap_or_default();
    if said == b"unavailable" {
        return (before, None);
    }
    match seconds(said) {
        Some(latency) => (before, Some(latency)),
        None => (result, None),
    }
}

/// Seconds with at most nine places behind the dot, in nanoseconds.
fn seconds(text: &[u8]) -> Option<u64> {
    let (whole, rest) = leading_number(text)?;
    let fraction = match rest.strip_prefix(b".") {
        Some(rest) => leading_fraction(rest).filter(|(_, rest)| rest.is_empty())?.0,
        None if rest.is_empty() => 0,
        None => return None,
    };
    whole.checked_mul(1_000_000_000)?.checked_add(fraction)
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

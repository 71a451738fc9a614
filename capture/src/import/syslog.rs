//! Files that syslog daemons write, such as `/var/log/auth.log`: RFC 3164 (no year, no time zone), RFC 5424, and what
//! rsyslog writes by default since 2023, the older form with RFC 3339's time.

use std::borrow::Cow;

use ctrace_trace::event::{Arg, Event, EventType};

use super::lines::{self, Line};
use super::processes::Seen;
use super::world::World;
use super::{Confidence, End, ImportError, Importer, Input, Reading, Sink};
use crate::docker::{parse_rfc3339, utc_ns};

/// The importer of syslog files.
pub(super) struct Syslog;

const SECOND_NS: u64 = 1_000_000_000;
const DAY_NS: u64 = 86_400 * SECOND_NS;
/// Clocks of hosts and file servers differ.
const AHEAD_NS: u64 = DAY_NS;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
/// RFC 5424, 6.2.1.
const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

impl Importer for Syslog {
    fn name(&self) -> &'static str {
        "syslog"
    }

    fn sniff(&self, start: &[u8]) -> Confidence {
        match lines::first(start).next() {
            Some(line) if parse(line).is_some_and(|e| !e.host.is_empty()) => Confidence::Possible,
            _ => Confidence::No,
        }
    }

    fn first_ts(&self, input: &mut Input) -> Option<u64> {
        let start = input.start();
        match lines::first(start).find_map(parse)?.time {
            Time::Known(ts) => Some(ts),
            Time::InSomeYear(_) => None,
        }
    }

    fn begin(&self) -> Box<dyn Reading> {
        Box::new(Log::default())
    }
}

/// When a line was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    Known(u64),
    InSomeYear(Clock),
}

/// A time of RFC 3164.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clock {
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

/// What a line says.
#[derive(Debug)]
struct Entry<'a> {
    time: Time,
    severity: &'static str,
    host: &'a str,
    program: &'a str,
    pid: Option<u32>,
    message: &'a [u8],
}

/// Reads a line of either form.
fn parse(line: &[u8]) -> Option<Entry<'_>> {
    let (severity, rest) = priority(line);
    match rest.strip_prefix(b"1 ") {
        Some(rest) if !severity.is_empty() => parse_5424(severity, rest),
        _ => parse_3164(severity, rest),
    }
}

/// `<34>`: facility times eight and severity.
fn priority(line: &[u8]) -> (&'static str, &[u8]) {
    let inner = || {
        let rest = line.strip_prefix(b"<")?;
        let (number, rest) = (rest.get(..memchr::memchr(b'>', rest)?)?, rest);
        let value: usize = std::str::from_utf8(number).ok()?.parse().ok()?;
        let severity = SEVERITIES.get(value % 8).filter(|_| value < 192)?;
        Some((*severity, rest.get(number.len() + 1..)?))
    };
    inner().unwrap_or(("", line))
}

/// `TIME HOST APP PROCID MSGID [DATA] MESSAGE`; a hyphen is nothing.
fn parse_5424<'a>(severity: &'static str, line: &'a [u8]) -> Option<Entry<'a>> {
    let (time, rest) = word(line)?;
    let (host, rest) = word(rest)?;
    let (program, rest) = word(rest)?;
    let (pid, rest) = word(rest)?;
    let (_, rest) = word(rest)?;
    let told = |text: &'a str| if text == "-" { "" } else { text };
    let message = structured_data(rest)?;
    Some(Entry {
        time: Time::Known(parse_rfc3339(time)?),
        severity,
        host: told(host),
        program: told(program),
        pid: pid.parse().ok(),
        message: message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message),
    })
}

/// What follows the structured data: `-`, or `[…]` one after the other, in which a backslash escapes.
fn structured_data(text: &[u8]) -> Option<&[u8]> {
    let mut rest = match text.strip_prefix(b"-") {
        Some(rest) => rest,
        None => text.strip_prefix(b"[").map(|_| text)?,
    };
    while rest.first() == Some(&b'[') {
        let mut at = 1;
        loop {
            match rest.get(at)? {
                b'\\' => at += 2,
                b']' => break,
                _ => at += 1,
            }
        }
        rest = rest.get(at + 1..)?;
    }
    Some(rest.strip_prefix(b" ").unwrap_or(rest))
}

/// `TIME HOST PROGRAM[PID]: MESSAGE`
fn parse_3164<'a>(severity: &'static str, line: &'a [u8]) -> Option<Entry<'a>> {
    let (time, rest) = match clock(line) {
        Some((clock, rest)) => (Time::InSomeYear(clock), rest),
        None => {
            let (time, rest) = word(line)?;
            (Time::Known(parse_rfc3339(time)?), rest)
        }
    };
    let (host, rest) = word(rest)?;
    let (program, pid, message) = tag(rest).unwrap_or(("", None, rest));
    Some(Entry {
        time,
        severity,
        host,
        program,
        pid,
        message,
    })
}

/// `PROGRAM[PID]: ` or `PROGRAM: ` at the beginning.
fn tag(text: &[u8]) -> Option<(&str, Option<u32>, &[u8])> {
    let end = memchr::memchr(b':', text)?;
    let (tag, message) = (std::str::from_utf8(text.get(..end)?).ok()?, text.get(end + 1..)?);
    if tag.is_empty() || tag.len() > 64 || tag.contains(' ') {
        return None;
    }
    let (program, pid) = match tag.strip_suffix(']').and_then(|t| t.rsplit_once('[')) {
        Some((program, pid)) => (program, pid.parse().ok()),
        None => (tag, None),
    };
    Some((program, pid, message.strip_prefix(b" ").unwrap_or(message)))
}

/// `Nov 21 05:00:07 ` at the beginning; days below ten are padded with a blank.
fn clock(line: &[u8]) -> Option<(Clock, &[u8])> {
    let (text, rest) = line.split_first_chunk::<16>()?;
    let [a, b, c, b' ', day @ .., h, i, b':', m, n, b':', s, t, b' '] = *text else {
        return None;
    };
    let [tens, ones, b' '] = day else { return None };
    let month = MONTHS.iter().position(|month| month.as_bytes() == [a, b, c])?;
    let clock = Clock {
        month: u8::try_from(month).ok()? + 1,
        day: number([tens, ones]).filter(|d| (1..=31).contains(d))?,
        hour: number([h, i]).filter(|h| *h < 24)?,
        minute: number([m, n]).filter(|m| *m < 60)?,
        second: number([s, t]).filter(|s| *s <= 60)?,
    };
    Some((clock, rest))
}

/// Two digits, the first of which may be a blank.
fn number([tens, ones]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| Some(byte.wrapping_sub(b'0')).filter(|d| *d < 10);
    let tens = if tens == b' ' { 0 } else { digit(tens)? };
    Some(tens * 10 + digit(ones)?)
}

/// What stands before and behind the next blank.
fn word(text: &[u8]) -> Option<(&str, &[u8])> {
    let at = memchr::memchr(b' ', text)?;
    let word = std::str::from_utf8(text.get(..at)?).ok()?;
    Some((word, text.get(at + 1..)?)).filter(|(word, _)| !word.is_empty())
}

impl Clock {
    /// Nanoseconds since midnight.
    fn of_day_ns(self) -> u64 {
        let minutes = u64::from(self.hour) * 60 + u64::from(self.minute);
        (minutes * 60 + u64::from(self.second)) * SECOND_NS
    }

    /// Nanoseconds since the Unix epoch, by a clock that is so far east of UTC.
    fn in_year(self, year: u16, utc_offset_s: i32) -> Option<u64> {
        let Clock {
            month,
            day,
            hour,
            minute,
            second,
        } = self;
        let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        if day > days {
            return None;
        }
        let date = [i64::from(year), month.into(), day.into()];
        let utc = utc_ns(date, [hour, minute, second].map(i64::from))?;
        let offset = u64::from(utc_offset_s.unsigned_abs()) * SECOND_NS;
        if utc_offset_s < 0 {
            utc.checked_add(offset)
        } else {
            utc.checked_sub(offset)
        }
    }
}

/// When the lines of a file were written, which do not tell the year.
#[derive(Debug)]
struct Times {
    years: Years,
    utc_offset_s: i32,
    /// The day of the line before: most lines are of the same.
    day: Option<Day>,
}

/// A day of which all is in one year.
#[derive(Clone, Copy, Debug)]
struct Day {
    month: u8,
    day: u8,
    start_ns: u64,
}

impl Times {
    fn new(years: Years, utc_offset_s: i32) -> Times {
        Times {
            years,
            utc_offset_s,
            day: None,
        }
    }

    fn time(&mut self, clock: Clock) -> Option<u64> {
        let known = self.day.filter(|day| (day.month, day.day) == (clock.month, clock.day));
        if let Some(day) = known {
            return day.start_ns.checked_add(clock.of_day_ns());
        }
        let ts = self.years.time(clock, self.utc_offset_s)?;
        let start_ns = ts.checked_sub(clock.of_day_ns());
        let start_ns = start_ns.filter(|start| self.is_whole(clock, *start));
        self.day = start_ns.map(|start_ns| Day {
            month: clock.month,
            day: clock.day,
            start_ns,
        });
        Some(ts)
    }

    /// Whether all of a clock's day is in one year. The later on a day, the earlier the year that is not too late: what
    /// both ends have, all have.
    fn is_whole(&mut self, clock: Clock, start_ns: u64) -> bool {
        let [first, last] = [(0, 0, 0), (23, 59, 60)].map(|(hour, minute, second)| Clock {
            hour,
            minute,
            second,
            ..clock
        });
        let mut is_at = |clock: Clock| {
            let expected = start_ns.checked_add(clock.of_day_ns());
            expected.is_some() && self.years.time(clock, self.utc_offset_s) == expected
        };
        is_at(first) && is_at(last)
    }
}

/// In which year the lines of a file were written.
#[derive(Clone, Copy, Debug)]
enum Years {
    /// The year of the line before, and its month: a month that is much smaller is one of the next year.
    From(u16, u8),
    /// Nothing in the file is younger, as it was last written then; and the year of that time.
    UpTo(u64, u16),
}

impl Years {
    /// Those of a file that was last written then.
    fn up_to(written_ns: u64) -> Years {
        let limit = written_ns.saturating_add(AHEAD_NS);
        Years::UpTo(limit, year_of(limit))
    }

    fn time(&mut self, clock: Clock, utc_offset_s: i32) -> Option<u64> {
        match self {
            Years::From(year, month) => {
                if clock.month + 6 < *month {
                    *year = year.saturating_add(1);
                }
                *month = clock.month;
                clock.in_year(*year, utc_offset_s)
            }
            Years::UpTo(limit, year) => {
                // 29 February is not in every year.
                let years = (year.saturating_sub(4)..=*year).rev();
                years
                    .filter_map(|y| clock.in_year(y, utc_offset_s))
                    .find(|ts| ts <= limit)
            }
        }
    }
}

/// The year of a time in UTC, by which a clock elsewhere is wrong for a day at most.
fn year_of(ts: u64) -> u16 {
    let is_before = |year: &u16| parse_rfc3339(&format!("{year:04}-01-01T00:00:00Z")).is_some_and(|begin| begin <= ts);
    (1970..=2554).take_while(is_before).last().unwrap_or(1970)
}

/// The reading of logs.
#[derive(Default)]
struct Log {
    world: World,
}

impl Reading for Log {
    fn file(&mut self, input: &mut Input, sink: &mut Sink<'_>) -> Result<End, ImportError> {
        let options = sink.options();
        let years = match options.year {
            Some(year) => Years::From(year, 0),
            None => Years::up_to(input.modified_ns().unwrap_or(0)),
        };
        let mut times = Times::new(years, options.utc_offset_s);
        lines::each(input, sink, |line, sink| self.line(line, &mut times, sink))
    }
}

impl Log {
    fn line(&mut self, line: &Line<'_>, times: &mut Times, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let Some(entry) = parse(line.text) else {
            return sink.bad(line.origin, 0, "no time and host at the beginning", line.text);
        };
        let ts = match entry.time {
            Time::Known(ts) => Some(ts),
            Time::InSomeYear(clock) => times.time(clock),
        };
        let Some(ts) = ts else {
            return sink.bad(line.origin, 0, "a day that the year has not", line.text);
        };
        let name = (!entry.program.is_empty()).then_some(Cow::Borrowed(entry.program.as_bytes()));
        let seen = entry.pid.map(|pid| Seen {
            pid,
            name,
            ..Seen::default()
        });
        let image = self.world.image(seen, None);
        let args = [
            Arg::Str(b"syslog"),
            Arg::text(entry.program.as_bytes()),
            Arg::text(entry.severity.as_bytes()),
            Arg::text(entry.message),
            Arg::Str(line.text),
        ];
        let event = Event {
            tid: entry.pid.unwrap_or(0),
            image,
            ..Event::bare(ts, EventType::LOG, &args)
        };
        sink.event(line.origin, &event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iso(text: &str) -> u64 {
        parse_rfc3339(text).expect("a time")
    }

    #[test]
    fn forms_of_lines() {
        let old = parse(b"Nov  1 05:00:07 web-1 sshd[812]: Accepted publickey for ada").expect("RFC 3164");
        assert_eq!((old.host, old.program, old.pid), ("web-1", "sshd", Some(812)));
        assert_eq!(old.message, b"Accepted publickey for ada");
        let new = parse(b"<165>1 2003-10-11T22:14:15.003Z host app - ID47 [a@1 k=\"v]\\]\"][b] \xef\xbb\xbftext");
        // An unescaped bracket ends the data.
        assert!(new.is_some());
        let new = parse(b"<34>1 2003-10-11T22:14:15.003Z host su 7 ID47 [a@1 k=\"\\]\"][b] text").expect("RFC 5424");
        assert_eq!(
            (new.severity, new.program, new.pid, new.message),
            ("crit", "su", Some(7), &b"text"[..])
        );
        let rsyslog = parse(b"2026-11-21T05:00:07.123456+01:00 web-1 kernel: [ 1.0] up").expect("rsyslog");
        assert_eq!(rsyslog.time, Time::Known(iso("2026-11-21T04:00:07.123456Z")));
        assert_eq!((rsyslog.program, rsyslog.message), ("kernel", &b"[ 1.0] up"[..]));
        for other in [
            &b"Nov 31"[..],
            b"Nov 00 05:00:07 h p: x",
            b"hello world",
            b"",
            b"<34>1 x",
            b"<999>Nov  1 05:00:07 ",
        ] {
            assert!(parse(other).is_none(), "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn a_missing_year_is_the_files_or_the_one_given() {
        let at = |line: &[u8]| clock(line).expect("a clock").0;
        let (december, january) = (at(b"Dec 31 23:59:59 "), at(b"Jan  1 00:00:01 "));
        let mut file = Years::up_to(iso("2026-01-02T00:00:00Z"));
        assert_eq!(file.time(december, 0), Some(iso("2025-12-31T23:59:59Z")));
        assert_eq!(file.time(january, 0), Some(iso("2026-01-01T00:00:01Z")));
        assert_eq!(file.time(at(b"Feb 29 00:00:00 "), 0), Some(iso("2024-02-29T00:00:00Z")));
        let mut whole = Times::new(file, 0);
        for line in [
            "Dec 31 00:00:00 ",
            "Dec 31 23:59:59 ",
            "Jan  1 00:00:01 ",
            "Jan  2 01:00:00 ",
            "Jan  3 00:00:00 ",
            "Jan  3 00:00:01 ",
            "Jan  3 00:00:00 ",
        ] {
            assert_eq!(
                whole.time(at(line.as_bytes())),
                file.time(at(line.as_bytes()), 0),
                "{line}"
            );
        }
        let mut given = Years::From(2019, 0);
        assert_eq!(given.time(december, 3600), Some(iso("2019-12-31T22:59:59Z")));
        assert_eq!(given.time(january, -3600), Some(iso("2020-01-01T01:00:01Z")));
        assert_eq!(Years::From(2019, 0).time(at(b"Feb 29 00:00:00 "), 0), None);
    }
}

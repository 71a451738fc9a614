//! Times and lengths of time as options take them: in the forms of docker, journalctl and ausearch.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime};

/// A time, nanoseconds since the epoch: RFC 3339, parts of it without a zone (UTC), `11/21/2026 10:11:12`, seconds since
/// the epoch, a word (`today`, `recent`), or a length of time before now (`10m`, `2 hours ago`).
pub(crate) fn time(text: &str) -> Result<u64, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    at(text.trim(), u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}

/// A time, seen from `now`.
fn at(text: &str, now: u64) -> Result<u64, String> {
    if let Some(ns) = seconds(text.strip_prefix('@').unwrap_or(text)) {
        return Ok(ns);
    }
    let local = || clock(text, now).or_else(|| word(text, now)).and_then(nanoseconds);
    let zoned = || {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .and_then(|t| nanoseconds(t.naive_utc()))
    };
    zoned().or_else(local).or_else(|| distance(text, now)).ok_or_else(|| {
        "write 2026-11-21T10:11:12Z, \"2026-11-21 10:11:12\" (UTC), 2026-11-21, 10:11, seconds since 1970, now, recent, \
         this-hour, today, yesterday, this-week, week-ago, this-month, last-month, this-year, or how long ago: 10m, 1h30m, \
         \"2 days ago\""
            .to_owned()
    })
}

fn nanoseconds(time: NaiveDateTime) -> Option<u64> {
    u64::try_from(time.and_utc().timestamp_nanos_opt()?).ok()
}

fn date_time(ns: u64) -> Option<NaiveDateTime> {
    Some(DateTime::from_timestamp_nanos(i64::try_from(ns).ok()?).naive_utc())
}

/// Dates as ISO 8601 has them, and as ausearch reads and prints them where the locale is C.
const DATES: [&str; 3] = ["%Y-%m-%d", "%m/%d/%Y", "%m/%d/%y"];
const CLOCKS: [&str; 2] = ["%H:%M:%S%.f", "%H:%M"];

/// A date, a time of day, or both.
fn clock(text: &str, now: u64) -> Option<NaiveDateTime> {
    let date = |text: &str| DATES.iter().find_map(|f| day(text, f));
    let clock = |text: &str| CLOCKS.iter().find_map(|f| NaiveTime::parse_from_str(text, f).ok());
    match text.split_once([' ', 'T']) {
        Some((day, of_day)) => Some(date(day)?.and_time(clock(of_day)?)),
        None => match clock(text) {
            Some(of_day) => Some(date_time(now)?.date().and_time(of_day)),
            None => Some(date(text)?.and_time(NaiveTime::MIN)),
        },
    }
}

/// `%Y` alone would take `26` for the year 26.
fn day(text: &str, format: &str) -> Option<NaiveDate> {
    let date = NaiveDate::parse_from_str(text, format).ok()?;
    (date.year() >= 1970).then_some(date)
}

/// A word of ausearch or journalctl. Days and what is longer begin at midnight, weeks on Sunday.
fn word(text: &str, now: u64) -> Option<NaiveDateTime> {
    let time = date_time(now)?;
    let today = time.date();
    let date = match text {
        "now" => return Some(time),
        "recent" => return date_time(now.checked_sub(10 * 60 * 1_000_000_000)?),
        "this-hour" => return date_time(now - now % 3_600_000_000_000),
        "today" => today,
        "yesterday" => today.checked_sub_days(Days::new(1))?,
        "tomorrow" => today.checked_add_days(Days::new(1))?,
        "this-week" => today.checked_sub_days(Days::new(today.weekday().num_days_from_sunday().into()))?,
        "week-ago" => today.checked_sub_days(Days::new(7))?,
        "this-month" => today.with_day(1)?,
        "last-month" => today.with_day(1)?.checked_sub_months(Months::new(1))?,
        "this-year" => today.with_ordinal(1)?,
        _ => return None,
    };
    Some(date.and_time(NaiveTime::MIN))
}

/// How long ago: `10m`, `-10m`, `10 min ago`.
fn distance(text: &str, now: u64) -> Option<u64> {
    let text = text.strip_prefix('-').unwrap_or(text);
    let text = text.strip_suffix("ago").unwrap_or(text);
    // Before the epoch nothing happened: a length that reaches beyond it means everything.
    Some(now.saturating_sub(length(text).ok()?))
}

/// Seconds since the epoch, with or without a fraction.
fn seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let ns = whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?;
    ns.checked_add(format!("{fraction:0<9}").parse().ok()?)
}

/// Units of time with their nanoseconds.
const UNITS: [(&[&str], u64); 6] = [
    (&["ms", "msec"], 1_000_000),
    (&["", "s", "sec", "second", "seconds"], 1_000_000_000),
    (&["m", "min", "minute", "minutes"], 60_000_000_000),
    (&["h", "hr", "hour", "hours"], 3_600_000_000_000),
    (&["d", "day", "days"], 86_400_000_000_000),
    (&["w", "week", "weeks"], 604_800_000_000_000),
];

/// A length of time: `90s`, `5m`, `1h30m`, `1.5h`, `2 days`, `250ms`; a number alone is seconds. Nanoseconds.
pub(crate) fn length(text: &str) -> Result<u64, String> {
    let wrong = || "write 90s, 5m, 1h30m, 1d or 250ms".to_owned();
    let mut rest = text.trim();
    let mut total: u64 = 0;
    loop {
        let (number, behind) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, behind) = split(behind.trim_start(), |c| c.is_ascii_alphabetic());
        let (_, ns) = UNITS
            .iter()
            .find(|(names, _)| names.contains(&unit))
            .ok_or_else(wrong)?;
        let part = times(number, *ns).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = behind.trim_start();
        if rest.is_empty() {
            return Ok(total);
        }
    }
}

/// The beginning whose characters are such, and the rest.
fn split(text: &str, is_such: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !is_such(c)).unwrap_or(text.len()))
}

/// A decimal number of units.
fn times(number: &str, ns: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.len() > 9 {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(ns)?;
    let part =
        u128::from(fraction.parse::<u64>().ok()?) * u128::from(ns) / 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    whole.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form() {
        let at = Ok(1_795_255_872_500_000_000);
        for text in [
            "2026-11-21T10:11:12.5Z",
            "2026-11-21T11:11:12.5+01:00",
            "2026-11-21 10:11:12.5",
            "1795255872.5",
        ] {
            assert_eq!(time(text), at, "{text}");
        }
        for wrong in [
            "",
            "boot",
            "26-11-21",
            "21/11/2026",
            "ago",
            "2026-13-01T00:00:00Z",
            "99999999999999w",
            "NaN",
            "1e300",
            "1900-01-01T00:00:00Z",
        ] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_left_out_is_of_now() {
        // A Saturday, 10:11:12.5.
        let now = 1_795_255_872_500_000_000;
        let back = |ns: u64| now - ns;
        let midnight = |day: u64| Ok((1_795_219_200 - day * 86_400) * 1_000_000_000);
        let (second, minute) = (1_000_000_000, 60_000_000_000);
        for (text, expected) in [
            ("now", Ok(now)),
            ("today", midnight(0)),
            ("2026-11-21", midnight(0)),
            ("11/21/2026", midnight(0)),
            ("11/21/26", midnight(0)),
            ("yesterday", midnight(1)),
            ("this-week", midnight(6)),
            ("week-ago", midnight(7)),
            ("this-month", midnight(20)),
            ("this-year", midnight(324)),
            ("recent", Ok(back(10 * minute))),
            ("this-hour", Ok(back(11 * minute + 12 * second + second / 2))),
            ("10:11", Ok(back(12 * second + second / 2))),
            ("11/20/26 10:11:12.5", Ok(back(1440 * minute))),
            ("2026-11-21T10:11", Ok(back(12 * second + second / 2))),
            ("10m", Ok(back(10 * minute))),
            ("-1h30m", Ok(back(90 * minute))),
            ("1.5h", Ok(back(90 * minute))),
            ("2 days ago", Ok(back(2880 * minute))),
            ("99999 days ago", Ok(0)),
            ("@1795255872", Ok(back(second / 2))),
        ] {
            assert_eq!(at(text, now), expected, "{text}");
        }
    }

    #[test]
    fn lengths_have_units() {
        assert_eq!((length("90"), length("2m")), (Ok(90_000_000_000), Ok(120_000_000_000)));
        assert_eq!(
            (length("250ms"), length("1h")),
            (Ok(250_000_000), Ok(3_600_000_000_000))
        );
        assert_eq!(
            (length("1h 30min"), length("1.25s")),
            (Ok(5_400_000_000_000), Ok(1_250_000_000))
        );
        for wrong in ["", "s", "5y", "-5s", "1.s", "1.2.3s", "99999999999999d"] {
            assert!(length(wrong).is_err(), "{wrong}");
        }
    }
}

//! The engine's timestamps: RFC 3339 text to nanoseconds since the Unix epoch.

use ctrace_trace::calendar;

/// Reads `2026-11-20T23:16:09.742829608Z` or the same with `+01:00`. `None` when it is not of this form or lies before
/// 1970, as Go's zero time `0001-01-01T00:00:00Z` ("never") does.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let ([year, month, day, hour, minute, second], fraction, zone) = padded(text).or_else(|| split(text))?;
    let seconds = seconds_utc([year, month, day], [hour, minute, second])?;
    let seconds = u64::try_from(seconds - zone_offset(zone)?).ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanoseconds(fraction)?)
}

/// Nanoseconds since the Unix epoch of a year, month and day and an hour, minute and second in UTC. `None` before 1970.
pub(crate) fn utc_ns(date: [i64; 3], clock: [i64; 3]) -> Option<u64> {
    u64::try_from(seconds_utc(date, clock)?)
        .ok()?
        .checked_mul(1_000_000_000)
}

fn seconds_utc([year, month, day]: [i64; 3], [hour, minute, second]: [i64; 3]) -> Option<i64> {
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !in_range || year > 9999 {
        return None;
    }
    Some(calendar::days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Year to second, fraction, zone.
type Parts<'a> = ([i64; 6], &'a str, &'a str);

/// A time whose numbers have all their digits: what logs are full of.
fn padded(text: &str) -> Option<Parts<'_>> {
    let head: &[u8; 19] = text.as_bytes().first_chunk()?;
    let separators = [head[4], head[7], head[10], head[13], head[16]];
    if separators != *b"--T::" {
        return None;
    }
    let numbers = [
        two_digits(head[0], head[1])? * 100 + two_digits(head[2], head[3])?,
        two_digits(head[5], head[6])?,
        two_digits(head[8], head[9])?,
        two_digits(head[11], head[12])?,
        two_digits(head[14], head[15])?,
        two_digits(head[17], head[18])?,
    ];
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at_checked(rest.bytes().take_while(u8::is_ascii_digit).count())?,
        None => ("", rest),
    };
    zone.starts_with(['Z', '+', '-']).then_some((numbers, fraction, zone))
}

/// Any other.
fn split(text: &str) -> Option<Parts<'_>> {
    let (date, rest) = text.split_once('T')?;
    let zone_at = rest.find(['Z', '+', '-'])?;
    let (clock, zone) = rest.split_at_checked(zone_at)?;
    let [year, month, day] = numbers(date, '-')?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let [hour, minute, second] = numbers(clock, ':')?;
    Some(([year, month, day, hour, minute, second], fraction, zone))
}

/// Three unsigned decimal numbers.
fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(|part| {
        let digits = !part.is_empty() && part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse().ok()).flatten()
    });
    let all = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(all)
}

/// Seconds east of UTC.
fn zone_offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    if let [_, h1, h2, b':', m1, m2] = zone.as_bytes()
        && let (Some(hours), Some(minutes)) = (two_digits(*h1, *h2), two_digits(*m1, *m2))
    {
        return Some(sign * (hours * 3600 + minutes * 60));
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
    Some(sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60))
}

fn two_digits(tens: u8, ones: u8) -> Option<i64> {
    let is_number = tens.is_ascii_digit() && ones.is_ascii_digit();
    is_number.then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

/// The engine trims trailing zeros of the fraction, so its length says its unit.
fn nanoseconds(fraction: &str) -> Option<u64> {
    let mut value = 0;
    let mut unit = 100_000_000;
    for byte in fraction.bytes() {
        value += u64::from(byte.checked_sub(b'0').filter(|d| *d < 10)?) * unit;
        unit /= 10;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-20T23:16:09.742829608Z", Some(1_795_216_569_742_829_608)),
            ("2000-02-29T12:00:00.5Z", Some(951_825_600_500_000_000)),
            ("2026-11-21T00:16:09+01:00", Some(1_795_216_569_000_000_000)),
            ("2026-11-20T18:16:09-05:00", Some(1_795_216_569_000_000_000)),
            ("0001-01-01T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-01-01", None),
            ("", None),
            ("2026-01-01T00:00:00.-5Z", None),
            ("2026-01-01T00:00:+0:00Z", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_rfc3339(text), expected, "{text}");
            assert!(padded(text).is_none_or(|parts| split(text) == Some(parts)), "{text}");
        }
        assert_eq!(parse_rfc3339("2026-1-2T3:4:5Z"), parse_rfc3339("2026-01-02T03:04:05Z"));
    }
}

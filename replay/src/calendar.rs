//! Times of events as text and back, in UTC and the Gregorian calendar.

use std::fmt;

use crate::typed::clock::civil;

const DAY: u64 = 86_400_000_000_000;

/// Appends `HH:MM:SS.nnnnnnnnn` of nanoseconds since the epoch.
pub(crate) fn push_time_of_day(ts: u64, out: &mut String) {
    let (seconds, ns) = (ts / 1_000_000_000 % 86_400, ts % 1_000_000_000);
    push_digits(seconds / 3600, 2, out);
    out.push(':');
    push_digits(seconds / 60 % 60, 2, out);
    out.push(':');
    push_digits(seconds % 60, 2, out);
    out.push('.');
    push_digits(ns, 9, out);
}

/// Appends `YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ` of nanoseconds since the epoch.
pub(crate) fn push_iso8601(ts: u64, out: &mut String) {
    let (year, month, day) = civil(ts / DAY);
    push_digits(year, 4, out);
    out.push('-');
    push_digits(month, 2, out);
    out.push('-');
    push_digits(day, 2, out);
    out.push('T');
    push_time_of_day(ts, out);
    out.push('Z');
}

/// Appends the last `count` digits of a number. Formatting with `{:09}` takes several times as long, and each line has
/// a time.
fn push_digits(mut number: u64, count: usize, out: &mut String) {
    let mut digits = [b'0'; 9];
    let used = digits.len().min(count);
    for digit in digits.iter_mut().take(used).rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.push_str(
        digits
            .get(..used)
            .and_then(|d| std::str::from_utf8(d).ok())
            .unwrap_or_default(),
    );
}

/// `YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ` of nanoseconds since the epoch.
pub(crate) struct Iso8601(pub(crate) u64);

impl fmt::Display for Iso8601 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        push_iso8601(self.0, &mut out);
        f.write_str(&out)
    }
}

/// The day since 1970-01-01 of a date; the inverse of [`civil`].
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let shifted = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, year_of_era) = (shifted / 400, shifted % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

/// Nanoseconds since the epoch of `YYYY-MM-DD` or `YYYY-MM-DDTHH:MM:SSZ` (years 1970 to 2500).
pub(crate) fn parse(text: &str) -> Option<u64> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time.strip_suffix('Z')?)),
        None => (text, None),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [h, m, s] = time.map_or(Some([0; 3]), |t| numbers(t, ':', [2, 2, 2]))?;
    if !(1970..=2500).contains(&year) || h > 23 || m > 59 || s > 59 || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    let at = days(year, month, day)?;
    (civil(at) == (year, month, day)).then_some(at * DAY + (h * 3600 + m * 60 + s) * 1_000_000_000)
}

/// Three numbers of so many digits with a separator between them.
fn numbers(text: &str, separator: char, digits: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(separator);
    let mut out = [0; 3];
    for (number, len) in out.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != len || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(out)
}

/// Nanoseconds of a length of time as people write it: `500ms`, `10s`, `5m`, `2h`, `1d`.
pub fn parse_span(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let count: u64 = text.get(..digits)?.parse().ok()?;
    let unit = match text.get(digits..)? {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => DAY,
        _ => return None,
    };
    count.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_known_days() {
        assert_eq!(Iso8601(0).to_string(), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(
            Iso8601(951_782_400_000_000_001).to_string(),
            "2000-02-29T00:00:00.000000001Z"
        );
        assert_eq!(
            Iso8601(1_735_689_599_999_999_999).to_string(),
            "2024-12-31T23:59:59.999999999Z"
        );
        assert_eq!(
            Iso8601(4_107_542_400_000_000_000).to_string(),
            "2100-03-01T00:00:00.000000000Z"
        );
    }

    #[test]
    fn dates_lead_back_to_their_times() {
        for day in (0..190_000).step_by(13) {
            let text = Iso8601(day * DAY).to_string();
            assert_eq!(parse(text.get(..10).unwrap_or("")), Some(day * DAY), "{text}");
        }
        assert_eq!(parse("2024-12-31T23:59:59Z"), Some(1_735_689_599_000_000_000));
        for wrong in [
            "2025-02-29",
            "2025-13-01",
            "2025-1-1",
            "today",
            "2025-01-01T00:00:00",
            "1969-12-31",
            "+025-01-01",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn lengths_of_time() {
        assert_eq!(parse_span("10s"), Some(10_000_000_000));
        assert_eq!(parse_span("2h"), Some(7_200_000_000_000));
        for wrong in ["", "s", "10", "-1s", "1 s", "99999999999d"] {
            assert_eq!(parse_span(wrong), None, "{wrong}");
        }
    }
}

//! Times and lengths of time as people write them, in UTC.

use ctrace_trace::calendar::{DAY, civil, days};

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
    let at = days(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?);
    let at = u64::try_from(at).ok()?;
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
    fn days_and_seconds() {
        assert_eq!(parse("1970-01-01"), Some(0));
        assert_eq!(parse("2000-02-29"), Some(951_782_400_000_000_000));
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

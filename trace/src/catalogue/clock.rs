//! Times as text, UTC, without a calendar of the host.

/// UTC as `HH:MM:SS` and nanoseconds; date in front where wanted.
pub(super) fn clock(ts: u64, date: bool, nanoseconds: bool) -> String {
    separated(ts, date.then_some(' '), nanoseconds)
}

/// The same with what stands between date and time.
fn separated(ts: u64, date: Option<char>, nanoseconds: bool) -> String {
    let (days, seconds) = (ts / 86_400_000_000_000, ts / 1_000_000_000 % 86_400);
    let mut text = String::with_capacity(32);
    if let Some(between) = date {
        let (y, m, d) = civil(days);
        push(y, 4, &mut text);
        text.push('-');
        push(m, 2, &mut text);
        text.push('-');
        push(d, 2, &mut text);
        text.push(between);
    }
    push(seconds / 3600, 2, &mut text);
    text.push(':');
    push(seconds / 60 % 60, 2, &mut text);
    text.push(':');
    push(seconds % 60, 2, &mut text);
    if nanoseconds {
        text.push('.');
        push(ts % 1_000_000_000, 9, &mut text);
    }
    text
}

/// The last digits of a number. Formatting them takes several times as long, and each line has a time.
fn push(mut number: u64, count: usize, out: &mut String) {
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

/// The date of a day since 1970-01-01 in the proleptic Gregorian calendar. Eras of 400 years begin on a first of March,
/// so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

pub(crate) fn iso8601(ts: u64) -> String {
    let mut text = separated(ts, Some('T'), true);
    text.push('Z');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        // 2024-02-29T23:59:59.000000001Z, by `date -u -d`.
        let ts = 1_709_251_199_000_000_001;
        assert_eq!(iso8601(ts), "2024-02-29T23:59:59.000000001Z");
        assert_eq!(clock(ts, false, true), "23:59:59.000000001");
        assert_eq!(clock(0, true, false), "1970-01-01 00:00:00");
        assert_eq!(clock(946_684_800_000_000_000, true, false), "2000-01-01 00:00:00");
    }
}

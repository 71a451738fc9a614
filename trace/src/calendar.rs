//! Dates of the Gregorian calendar, and times of events as text. All in UTC, without the clock of the host.

use std::fmt;

/// Nanoseconds of a day.
pub const DAY: u64 = 86_400_000_000_000;

/// Year, month and day of a day since 1970-01-01. Years are counted from March, so that the leap day is the last of a
/// year, in eras of 400 years.
pub fn civil(days: u64) -> (u64, u64, u64) {
    let days = days.saturating_add(719_468);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

/// Days from 1970-01-01 to a date, the inverse of [`civil`]: negative before it. The date is not checked, but a month
/// is 1 to 12 and a year has four digits.
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    let from_march = (month + 9) % 12;
    let year = if month <= 2 { year - 1 } else { year };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 719_468 days lie between 0000-03-01 and 1970-01-01.
    year * 365 + leap_days + (from_march * 153 + 2) / 5 + day - 1 - 719_468
}

/// Appends `YYYY-MM-DD` of nanoseconds since the epoch.
pub(crate) fn push_date(ts: u64, out: &mut String) {
    let (year, month, day) = civil(ts / DAY);
    push_digits(year, 4, out);
    out.push('-');
    push_digits(month, 2, out);
    out.push('-');
    push_digits(day, 2, out);
}

/// Appends `HH:MM:SS` of nanoseconds since the epoch.
pub(crate) fn push_seconds(ts: u64, out: &mut String) {
    let seconds = ts / 1_000_000_000 % 86_400;
    push_digits(seconds / 3600, 2, out);
    out.push(':');
    push_digits(seconds / 60 % 60, 2, out);
    out.push(':');
    push_digits(seconds % 60, 2, out);
}

/// Appends `HH:MM:SS.nnnnnnnnn` of nanoseconds since the epoch.
pub fn push_time_of_day(ts: u64, out: &mut String) {
    push_seconds(ts, out);
    out.push('.');
    push_digits(ts % 1_000_000_000, 9, out);
}

/// Appends `YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ` of nanoseconds since the epoch.
pub fn push_iso8601(ts: u64, out: &mut String) {
    push_date(ts, out);
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
pub struct Iso8601(pub u64);

impl fmt::Display for Iso8601 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::with_capacity(32);
        push_iso8601(self.0, &mut out);
        f.write_str(&out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_known_days() {
        // By `date -u -d`.
        for (ts, text) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_400_000_000_001, "2000-02-29T00:00:00.000000001Z"),
            (1_709_251_199_000_000_001, "2024-02-29T23:59:59.000000001Z"),
            (1_735_689_599_999_999_999, "2024-12-31T23:59:59.999999999Z"),
            (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000000Z"),
        ] {
            assert_eq!(Iso8601(ts).to_string(), text);
        }
    }

    #[test]
    fn dates_lead_back_to_their_days() {
        for day in 0..190_000 {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year as i64, month as i64, of_month as i64), day as i64);
        }
        assert_eq!(days(1969, 12, 31), -1);
    }

    #[test]
    fn every_month_follows_the_one_before() {
        let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        for year in [1970, 1999, 2000, 2024, 2100] {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            for (month, length) in (1..=12).zip(lengths) {
                let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                let between = days(next_year, next_month, 1) - days(year, month, 1);
                assert_eq!(between, length + i64::from(leap && month == 2), "{year}-{month}");
            }
        }
    }
}

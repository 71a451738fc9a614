//! Times as text, UTC, without a calendar of the host.

/// UTC as `HH:MM:SS` and nanoseconds; date in front where wanted.
pub(super) fn clock(ts: u64, date: bool, nanoseconds: bool) -> String {
    let (days, seconds) = (ts / 86_400_000_000_000, ts / 1_000_000_000 % 86_400);
    let mut text = String::new();
    if date {
        let (y, m, d) = civil(days);
        text.push_str(&format!("{y:04}-{m:02}-{d:02} "));
    }
    text.push_str(&format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    ));
    if nanoseconds {
        text.push_str(&format!(".{:09}", ts % 1_000_000_000));
    }
    text
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
    format!("{}Z", clock(ts, true, true).replacen(' ', "T", 1))
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

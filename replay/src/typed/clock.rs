//! Parts of a time, as Sigma's modifiers name them. All in UTC.

use ctrace_trace::calendar::civil;

/// A part of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimePart {
    Minute,
    Hour,
    /// Of the month.
    Day,
    /// Of the year, as ISO 8601 counts them.
    Week,
    Month,
    Year,
}

impl TimePart {
    pub(crate) const ALL: [(&'static str, TimePart); 6] = [
        ("minute", TimePart::Minute),
        ("hour", TimePart::Hour),
        ("day", TimePart::Day),
        ("week", TimePart::Week),
        ("month", TimePart::Month),
        ("year", TimePart::Year),
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|p| p.1 == self).map_or("", |p| p.0)
    }

    /// This part of a time in nanoseconds since the Unix epoch.
    pub(crate) fn of(self, ns: u64) -> u64 {
        let seconds = ns / 1_000_000_000;
        let days = seconds / 86_400;
        let (year, month, day) = civil(days);
        match self {
            TimePart::Minute => seconds / 60 % 60,
            TimePart::Hour => seconds / 3600 % 24,
            TimePart::Day => day,
            TimePart::Week => week(days),
            TimePart::Month => month,
            TimePart::Year => year,
        }
    }
}

/// The week of a day since 1970-01-01, a Thursday: weeks belong to the year of their Thursday.
fn week(days: u64) -> u64 {
    let thursday = days + 3 - (days + 3) % 7;
    let (mut first, (year, ..)) = (thursday, civil(thursday));
    while first > 0 && civil(first - 1).0 == year {
        first -= 1;
    }
    (thursday - first) / 7 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_known_times() {
        let parts = |s: u64| TimePart::ALL.map(|(_, part)| part.of(s * 1_000_000_000));
        assert_eq!(parts(0), [0, 0, 1, 1, 1, 1970]);
        // 2023-11-14T22:13:20Z, a Tuesday.
        assert_eq!(parts(1_700_000_000), [13, 22, 14, 46, 11, 2023]);
        // 2021-01-03 is a Sunday of the last week of 2020.
        assert_eq!(parts(1_609_632_000), [0, 0, 3, 53, 1, 2021]);
    }
}

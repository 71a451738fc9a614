//! Times and lengths of time as options take them.

use chrono::{DateTime, NaiveDateTime};

/// A time: RFC 3339, the same without a zone (UTC), or seconds since the Unix epoch. Nanoseconds since the epoch.
pub(crate) fn time(text: &str) -> Result<u64, String> {
    let wrong = || "write 2026-11-21T10:11:12Z, \"2026-11-21 10:11:12\" (UTC), or seconds since 1970".to_owned();
    if let Some(ns) = seconds(text) {
        return Ok(ns);
    }
    let zoned = DateTime::parse_from_rfc3339(text).map(|t| t.to_utc());
    let plain = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M"];
    let time = zoned.ok().or_else(|| {
        let mut read = plain.iter().filter_map(|f| NaiveDateTime::parse_from_str(text, f).ok());
        read.next().map(|t| t.and_utc())
    });
    let ns = time.and_then(|t| t.timestamp_nanos_opt()).ok_or_else(wrong)?;
    u64::try_from(ns).map_err(|_| wrong())
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

/// A length of time: `90s`, `5m`, `2h`, `1d`, `250ms`; a number alone is seconds. Nanoseconds.
pub(crate) fn length(text: &str) -> Result<u64, String> {
    let wrong = || "write 90s, 5m, 2h, 1d or 250ms".to_owned();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit: u64 = match unit {
        "ms" => 1_000_000,
        "" | "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
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
            "yesterday",
            "2026-13-01T00:00:00Z",
            "-1",
            "NaN",
            "1e300",
            "1900-01-01T00:00:00Z",
        ] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lengths_have_units() {
        assert_eq!((length("90"), length("2m")), (Ok(90_000_000_000), Ok(120_000_000_000)));
        assert_eq!(
            (length("250ms"), length("1h")),
            (Ok(250_000_000), Ok(3_600_000_000_000))
        );
        for wrong in ["", "s", "5w", "-5s", "99999999999999d"] {
            assert!(length(wrong).is_err(), "{wrong}");
        }
    }
}

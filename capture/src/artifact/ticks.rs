//! The clock that stamps files: whether a change would show.
//!
//! It stands still between its ticks, for as long as some milliseconds, and longer where the CPU that counts time is a
//! virtual one that does not run. Two changes in between bear one time. Once it has been seen to be past the time of a
//! file's last change, each later change has a later time.

use std::collections::VecDeque;

use ctrace_trace::artifact::UNSTAMPED_NS;

/// The least that file systems keep of the time of a change.
const SECOND_NS: u64 = 1_000_000_000;
/// Readings that are kept; at one for each turn of the recorder they reach back some seconds.
const KEPT: usize = 512;

/// Readings of that clock, with the boot clock just after each.
#[derive(Debug, Default)]
pub(crate) struct Ticks {
    readings: VecDeque<(u64, u64)>,
}

impl Ticks {
    /// Reads it.
    pub(crate) fn read(&mut self) {
        let stamp = stamp_now();
        if self.readings.back().is_some_and(|(_, last)| *last == stamp) {
            return;
        }
        if self.readings.len() >= KEPT {
            self.readings.pop_front();
        }
        self.readings.push_back((crate::host::boot_time_ns(), stamp));
    }

    /// How far it had come by a moment of the boot clock at least, which was at a time in UTC.
    pub(crate) fn by(&self, boot_ns: u64, utc_ns: u64) -> u64 {
        let reading = self.readings.iter().rev().find(|(at, _)| *at <= boot_ns);
        let read = reading.map_or(0, |(_, stamp)| *stamp);
        read.max(utc_ns.saturating_sub(UNSTAMPED_NS))
    }
}

/// The clock as it is now. Asked of the kernel itself: what it shows to programs without a call may be ahead of what it
/// stamps files with.
pub(super) fn stamp_now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec that lives through the call.
    let read = unsafe { libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_REALTIME_COARSE, &raw mut time) };
    match (read, u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec)) {
        (0, Ok(seconds), Ok(nanoseconds)) => seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds),
        _ => 0,
    }
}

/// Whether every change after that clock was seen at `stamp` has a later time than `ctime`.
///
/// A file system may keep less of a time than the clock tells: a round number may stand for all times up to the next one.
pub(super) fn is_past(ctime: u64, stamp: u64) -> bool {
    let mut step = 1_u64;
    while step < SECOND_NS && ctime.is_multiple_of(step * 10) {
        step *= 10;
    }
    ctime.saturating_add(step) <= stamp
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::MetadataExt;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn times_of_less_precision_need_more_distance() {
        let at = 1_700_000_000_123_456_789;
        assert!(is_past(at, at + 1) && !is_past(at, at));
        let millisecond = 1_700_000_000_123_000_000;
        assert!(is_past(millisecond, millisecond + 1_000_000) && !is_past(millisecond, millisecond + 999_999));
        let second = 1_700_000_001_000_000_000;
        assert!(is_past(second, second + 1_000_000_000) && !is_past(second, second + 900_000_000));
    }

    #[test]
    fn a_reading_counts_from_its_moment_on() {
        let ticks = Ticks {
            readings: VecDeque::from([(100, 5_000_000_001), (200, 5_000_000_005)]),
        };
        let utc = 5_000_000_010;
        assert_eq!(ticks.by(99, utc), utc - UNSTAMPED_NS, "the second that always suffices");
        assert_eq!(ticks.by(100, utc), 5_000_000_001);
        assert_eq!(ticks.by(500, utc), 5_000_000_005);
    }

    /// What the whole proof stands on: a change after the clock was seen past the last one has another time.
    #[test]
    fn a_later_change_has_another_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        for _ in 0..50 {
            std::fs::write(&path, b"a").expect("writable");
            let ctime = |path| {
                let about = File::open(path).and_then(|f| f.metadata()).expect("there");
                about.ctime().unsigned_abs() * 1_000_000_000 + about.ctime_nsec().unsigned_abs()
            };
            let before = ctime(&path);
            let begun = Instant::now();
            while !is_past(before, stamp_now()) && begun.elapsed() < Duration::from_secs(10) {}
            std::fs::write(&path, b"b").expect("writable");
            assert!(ctime(&path) > before);
        }
    }
}

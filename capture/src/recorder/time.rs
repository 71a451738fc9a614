//! The relation of the kernel's boot clock to UTC, measured again and again: the wall clock may be set at any time.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::resolver::Clock;
use crate::syscall::boot_time_ns;

/// A jump of the wall clock beyond this is a step, below it is the usual slewing by NTP.
const STEP_NS: u64 = 10_000_000;

/// UTC now, nanoseconds since the Unix epoch.
pub(super) fn utc_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}

/// UTC minus boot clock. The two cannot be read at once: of some tries the one that took the least time counts.
fn offset() -> i64 {
    let tries = (0..5).map(|_| {
        let before = boot_time_ns();
        let utc = utc_now();
        let after = boot_time_ns();
        let middle = before + (after - before) / 2;
        (after - before, utc.cast_signed() - middle.cast_signed())
    });
    tries.min().map_or(0, |(_, offset)| offset)
}

/// The clock in use, and how it is kept right.
#[derive(Debug)]
pub(super) struct Clocks {
    current: Clock,
}

impl Clocks {
    pub(super) fn new() -> Clocks {
        Clocks { current: Clock { offset_ns: offset() } }
    }

    /// What turns the boot clock into UTC now.
    pub(super) fn current(&self) -> Clock {
        self.current
    }

    /// Measures again; tells by how much the wall clock was set, if it was. Slewing is followed silently.
    pub(super) fn refresh(&mut self) -> Option<i64> {
        let now = offset();
        let delta = now - self.current.offset_ns;
        self.current = Clock { offset_ns: now };
        (delta.unsigned_abs() > STEP_NS).then_some(delta)
    }
}

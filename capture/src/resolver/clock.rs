//! From the kernel's boot clock to UTC.

/// How far apart two readings of one start may be: /proc tells hundredths of a second, and the clock is measured anew.
const START_TICK_NS: u64 = 20_000_000;

/// Whether two starts of processes that had one id are the same.
pub(crate) fn same_start(a: u64, b: u64) -> bool {
    a.abs_diff(b) <= START_TICK_NS
}

/// The difference between the two clocks, as it was measured last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// UTC minus boot clock, nanoseconds.
    pub offset_ns: i64,
}

impl Clock {
    /// UTC nanoseconds since the Unix epoch of a time of the boot clock.
    #[inline]
    pub fn utc(&self, boot_ns: u64) -> u64 {
        // Only where the clock was never set has a host run for longer than since the epoch.
        match u64::try_from(self.offset_ns) {
            Ok(later) => boot_ns.saturating_add(later),
            Err(_) => boot_ns.saturating_add_signed(self.offset_ns),
        }
    }
}

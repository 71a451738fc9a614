//! From the kernel's boot clock to UTC.

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
        boot_ns.saturating_add_signed(self.offset_ns)
    }
}

//! How long records wait for others that happened before them.
//!
//! Every source has its own delay between what happens and the recorder: rings are emptied every few milliseconds, the
//! engine and the kernel's audit queue take some milliseconds, on a host with six busy processes per core a tenth of a
//! second. Waiting costs memory, so that it is long where little waits and short where much does.

/// How long records wait.
pub(super) const HOLD_NS: u64 = 250_000_000;
/// How long they wait where more than [`COMFORT_BYTES`] wait.
const SHORT_HOLD_NS: u64 = 100_000_000;
/// Longest wait for a source that is behind.
const MAX_HOLD_NS: u64 = 1_000_000_000;
/// What may wait without a thought.
const COMFORT_BYTES: usize = 48 << 20;
/// Records wait no longer than it takes to fill this.
pub(super) const MAX_BYTES: usize = 128 << 20;

/// How far a slow source has come, on the boot clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    /// All that it had at this time was taken.
    pub(super) drained: u64,
    /// It may still have something of this time.
    pub(super) open: u64,
}

impl Settled {
    /// Nothing has to be waited for.
    pub(super) const ALL: Settled = Settled {
        drained: u64::MAX,
        open: u64::MAX,
    };
}

/// What is not newer than this has waited long enough. Boot clock.
pub(super) fn horizon(now: u64, settled: Settled, bytes: usize) -> u64 {
    let hold = if bytes > COMFORT_BYTES { SHORT_HOLD_NS } else { HOLD_NS };
    let wanted = now.min(settled.drained).saturating_sub(hold);
    let complete = wanted.min(settled.open.saturating_sub(1));
    complete.max(now.saturating_sub(MAX_HOLD_NS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn what_waits_depends_on_memory_and_on_who_is_behind() {
        let now = 10_000 * MS;
        let at = |drained, open, bytes| horizon(now, Settled { drained, open }, bytes) / MS;
        assert_eq!(horizon(now, Settled::ALL, 0) / MS, 9_750);
        assert_eq!(at(u64::MAX, u64::MAX, COMFORT_BYTES + 1), 9_900);
        assert_eq!(at(9_900 * MS, u64::MAX, 0), 9_650, "the reader is 100 ms behind");
        assert_eq!(at(9_990 * MS, 9_500 * MS + 1, 0), 9_500, "an event is not complete");
        assert_eq!(
            at(9_990 * MS, 2_000 * MS, 0),
            9_000,
            "nothing is waited for longer than a second"
        );
        assert_eq!(at(0, u64::MAX, MAX_BYTES), 9_000);
    }
}

//! How long the recorder sleeps, and how often it writes what has waited long enough.
//!
//! Where little comes, both are done seldom: whoever works on the host takes the caches, and to fetch what the recorder
//! needs again costs as much for a few records as for thousands.

use std::time::Duration;

/// How often the rings are emptied where much comes.
pub(super) const TICK: Duration = Duration::from_millis(5);
/// How often at least where something else than the rings is waited for: a source that has room for little, a script that
/// its interpreter is about to open.
pub(super) const LONG_TICK: Duration = Duration::from_millis(20);
/// How often at least where nothing is. A ring that fills ends the wait.
const PATIENCE: Duration = Duration::from_millis(100);
/// Fewer records a second are few.
const FEW: u64 = 500_000;
/// How often losses and the clock are looked at, and what was taken is written: with what waits for its place in the
/// order of time, a recorder that is killed loses no more than a second. Where few records come, they are resolved no
/// sooner either.
const CHECK: Duration = Duration::from_millis(600);

/// What was done when.
#[derive(Debug)]
pub(super) struct Pace {
    /// The longest that the rings may be left alone.
    longest: Duration,
    /// When they were emptied last, and when all was looked at; boot clock.
    taken: u64,
    checked: u64,
    is_quiet: bool,
    /// The next turn comes soon: something was executed that is about to do more.
    hurries: bool,
}

impl Pace {
    /// From a moment of the boot clock on, as all that is here, with rings that can be left alone for so long; for as long as
    /// they do not fill, where nothing is said.
    pub(super) fn new(rings: Option<Duration>, now: u64) -> Pace {
        Pace {
            longest: rings.map_or(PATIENCE, |rings| rings.clamp(TICK, LONG_TICK)),
            taken: 0,
            checked: now,
            is_quiet: true,
            hurries: false,
        }
    }

    /// So many records were taken by then.
    pub(super) fn took(&mut self, records: usize, now: u64) {
        let elapsed = now.saturating_sub(self.taken).max(ns(TICK));
        self.taken = now;
        // Of the first turn nobody knows for how long its records had come.
        self.is_quiet = (records as u64).saturating_mul(1_000_000_000) < elapsed.saturating_mul(FEW);
    }

    /// Whether what has waited long enough is to be written now; not each time where that is little.
    pub(super) fn writes(&self, now: u64, much_waits: bool) -> bool {
        !self.is_quiet || much_waits || self.is_due(now)
    }

    /// Whether it is time to look at losses and to bring all that was taken to the disk.
    pub(super) fn is_due(&self, now: u64) -> bool {
        now >= self.checked.saturating_add(ns(CHECK))
    }

    /// That was begun.
    pub(super) fn checked(&mut self, now: u64) {
        self.checked = now;
    }

    /// The wait was ended by something that goes on, or not.
    pub(super) fn hurry(&mut self, hurries: bool) {
        self.hurries = hurries;
    }

    /// How long to wait for the next turn, where something is waited for or not.
    pub(super) fn pause(&self, now: u64, is_awaited: bool) -> Duration {
        if self.hurries || !self.is_quiet {
            return TICK;
        }
        let longest = if is_awaited {
            self.longest.min(LONG_TICK)
        } else {
            self.longest
        };
        // What a kill costs is counted from the moment at which it is due.
        longest.min(CHECK.saturating_sub(Duration::from_nanos(now.saturating_sub(self.checked))))
    }
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn many_records_are_taken_and_written_often() {
        let mut pace = Pace::new(None, 900 * MS);
        pace.took(1000, 1000 * MS);
        assert!(!pace.writes(1000 * MS, false));
        assert_eq!(pace.pause(1000 * MS, false), PATIENCE);
        assert_eq!(pace.pause(1000 * MS, true), LONG_TICK);
        pace.took(40_000, 1100 * MS);
        assert!(!pace.writes(1100 * MS, false) && pace.writes(1100 * MS, true));
        assert!(!pace.writes(1299 * MS, false));
        // A burst: more than there may be at so short a notice.
        pace.took(150_000, 1320 * MS);
        assert!(pace.writes(1320 * MS, false));
        assert_eq!(pace.pause(1320 * MS, false), TICK);
        pace.took(900, 1325 * MS);
        assert_eq!(pace.pause(1325 * MS, false), PATIENCE);
        pace.hurry(true);
        assert_eq!(pace.pause(1325 * MS, false), TICK);
    }

    #[test]
    fn what_is_due_is_written_whatever_was_before() {
        let mut pace = Pace::new(None, 1000 * MS);
        pace.took(1, 1500 * MS);
        assert!(!pace.writes(1500 * MS, false) && !pace.is_due(1500 * MS));
        assert_eq!(pace.pause(1590 * MS, false), Duration::from_millis(10));
        assert!(pace.is_due(1600 * MS) && pace.writes(1600 * MS, false));
        pace.checked(1600 * MS);
        assert!(!pace.is_due(1600 * MS) && !pace.writes(1601 * MS, false));
    }

    #[test]
    fn rings_that_cannot_tell_are_not_left_alone() {
        let pause = |ms| {
            let mut pace = Pace::new(Some(Duration::from_millis(ms)), 1000 * MS);
            pace.took(1, 1000 * MS);
            pace.pause(1000 * MS, false)
        };
        assert_eq!([0, 10, 50].map(pause), [TICK, 2 * TICK, LONG_TICK]);
    }
}

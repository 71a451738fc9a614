//! The two clocks: records carry the boot clock, which nobody can set; files carry UTC, which anybody with the privilege
//! can.

use std::time::Duration;

/// How far the offset must move between two samples to be a step. A slewed clock moves by at most 500 ppm (or, after a
/// leap second, 1 s over a day), sampling costs some microseconds.
const STEP_NS: i64 = 10_000_000;
/// How many pairs of readings make a sample: the one with the least time in between counts.
const READINGS: u32 = 5;

/// The boot clock (`CLOCK_BOOTTIME`): nanoseconds since the machine started, the time it slept included.
pub fn boot_time_ns() -> u64 {
    read(libc::CLOCK_BOOTTIME)
}

/// What this process used of all processors so far (`CLOCK_PROCESS_CPUTIME_ID`), nanoseconds.
pub(crate) fn cpu_time_ns() -> u64 {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// For how long the machine slept since it started, as two clocks tell of which one goes on meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slept(u64);

impl Slept {
    /// Until now.
    pub(crate) fn now() -> Slept {
        // A thread that loses its processor between the readings of the two clocks would take that for a sleep: the
        // reading between the two nearest others is the best.
        const NEAR_NS: u64 = 1_000_000;
        const TRIES: usize = 20;
        let mut best = (u64::MAX, 0);
        for _ in 0..TRIES {
            let awake = read(libc::CLOCK_MONOTONIC);
            let boot = boot_time_ns();
            let between = read(libc::CLOCK_MONOTONIC).saturating_sub(awake);
            best = best.min((between, boot.saturating_sub(awake)));
            if between < NEAR_NS {
                break;
            }
        }
        Slept(best.1)
    }

    /// How long the machine slept since the last question; `None` where it did not. `now` is a new reading.
    pub(crate) fn since(&mut self, now: Slept) -> Option<u64> {
        // Less is what the readings of the two clocks are apart.
        const NOTHING_NS: u64 = 100_000_000;
        let slept = now.0.saturating_sub(self.0);
        if slept < NOTHING_NS {
            self.0 = self.0.min(now.0);
            return None;
        }
        self.0 = now.0;
        Some(slept)
    }
}

/// The wall clock (`CLOCK_REALTIME`): nanoseconds since the Unix epoch.
pub fn utc_ns() -> u64 {
    read(libc::CLOCK_REALTIME)
}

/// The wall clock as audit records show it: as it stood at the last tick (`CLOCK_REALTIME_COARSE`), in whole milliseconds.
pub fn audit_utc_ns() -> u64 {
    const MILLISECOND: u64 = 1_000_000;
    read(libc::CLOCK_REALTIME_COARSE) / MILLISECOND * MILLISECOND
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec that lives through the call.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    seconds
        .unwrap_or(0)
        .saturating_mul(1_000_000_000)
        .saturating_add(nanos.unwrap_or(0))
}

/// Converts the boot clock to UTC and notices when somebody sets the wall clock.
///
/// While nobody does, a later time of the boot clock is never an earlier UTC: what a new sample takes back is taken back
/// little by little. Times shortly before the last sample still have the offset that they had before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    before: Offset,
    now: Offset,
}

/// UTC minus boot clock from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offset {
    /// Boot clock at the sample.
    since_ns: u64,
    /// What was sampled.
    ns: i64,
    /// By how much the offset before was larger: this fades at one part in [`FADE`].
    excess_ns: u64,
    /// Boot clock when that is gone.
    steady_ns: u64,
}

/// A larger offset fades by one nanosecond in this many.
const FADE: u64 = 1000;

impl Offset {
    fn new((ns, since_ns): (i64, u64), excess_ns: u64) -> Offset {
        Offset {
            since_ns,
            ns,
            excess_ns,
            steady_ns: since_ns.saturating_add(excess_ns.saturating_mul(FADE)),
        }
    }

    #[inline]
    fn at(&self, boot_ns: u64) -> i64 {
        if boot_ns >= self.steady_ns {
            return self.ns;
        }
        self.fading(boot_ns)
    }

    fn fading(&self, boot_ns: u64) -> i64 {
        let faded = boot_ns.saturating_sub(self.since_ns) / FADE;
        self.ns.saturating_add_unsigned(self.excess_ns.saturating_sub(faded))
    }
}

/// The wall clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Boot clock when it was noticed.
    pub boot_ns: u64,
    /// By how much the wall clock moved, nanoseconds; negative is back.
    pub delta_ns: i64,
}

impl Clock {
    /// Samples both clocks.
    pub fn new() -> Clock {
        Clock::from(sample())
    }

    /// UTC minus boot clock, nanoseconds, at the last sample.
    pub fn offset_ns(&self) -> i64 {
        self.now.ns
    }

    /// UTC minus boot clock, nanoseconds, for a time of the boot clock.
    #[inline]
    pub fn offset_at(&self, boot_ns: u64) -> i64 {
        // What came since the last sample mostly came when nothing of an excess was left.
        if boot_ns >= self.now.steady_ns {
            self.now.ns
        } else if boot_ns >= self.now.since_ns {
            self.now.fading(boot_ns)
        } else {
            self.before.at(boot_ns)
        }
    }

    /// UTC of a time of the boot clock: nanoseconds since the Unix epoch.
    #[inline]
    pub fn utc(&self, boot_ns: u64) -> u64 {
        boot_ns.saturating_add_signed(self.offset_at(boot_ns))
    }

    /// The time of the boot clock that is about this UTC.
    pub fn boot(&self, utc_ns: u64) -> u64 {
        utc_ns.saturating_add_signed(self.now.ns.saturating_neg())
    }

    /// When the machine started: nanoseconds since the Unix epoch.
    pub fn boot_utc_ns(&self) -> u64 {
        0_u64.saturating_add_signed(self.now.ns)
    }

    /// Samples again. Small drift is followed silently, so that files agree with other clocks; a step is reported.
    /// Call it about once a second.
    pub fn resample(&mut self) -> Option<Step> {
        self.take(sample())
    }

    fn take(&mut self, (offset_ns, sampled_ns): (i64, u64)) -> Option<Step> {
        let delta_ns = offset_ns.saturating_sub(self.now.ns);
        // What slewing may have moved since the last sample, which can be long ago after a suspension.
        let slewed = i64::try_from(sampled_ns.saturating_sub(self.now.since_ns) / 1000).unwrap_or(i64::MAX);
        let stepped = delta_ns.saturating_abs() > STEP_NS.max(slewed.min(Duration::from_secs(1).as_nanos() as i64));
        let excess_ns = self
            .offset_at(sampled_ns)
            .saturating_sub(offset_ns)
            .max(0)
            .unsigned_abs();
        self.before = self.now;
        self.now = Offset::new((offset_ns, sampled_ns), if stepped { 0 } else { excess_ns });
        stepped.then_some(Step {
            boot_ns: sampled_ns,
            delta_ns,
        })
    }
}

impl From<(i64, u64)> for Clock {
    /// A clock of one sample: the offset, and the boot clock then.
    fn from(sample: (i64, u64)) -> Clock {
        let now = Offset::new(sample, 0);
        Clock { before: now, now }
    }
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::new()
    }
}

/// The offset and the boot clock's time of it. A reading that was interrupted in the middle is off by as much as it took
/// longer than the others.
fn sample() -> (i64, u64) {
    let reading = |_| {
        let (before, utc, after) = (boot_time_ns(), utc_ns(), boot_time_ns());
        let took = after.saturating_sub(before);
        let boot = before + took / 2;
        (
            took,
            i64::try_from(i128::from(utc) - i128::from(boot)).unwrap_or(0),
            boot,
        )
    };
    let best = (0..READINGS).map(reading).min();
    best.map_or((0, 0), |(_, offset, boot)| (offset, boot))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_is_told_once() {
        const MS: u64 = 1_000_000;
        let mut slept = Slept(5_000 * MS);
        let told = [5_000, 5_090, 4_999, 12_000, 12_001, 12_000].map(|ms| slept.since(Slept(ms * MS)));
        assert_eq!(told, [None, None, None, Some(7_001 * MS), None, None]);
        let mut now = Slept::now();
        assert_eq!(
            now.since(Slept::now()),
            None,
            "the machine does not sleep while it runs tests"
        );
    }

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn utc_of_now_is_now() {
        const NEAR_NS: u64 = 50_000_000;
        let clock = Clock::new();
        // Any of the readings may take long on a busy machine.
        let before = utc_ns();
        let now = clock.utc(boot_time_ns());
        let after = utc_ns();
        assert!(
            (before - NEAR_NS..after + NEAR_NS).contains(&now),
            "{before} {now} {after}"
        );
    }

    #[test]
    fn steps_are_reported_and_drift_is_followed() {
        let mut clock = Clock::from((100 * SECOND as i64, SECOND));
        assert_eq!(clock.take((100 * SECOND as i64 + 400_000, 2 * SECOND)), None, "slewing");
        assert_eq!(clock.utc(2 * SECOND), 102 * SECOND + 400_000);
        let back = clock.take((40 * SECOND as i64, 3 * SECOND)).expect("a step");
        assert_eq!((back.boot_ns, back.delta_ns), (3 * SECOND, -60_000_400_000));
        assert_eq!(clock.take((40 * SECOND as i64, 4 * SECOND)), None, "reported once");
        let leap = clock.take((41 * SECOND as i64, 5 * SECOND)).expect("a leap second");
        assert_eq!(leap.delta_ns, SECOND as i64);
    }

    #[test]
    fn time_does_not_run_backwards_unless_it_was_set() {
        let mut clock = Clock::from((100 * SECOND as i64, SECOND));
        let (mut last, mut boot) = (0, SECOND);
        // The offset goes down by 300 µs, up, and down again before the first excess is gone.
        for offset_ns in [99_999_700_000, 100_000_100_000, 99_999_200_000, 99_999_000_000] {
            let waiting = clock.utc(boot - SECOND / 4);
            assert_eq!(clock.take((offset_ns, boot)), None);
            assert_eq!(clock.utc(boot - SECOND / 4), waiting, "as before the sample");
            for at in (boot..boot + SECOND).step_by(100_000) {
                assert!(clock.utc(at) >= last, "at {at}");
                last = clock.utc(at);
            }
            boot += SECOND / 2;
            assert!(clock.utc(boot) <= last);
            last = clock.utc(boot);
        }
        assert_eq!(
            clock.utc(boot + 2 * SECOND),
            boot + 2 * SECOND + 99_999_000_000,
            "followed in the end"
        );
        clock.take((40 * SECOND as i64, boot)).expect("a step");
        assert_eq!(clock.utc(boot), boot + 40 * SECOND, "at once");
        assert_eq!(clock.boot(boot + 40 * SECOND), boot);
    }
}

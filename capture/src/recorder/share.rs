//! Whether the recorder takes more of a processor than it may, and how much has to be left out so that it does not.

/// How often the processor time is looked at.
const SAMPLE_NS: u64 = 250_000_000;
/// So many samples make the second that a share is of.
const SAMPLES: usize = 4;
/// What was there before a change still costs for so long: records wait before they are resolved and written.
const SETTLE_NS: u64 = 600_000_000;
/// What was left out is tried again after so long at the earliest, and at the latest.
const HOLD_NS: (u64, u64) = (2_000_000_000, 60_000_000_000);
/// Trying in vain may take this part of the bound.
const TRIALS: f64 = 0.2;
/// It is tried again only where less than this part of the bound is used.
const COMFORT: f64 = 0.7;

/// What is left out; each level leaves out what the ones before it do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Nothing.
    #[default]
    Nothing,
    /// The mass: reads, writes, memory, time, waiting.
    Bulk,
    /// And what files are: opening, closing, naming, asking.
    Files,
}

impl Level {
    /// The number by which the kernel side counts what this level leaves out and the ones before it do not.
    pub(crate) fn kind(self) -> u8 {
        match self {
            Level::Nothing | Level::Bulk => 0,
            Level::Files => 1,
        }
    }
}

/// A bound on the share of one core.
#[derive(Debug)]
pub(super) struct CpuBound {
    /// Of one core.
    limit: f64,
    level: Level,
    /// Processor time within each of the last samples.
    samples: Vec<u64>,
    /// Time and processor time at the last sample.
    last: (u64, u64),
    settled_at: u64,
    /// Not before this is anything taken back.
    hold_until: u64,
    /// Processor time when something was taken back last.
    tried_at: Option<u64>,
}

impl CpuBound {
    /// A bound of so many hundredths of one core, from now on; times in nanoseconds.
    pub(super) fn new(percent: f64, now: u64, cpu: u64) -> CpuBound {
        CpuBound {
            limit: percent / 100.0,
            level: Level::Nothing,
            samples: Vec::new(),
            last: (now, cpu),
            settled_at: now,
            hold_until: now,
            tried_at: None,
        }
    }

    /// Takes notice of the processor time used so far, and says what is to be left out.
    pub(super) fn level(&mut self, now: u64, cpu: impl FnOnce() -> u64) -> Level {
        let (then, before) = self.last;
        if now < then.saturating_add(SAMPLE_NS) {
            return self.level;
        }
        let cpu = cpu();
        self.last = (now, cpu);
        if now < self.settled_at {
            return self.level;
        }
        // A sample may have taken longer: what counts is the share.
        let share = cpu.saturating_sub(before) as f64 / now.saturating_sub(then).max(1) as f64;
        if self.samples.len() == SAMPLES {
            self.samples.remove(0);
        }
        self.samples.push((share * SAMPLE_NS as f64) as u64);
        let used = self.samples.iter().sum::<u64>() as f64 / (SAMPLE_NS * SAMPLES as u64) as f64;
        if used > self.limit {
            self.shed(now, cpu);
        } else if self.samples.len() == SAMPLES {
            self.take_back(now, cpu, used);
        }
        self.level
    }

    fn shed(&mut self, now: u64, cpu: u64) {
        let next = match self.level {
            Level::Nothing => Level::Bulk,
            Level::Bulk | Level::Files => Level::Files,
        };
        // What a trial in vain costs is paid for by the time until the next one.
        let cost = self.tried_at.take().map_or(0, |tried| cpu.saturating_sub(tried));
        let hold = (cost as f64 / (self.limit * TRIALS)) as u64;
        self.hold_until = now.saturating_add(hold.clamp(HOLD_NS.0, HOLD_NS.1));
        self.change(next, now);
    }

    fn take_back(&mut self, now: u64, cpu: u64, used: f64) {
        if self.level == Level::Nothing {
            self.tried_at = None;
            return;
        }
        if now < self.hold_until || used > self.limit * COMFORT {
            return;
        }
        let next = match self.level {
            Level::Files => Level::Bulk,
            Level::Bulk | Level::Nothing => Level::Nothing,
        };
        self.tried_at = Some(cpu);
        self.change(next, now);
    }

    fn change(&mut self, next: Level, now: u64) {
        if next != self.level {
            self.level = next;
            self.samples.clear();
            self.settled_at = now.saturating_add(SETTLE_NS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Runs for some seconds with a load that costs so many hundredths of a core at each level. Gives the level at the end
    /// of each second, and the share that was used.
    fn run(bound: &mut CpuBound, at: &mut (u64, u64), seconds: u64, costs: [u64; 3]) -> (Vec<Level>, f64) {
        let (from, before) = *at;
        let mut levels = Vec::new();
        for tick in 1..=seconds * 100 {
            let level = bound.level(at.0, || at.1);
            at.0 += 10 * MS;
            at.1 += costs[level as usize] * 10 * MS / 100;
            if tick % 100 == 0 {
                levels.push(level);
            }
        }
        (levels, (at.1 - before) as f64 / (at.0 - from) as f64)
    }

    #[test]
    fn what_costs_too_much_is_left_out_and_taken_back_when_it_costs_less() {
        let mut at = (0, 0);
        let mut bound = CpuBound::new(5.0, 0, 0);
        let (levels, _) = run(&mut bound, &mut at, 5, [1, 1, 1]);
        assert!(levels.iter().all(|l| *l == Level::Nothing));
        let (levels, used) = run(&mut bound, &mut at, 120, [90, 2, 1]);
        let left_out = levels.iter().filter(|l| **l == Level::Bulk).count();
        assert!(levels[0] == Level::Bulk && left_out > 110, "{levels:?}");
        assert!(!levels.contains(&Level::Files), "{levels:?}");
        assert!(used < 0.05, "{used}");
        let (levels, _) = run(&mut bound, &mut at, 62, [1, 1, 1]);
        assert_eq!(levels.last(), Some(&Level::Nothing), "{levels:?}");
    }

    #[test]
    fn where_the_first_does_not_suffice_the_second_is_left_out() {
        let mut at = (0, 0);
        let mut bound = CpuBound::new(5.0, 0, 0);
        let (levels, used) = run(&mut bound, &mut at, 120, [90, 60, 3]);
        let files = levels.iter().filter(|l| **l == Level::Files).count();
        assert!(files > 100 && used < 0.06, "{files} {used}");
        let (levels, _) = run(&mut bound, &mut at, 120, [1, 1, 1]);
        assert_eq!(levels.last(), Some(&Level::Nothing));
    }

    #[test]
    fn a_moment_of_work_is_no_reason() {
        let mut at = (0, 0);
        let mut bound = CpuBound::new(5.0, 0, 0);
        for _ in 0..20 {
            at.1 += 20 * MS;
            let (levels, _) = run(&mut bound, &mut at, 1, [1, 1, 1]);
            assert_eq!(levels, [Level::Nothing]);
        }
    }
}

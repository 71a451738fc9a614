//! What was lost, and when: counted where it is lost, recorded as `gap` events.

use std::collections::BTreeMap;

use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_wire::spec::Lane;

use crate::resolver::Stats;
use crate::syscall::LaneTotals;

/// What kind of loss it was. The numbers are those of [`ctrace_trace::schema::NameSet::GapClass`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The ring of ordinary syscalls was full.
    Bulk = 0,
    /// The ring of important records was full.
    Priority = 1,
    /// The kernel's own queue overflowed, or it did not run a program.
    Kernel = 2,
    /// The reader was too slow.
    Reader = 3,
    /// The source was away.
    Away = 4,
    /// A record could not be understood.
    Malformed = 5,
    /// The mass of calls was left out for a bound; see [`super::share::Level`].
    ShedBulk = 7,
    /// The same of files.
    ShedFiles = 8,
    /// No events: what was known of processes and descriptors was forgotten, so that memory stays bounded.
    Forgotten = 9,
}

/// A loss between two moments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) source: &'static str,
    pub(super) class: Class,
    /// How many; 0 when nobody can say.
    pub(super) count: u64,
    /// -1 where the loss is not of one CPU.
    pub(super) cpu: i64,
    /// UTC nanoseconds.
    pub(super) from: u64,
    pub(super) to: u64,
    /// The option that asked for it; empty where the class says it all.
    pub(super) reason: &'static str,
}

impl Gap {
    /// As an event.
    pub(super) fn emit(&self, ts: u64, sink: &mut impl FnMut(&Event<'_>)) {
        let num = |v: u64| Arg::Num(i64::try_from(v).unwrap_or(i64::MAX));
        let args = [
            Arg::Str(self.source.as_bytes()),
            Arg::Num(self.class as i64),
            num(self.count),
            Arg::Num(self.cpu),
            num(self.from),
            num(self.to),
            Arg::text(self.reason.as_bytes()),
        ];
        sink(&Event::bare(ts, EventType::GAP, &args));
    }
}

/// Turns running totals of the kernel programs into gaps.
#[derive(Debug)]
pub(super) struct RingLosses {
    seen: BTreeMap<(bool, u32), u64>,
    malformed: u64,
    skipped: u64,
    checked: u64,
}

impl RingLosses {
    /// Counting from `now`, UTC nanoseconds.
    pub(super) fn new(now: u64) -> RingLosses {
        RingLosses {
            seen: BTreeMap::new(),
            malformed: 0,
            skipped: 0,
            checked: now,
        }
    }

    /// When losses were last asked for, UTC nanoseconds.
    pub(super) fn checked(&self) -> u64 {
        self.checked
    }

    /// What was lost since the last check.
    pub(super) fn check(&mut self, now: u64, totals: &[LaneTotals], malformed: u64, skipped: u64) -> Vec<Gap> {
        let mut gaps = Vec::new();
        let (from, to) = (self.checked, now);
        for total in totals {
            let priority = matches!(total.lane, Lane::Priority);
            let seen = self.seen.entry((priority, total.cpu)).or_default();
            let count = total.lost.saturating_sub(*seen);
            *seen = total.lost;
            if count > 0 {
                let class = if priority { Class::Priority } else { Class::Bulk };
                gaps.push(Gap {
                    source: "syscalls",
                    class,
                    count,
                    cpu: i64::from(total.cpu),
                    from,
                    to,
                    reason: "",
                });
            }
        }
        let others = [
            (Class::Malformed, malformed, &mut self.malformed),
            (Class::Kernel, skipped, &mut self.skipped),
        ];
        for (class, total, seen) in others {
            let count = total.saturating_sub(*seen);
            *seen = total;
            if count > 0 {
                gaps.push(Gap {
                    source: "syscalls",
                    class,
                    count,
                    cpu: -1,
                    from,
                    to,
                    reason: "",
                });
            }
        }
        self.checked = now;
        gaps
    }
}

/// Turns running totals of what the resolver forgot into gaps.
#[derive(Debug)]
pub(super) struct Forgotten {
    seen: [u64; 3],
    checked: u64,
}

impl Forgotten {
    /// Counting from `now`, UTC nanoseconds.
    pub(super) fn new(now: u64) -> Forgotten {
        Forgotten {
            seen: [0; 3],
            checked: now,
        }
    }

    /// What was forgotten since the last check. `now` is the time of the newest events that were made by then.
    pub(super) fn check(&mut self, now: u64, stats: &Stats) -> Vec<Gap> {
        let totals = [
            ("processes", stats.evicted),
            ("long texts", stats.images_cut),
            ("descriptors", stats.fds_refused),
        ];
        let (from, to) = (self.checked, now.max(self.checked));
        self.checked = to;
        let counts = totals.iter().zip(&mut self.seen).map(|(&(what, total), seen)| {
            let count = total.saturating_sub(*seen);
            *seen = total;
            (what, count)
        });
        let gap = |(source, count)| Gap {
            source,
            class: Class::Forgotten,
            count,
            cpu: -1,
            from,
            to,
            reason: "",
        };
        counts.filter(|(_, count)| *count > 0).map(gap).collect()
    }
}

/// Sources that went away and did not come back yet. One that does tells of the time between by itself.
#[derive(Debug, Default)]
pub(super) struct Away {
    /// Since when, by name and number of the source.
    since: BTreeMap<(&'static str, usize), u64>,
}

impl Away {
    /// A source went away.
    pub(super) fn lost(&mut self, source: &'static str, number: usize, at: u64) {
        self.since.entry((source, number)).or_insert(at);
    }

    /// It is back.
    pub(super) fn found(&mut self, source: &'static str, number: usize) {
        self.since.remove(&(source, number));
    }

    /// What the end of the recording leaves unknown.
    pub(super) fn gaps(&self, now: u64) -> Vec<Gap> {
        let gap = |(&(source, _), &from): (&(&'static str, usize), &u64)| Gap {
            source,
            class: Class::Away,
            count: 0,
            cpu: -1,
            from,
            to: now.max(from),
            reason: "",
        };
        self.since.iter().map(gap).collect()
    }
}

/// Records that were left in the rings when the time to drain them was over.
pub(super) fn undrained(pending: u64, from: u64, to: u64) -> Option<Gap> {
    (pending > 0).then_some(Gap {
        source: "syscalls",
        class: Class::Reader,
        count: pending,
        cpu: -1,
        from,
        to,
        reason: "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_forgotten_is_told_once_with_its_window() {
        let mut forgotten = Forgotten::new(100);
        let mut stats = Stats {
            evicted: 3,
            fds_refused: 16,
            ..Stats::default()
        };
        let mut told = |now| {
            stats.images_cut += 1;
            let gaps = forgotten.check(now, &stats).into_iter();
            gaps.map(|gap| (gap.source, gap.count, gap.from, gap.to))
                .collect::<Vec<_>>()
        };
        let first = [("processes", 3), ("long texts", 1), ("descriptors", 16)];
        assert_eq!(told(200), first.map(|(what, count)| (what, count, 100, 200)));
        assert_eq!(told(300), [("long texts", 1, 200, 300)]);
    }

    #[test]
    fn each_loss_is_told_once_with_its_window() {
        let mut losses = RingLosses::new(100);
        let total = |lane, cpu, lost| LaneTotals {
            lane,
            cpu,
            submitted: 9,
            lost,
        };
        let first = losses.check(200, &[total(Lane::Bulk, 0, 5), total(Lane::Priority, 1, 0)], 0, 0);
        let expected = Gap {
            source: "syscalls",
            class: Class::Bulk,
            count: 5,
            cpu: 0,
            from: 100,
            to: 200,
            reason: "",
        };
        assert_eq!(first, [expected]);
        assert_eq!(losses.check(300, &[total(Lane::Bulk, 0, 5)], 0, 0), []);
        let later = losses.check(400, &[total(Lane::Bulk, 0, 6), total(Lane::Priority, 1, 2)], 0, 0);
        assert_eq!(
            later.iter().map(|g| (g.class, g.count, g.from)).collect::<Vec<_>>(),
            [(Class::Bulk, 1, 300), (Class::Priority, 2, 300)]
        );
    }

    #[test]
    fn only_what_is_still_away_at_the_end_is_a_gap_then() {
        let mut away = Away::default();
        away.lost("docker", 0, 10);
        away.lost("docker", 1, 20);
        away.lost("docker", 1, 30);
        away.found("docker", 0);
        let found: Vec<_> = away
            .gaps(40)
            .iter()
            .map(|g| (g.source, g.class, g.from, g.to))
            .collect();
        assert_eq!(found, [("docker", Class::Away, 20, 40)]);
    }

    #[test]
    fn what_is_left_in_the_rings_is_a_gap() {
        assert_eq!(undrained(0, 1, 2), None);
        let gap = undrained(7, 1, 2).expect("a gap");
        assert_eq!(
            (gap.source, gap.class, gap.count, gap.from, gap.to),
            ("syscalls", Class::Reader, 7, 1, 2)
        );
    }
}

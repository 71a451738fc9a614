//! Which events came too late to stand where they belong: counted as they are written, recorded as `late` events.

use std::collections::BTreeMap;

use ctrace_trace::event::{Arg, Event, EventType};

/// Events of one source that stand behind newer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Late {
    pub(super) source: &'static str,
    pub(super) count: u64,
    /// The largest distance from a newer event before it.
    pub(super) delay_ns: u64,
    /// The oldest and the newest of them, UTC nanoseconds.
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Late {
    /// As an event.
    pub(super) fn emit(&self, ts: u64, sink: &mut impl FnMut(&Event<'_>)) {
        let num = |v: u64| Arg::Num(i64::try_from(v).unwrap_or(i64::MAX));
        let args = [
            Arg::Str(self.source.as_bytes()),
            num(self.count),
            num(self.delay_ns),
            num(self.from),
            num(self.to),
        ];
        sink(&Event::bare(ts, EventType::LATE, &args));
    }
}

/// Watches the order of what is written.
#[derive(Debug, Default)]
pub(super) struct Lateness {
    newest: u64,
    /// Not told yet, by source.
    late: BTreeMap<&'static str, Late>,
    total: u64,
    /// How far the wall clock was set lately, and how many checks ago that still counts: events of both times come.
    step: (u64, u32),
}

/// Checks after which nothing of the time before a step comes any more.
const STEP_CHECKS: u32 = 5;

impl Lateness {
    /// Takes notice of an event that is written now.
    #[inline]
    pub(super) fn note(&mut self, event: &Event<'_>) {
        if event.ts >= self.newest || self.is_of_other_time(event.ts) {
            self.newest = event.ts;
        } else {
            self.behind(event);
        }
    }

    #[cold]
    fn behind(&mut self, event: &Event<'_>) {
        let source = match event.kind {
            EventType::DOCKER => "docker",
            EventType::AUDIT => "audit",
            EventType::CONTAINER_LOG => "container-logs",
            kind if kind.is_syscall() || kind == EventType::PROCEXIT => "syscalls",
            _ => "recorder",
        };
        self.total += 1;
        let late = self.late.entry(source).or_insert(Late {
            source,
            count: 0,
            delay_ns: 0,
            from: event.ts,
            to: event.ts,
        });
        late.count += 1;
        late.delay_ns = late.delay_ns.max(self.newest - event.ts);
        late.from = late.from.min(event.ts);
        late.to = late.to.max(event.ts);
    }

    /// The wall clock was set by so much, forwards or backwards: what comes now may well be older than what was written.
    pub(super) fn clock_was_set(&mut self, delta_ns: i64) {
        self.step = (delta_ns.unsigned_abs(), STEP_CHECKS);
    }

    /// Whether a time is that before a step while others are that after it, or the other way around.
    fn is_of_other_time(&self, ts: u64) -> bool {
        self.step.1 > 0 && self.newest.saturating_sub(ts) >= self.step.0 / 2
    }

    /// What was late since the last call, by source.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Late> + use<> {
        self.step.1 = self.step.1.saturating_sub(1);
        std::mem::take(&mut self.late).into_values()
    }

    /// How many events were late so far.
    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_newer_events_is_counted_by_source() {
        let mut lateness = Lateness::default();
        let note = |lateness: &mut Lateness, ts, kind| lateness.note(&Event::bare(ts, kind, &[]));
        for ts in [10, 20, 20, 30] {
            note(&mut lateness, ts, EventType::syscall(0));
        }
        assert_eq!(lateness.take().count(), 0, "in order");
        note(&mut lateness, 25, EventType::AUDIT);
        note(&mut lateness, 22, EventType::AUDIT);
        note(&mut lateness, 29, EventType::PROCEXIT);
        let late = |source, count, delay_ns, from, to| Late {
            source,
            count,
            delay_ns,
            from,
            to,
        };
        assert_eq!(
            lateness.take().collect::<Vec<_>>(),
            [late("audit", 2, 8, 22, 25), late("syscalls", 1, 1, 29, 29)]
        );
        assert_eq!(lateness.take().count(), 0, "told once");
        // Set back by twenty, while events of the time before still come.
        lateness.clock_was_set(-20);
        for ts in [10, 31, 11, 32, 12] {
            note(&mut lateness, ts, EventType::GAP);
        }
        assert_eq!((lateness.take().count(), lateness.total()), (0, 3));
        note(&mut lateness, 9, EventType::GAP);
        assert_eq!((lateness.take().count(), lateness.total()), (1, 4));
    }
}

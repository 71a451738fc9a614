//! What is missing in a case, on its way into it: the gap events of a block that could not be written are told again in
//! the next one, together with how many other events went with it.

use std::collections::BTreeMap;

use crate::event::{Arg, Event, EventType};
use crate::schema::EventSpec;
use crate::segment::Totals;

/// The class of events that could not be written, of [`crate::schema::NameSet::GapClass`].
const UNWRITTEN: i64 = 6;

/// Which loss it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    source: String,
    class: i64,
    cpu: i64,
    reason: String,
}

/// How much was lost, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    count: u64,
    from: u64,
    to: u64,
}

/// Losses, those of a kind put together.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    losses: BTreeMap<Key, Extent>,
    /// How many events told of them.
    events: u64,
}

impl Gaps {
    pub(super) fn is_empty(&self) -> bool {
        self.losses.is_empty()
    }

    /// How many gap events were noted.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Takes notice of a gap event.
    pub(super) fn note(&mut self, spec: &EventSpec, event: &Event<'_>) {
        let arg = |name| spec.param(name).and_then(|slot| event.args.get(slot)).copied();
        let num = |name| match arg(name) {
            Some(Arg::Num(n)) => n,
            _ => 0,
        };
        let text = |name| match arg(name) {
            Some(Arg::Str(s)) => String::from_utf8_lossy(s).into_owned(),
            _ => String::new(),
        };
        let key = Key {
            source: text("source"),
            class: num("class"),
            cpu: num("cpu"),
            reason: text("reason"),
        };
        let extent = Extent {
            count: num("count") as u64,
            from: num("from") as u64,
            to: num("to") as u64,
        };
        self.events += 1;
        self.add(key, extent);
    }

    /// Adds events that could not be written, between two times.
    pub(super) fn unwritten(&mut self, count: u64, (from, to): (u64, u64), reason: &str) {
        let key = Key {
            source: "case".to_owned(),
            class: UNWRITTEN,
            cpu: -1,
            reason: reason.to_owned(),
        };
        self.add(key, Extent { count, from, to });
    }

    /// Adds what a segment held whose file is gone: its events, which are counted, and the losses that it told of.
    pub(super) fn removed(&mut self, segment: &Totals) -> u64 {
        const REASON: &str = "the file was removed while it was written";
        let window = segment.ts.unwrap_or_default();
        let told = segment.by_type.get(&EventType::GAP).copied().unwrap_or(0);
        let lost = segment.events.saturating_sub(told);
        if lost > 0 {
            self.unwritten(lost, window, REASON);
        }
        for ((source, class), count) in &segment.lost {
            let key = Key {
                source: source.clone(),
                class: *class,
                cpu: -1,
                reason: REASON.to_owned(),
            };
            let (count, (from, to)) = (*count, window);
            self.add(key, Extent { count, from, to });
        }
        lost
    }

    fn add(&mut self, key: Key, extent: Extent) {
        let sum = self.losses.entry(key).or_insert(Extent { count: 0, ..extent });
        sum.count = sum.count.saturating_add(extent.count);
        sum.from = sum.from.min(extent.from);
        sum.to = sum.to.max(extent.to);
    }

    /// Adds what others told.
    pub(super) fn merge(&mut self, other: Gaps) {
        for (key, extent) in other.losses {
            self.add(key, extent);
        }
    }

    /// How much was lost, by source and class.
    pub(super) fn totals(&self) -> BTreeMap<(String, i64), u64> {
        let mut totals: BTreeMap<(String, i64), u64> = BTreeMap::new();
        for (key, extent) in &self.losses {
            let sum = totals.entry((key.source.clone(), key.class)).or_default();
            *sum = sum.saturating_add(extent.count);
        }
        totals
    }

    /// Hands over each loss as an event, at the time when it was over, and forgets those that are taken.
    pub(super) fn tell(&mut self, spec: &EventSpec, mut take: impl FnMut(&Event<'_>) -> bool) {
        self.losses.retain(|key, extent| {
            let num = |n: u64| Arg::Num(i64::try_from(n).unwrap_or(i64::MAX));
            let value = |name: &str| match name {
                "source" => Arg::Str(key.source.as_bytes()),
                "class" => Arg::Num(key.class),
                "count" => num(extent.count),
                "cpu" => Arg::Num(key.cpu),
                "from" => num(extent.from),
                "to" => num(extent.to),
                "reason" => Arg::text(key.reason.as_bytes()),
                _ => Arg::None,
            };
            let args: Vec<Arg<'_>> = spec.params.iter().map(|p| value(&p.name)).collect();
            !take(&Event::bare(extent.to, EventType::GAP, &args))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{NameSet, Schema};

    #[test]
    fn losses_of_a_kind_are_told_as_one() {
        assert_eq!(crate::names::value(NameSet::GapClass, UNWRITTEN), Some("unwritten"));
        let schema = Schema::current();
        let spec = schema.get(EventType::GAP).expect("declared");
        let mut first = Gaps::default();
        first.unwritten(5, (10, 20), "full");
        let mut gaps = Gaps::default();
        first.tell(spec, |_| false);
        assert!(!first.is_empty(), "what is not taken stays");
        first.tell(spec, |event| {
            gaps.note(spec, event);
            true
        });
        assert!(first.is_empty());
        gaps.unwritten(7, (15, 40), "full");
        gaps.unwritten(1, (50, 50), "gone");
        assert_eq!(gaps.events(), 1);
        assert_eq!(gaps.totals(), BTreeMap::from([(("case".to_owned(), UNWRITTEN), 13)]));
        let mut told = Vec::new();
        let extents: Vec<Extent> = gaps.losses.values().copied().collect();
        let extent = |count, from, to| Extent { count, from, to };
        assert_eq!(extents, [extent(12, 10, 40), extent(1, 50, 50)]);
        gaps.tell(spec, |event| {
            told.push((event.ts, event.args.len()));
            true
        });
        assert_eq!(told, [(40, spec.params.len()), (50, spec.params.len())]);
    }
}

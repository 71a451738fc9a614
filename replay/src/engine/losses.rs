//! Which alerts stand near a loss: what happened just before or after them may be missing, and with it what names
//! their processes and files.

use ctrace_trace::case::Loss;
use ctrace_trace::segment::BlockRef;

use crate::alert::{Alert, Incomplete};

/// A loss this near to an alert, before it began or after it ended, marks the alert.
pub(crate) const LOSS_WINDOW_NS: u64 = 10_000_000_000;

/// So many alerts wait at most until it is known whether the blocks after them can be read.
pub(crate) const MAX_WAITING: usize = 1 << 14;

/// A time in which events are missing.
#[derive(Clone, Debug)]
struct Missing {
    from: u64,
    to: u64,
    /// The latest end of this and all that begin before it.
    latest: u64,
    count: u64,
    source: String,
    /// Whether it is of events, or something was forgotten.
    of_events: bool,
}

/// The losses of a case by time.
#[derive(Debug, Default)]
pub(super) struct Losses {
    sorted: Vec<Missing>,
}

impl Losses {
    /// Of what the recorder noted, and of holes between blocks: the number of a block's first event tells how many
    /// events are missing before it. A loss whose time is not known may have been at any time.
    pub(super) fn new(losses: &[Loss], blocks: &[&BlockRef]) -> Losses {
        let missing = |loss: &Loss| Missing {
            from: loss.from_ts,
            to: if loss.to_ts == 0 { u64::MAX } else { loss.to_ts },
            latest: 0,
            count: loss.count,
            source: loss.source.clone(),
            of_events: loss.is_of_events(),
        };
        let holes = blocks.windows(2).filter_map(|pair| {
            let [before, after] = pair else { return None };
            let (before, after) = (before.head(), after.head());
            let next = before.first_seq.checked_add(u64::from(before.events))?;
            let count = after.first_seq.checked_sub(next).filter(|count| *count > 0)?;
            Some(Missing {
                from: before.max_ts,
                to: after.min_ts.max(before.max_ts),
                latest: 0,
                count,
                source: "missing blocks".to_owned(),
                of_events: true,
            })
        });
        let mut out = Losses {
            sorted: losses.iter().map(missing).chain(holes).collect(),
        };
        out.settle();
        out
    }

    /// Adds a block that cannot be read.
    pub(super) fn add_block(&mut self, block: &BlockRef) {
        let head = block.head();
        self.sorted.push(Missing {
            from: head.min_ts,
            to: head.max_ts,
            latest: 0,
            count: u64::from(head.events),
            source: "damaged block".to_owned(),
            of_events: true,
        });
        self.settle();
    }

    fn settle(&mut self) {
        self.sorted
            .sort_by(|a, b| (a.from, a.to, &a.source).cmp(&(b.from, b.to, &b.source)));
        let mut latest = 0;
        for missing in &mut self.sorted {
            latest = missing.to.max(latest);
            missing.latest = latest;
        }
    }

    /// Marks an alert where there are losses near it.
    pub(super) fn mark(&self, alert: &mut Alert) {
        let begin = alert.ts.saturating_sub(LOSS_WINDOW_NS);
        let end = alert.ts.saturating_add(LOSS_WINDOW_NS);
        let before_end = self.sorted.partition_point(|m| m.from <= end);
        let near = self.sorted.get(..before_end).unwrap_or(&[]).iter().rev();
        for missing in near.take_while(|m| m.latest >= begin).filter(|m| m.to >= begin) {
            let found = alert.incomplete.get_or_insert_with(|| {
                Box::new(Incomplete {
                    lost: 0,
                    from_ts: missing.from,
                    to_ts: missing.to,
                    sources: Vec::new(),
                    forgotten: Vec::new(),
                })
            });
            found.from_ts = found.from_ts.min(missing.from);
            found.to_ts = found.to_ts.max(missing.to);
            let what = if missing.of_events {
                found.lost = found.lost.saturating_add(missing.count);
                &mut found.sources
            } else {
                &mut found.forgotten
            };
            if let Err(place) = what.binary_search(&missing.source) {
                what.insert(place, missing.source.clone());
            }
        }
    }
}

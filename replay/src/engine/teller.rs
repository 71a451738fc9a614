//! Telling alerts: they wait until it is known what was lost near them, feed correlations, and are counted.

use std::collections::VecDeque;

use ctrace_trace::case::Loss;
use ctrace_trace::segment::BlockRef;

use super::Engine;
use super::losses::{LOSS_WINDOW_NS, Losses, MAX_WAITING};
use crate::alert::Alert;
use crate::sigma::Correlator;
use crate::triage::Inspection;

/// Tells the alerts of one replay.
pub(crate) struct Teller<'a, 't> {
    losses: Losses,
    correlator: Correlator<'a>,
    /// Alerts wait until the blocks after them that are near them in time were read: one of those may be damaged.
    waiting: VecDeque<Alert>,
    told: Told<'a, 't>,
}

/// Who is told, and how often that was.
struct Told<'a, 't> {
    inspection: Option<&'a Inspection>,
    take: &'t mut dyn FnMut(&Alert),
    alerts: u64,
    incomplete: u64,
}

impl Told<'_, '_> {
    fn tell(&mut self, alert: &Alert) {
        self.alerts += 1;
        self.incomplete += u64::from(alert.incomplete.is_some());
        match self.inspection.filter(|_| alert.is_correlation()) {
            Some(inspection) => (self.take)(&inspection.of_correlation(alert)),
            None => (self.take)(alert),
        }
    }
}

impl<'a, 't> Teller<'a, 't> {
    pub(crate) fn new(
        engine: &Engine<'a>,
        losses: &[Loss],
        blocks: &[&BlockRef],
        take: &'t mut dyn FnMut(&Alert),
    ) -> Teller<'a, 't> {
        Teller {
            losses: Losses::new(losses, blocks),
            correlator: Correlator::new(&engine.rules.correlations),
            waiting: VecDeque::new(),
            told: Told {
                inspection: engine.inspection,
                take,
                alerts: 0,
                incomplete: 0,
            },
        }
    }

    /// Takes alerts in the order of events.
    pub(crate) fn wait(&mut self, alerts: Vec<Alert>) {
        self.waiting.extend(alerts);
    }

    /// Notes a block that cannot be read.
    pub(crate) fn damaged(&mut self, block: &BlockRef) {
        self.losses.add_block(block);
    }

    /// Tells the alerts that nothing read from now on can be near: it is not older than this.
    pub(crate) fn release(&mut self, until: u64) {
        let over = |alert: &Alert| alert.ts.saturating_add(LOSS_WINDOW_NS) <= until;
        while self.waiting.len() > MAX_WAITING || self.waiting.front().is_some_and(over) {
            let Some(mut alert) = self.waiting.pop_front() else {
                break;
            };
            self.losses.mark(&mut alert);
            if !alert.is_silent() {
                self.told.tell(&alert);
            }
            self.correlator.feed(&alert, &mut |alert| self.told.tell(alert));
        }
    }

    /// Tells all that waited; gives the number of alerts, and of those that have losses near them.
    pub(crate) fn finish(mut self) -> (u64, u64) {
        self.release(u64::MAX);
        self.correlator.finish(&mut |alert| self.told.tell(alert));
        (self.told.alerts, self.told.incomplete)
    }
}

//! What becomes of alerts: suppressed, repeated or limited ones are counted and not lost. Everything goes by the time of
//! events, so that a replay next year gives the same.

mod dedupe;
mod inspection;
mod limit;
mod summary;
mod suppression;
mod technique;

pub use crate::calendar::parse_span;
pub use dedupe::Dedupe;
pub use inspection::Inspection;
pub(crate) use inspection::Seen;
pub use limit::RateLimit;
pub use summary::{Counts, Summary};
pub use suppression::{Suppression, Suppressions};
pub use technique::techniques;

use crate::alert::Alert;

/// What becomes of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is shown.
    Shown,
    /// A suppression says that it is a false positive; the suppression's number.
    Suppressed(usize),
    /// It repeats one that was shown.
    Repeated,
    /// Its rule has raised too many.
    Limited,
}

/// Decides over alerts, which must come in the order of a replay.
#[derive(Debug, Default)]
pub struct Triage {
    /// Leaves out repetitions.
    pub dedupe: Option<Dedupe>,
    /// Leaves out what a rule raises beyond a rate.
    pub limit: Option<RateLimit>,
    /// What was decided so far.
    pub summary: Summary,
}

impl Triage {
    /// Decides over the next alert and counts it.
    pub fn judge(&mut self, alert: &Alert) -> Fate {
        let fate = self.decide(alert);
        self.summary.count(alert, fate);
        fate
    }

    fn decide(&mut self, alert: &Alert) -> Fate {
        if let Some(by) = alert.seen().and_then(|seen| seen.suppressed) {
            return Fate::Suppressed(by);
        }
        if self.dedupe.as_mut().is_some_and(|d| d.repeats(alert)) {
            return Fate::Repeated;
        }
        if self.limit.as_mut().is_some_and(|l| l.exceeds(alert)) {
            return Fate::Limited;
        }
        Fate::Shown
    }
}

//! Repetitions: alerts of a rule with the same values of chosen fields, soon after one another.

use std::collections::BTreeMap;

use crate::alert::Alert;

/// So many different keys are remembered before those whose window is over are dropped.
const SWEEP: usize = 1 << 16;

/// Tells repetitions. An alert repeats the one before it with the same rule and values when less than the window lies
/// between that one, which was shown, and this one.
#[derive(Debug)]
pub struct Dedupe {
    window_ns: u64,
    /// When the last alert of a key was shown.
    shown: BTreeMap<(String, Vec<String>), u64>,
    sweep_at: usize,
}

impl Dedupe {
    /// With a window on the time of events; the fields are those of the [`super::Inspection`].
    pub fn new(window_ns: u64) -> Dedupe {
        Dedupe {
            window_ns,
            shown: BTreeMap::new(),
            sweep_at: SWEEP,
        }
    }

    pub(super) fn repeats(&mut self, alert: &Alert) -> bool {
        let key = (
            alert.rule().to_owned(),
            alert.seen().map_or_else(Vec::new, |seen| seen.values.clone()),
        );
        if let Some(last) = self.shown.get(&key)
            // Events may be written a little out of order.
            && alert.ts.abs_diff(*last) < self.window_ns
        {
            return true;
        }
        self.shown.insert(key, alert.ts);
        if self.shown.len() >= self.sweep_at {
            let window = self.window_ns;
            self.shown.retain(|_, last| alert.ts.abs_diff(*last) < window);
            self.sweep_at = SWEEP.max(self.shown.len() * 2);
        }
        false
    }
}

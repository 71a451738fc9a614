//! Rate limits: so many alerts of a rule in so much time of events.

use std::collections::{BTreeMap, VecDeque};

use super::parse_span;
use crate::alert::Alert;

/// Most alerts that a limit may allow in its time: each is remembered.
const MAX_COUNT: usize = 1 << 20;

/// Limits each rule to a number of alerts in any stretch of a length of time.
#[derive(Debug)]
pub struct RateLimit {
    count: usize,
    span_ns: u64,
    shown: BTreeMap<String, VecDeque<u64>>,
}

impl RateLimit {
    /// A limit as people write it: `10/1m`. `None` where it is none.
    pub fn parse(text: &str) -> Option<RateLimit> {
        let (count, span) = text.split_once('/')?;
        let count = count.parse().ok().filter(|c| (1..=MAX_COUNT).contains(c))?;
        Some(RateLimit {
            count,
            span_ns: parse_span(span).filter(|s| *s > 0)?,
            shown: BTreeMap::new(),
        })
    }

    pub(super) fn exceeds(&mut self, alert: &Alert) -> bool {
        if !self.shown.contains_key(alert.rule()) {
            self.shown.insert(alert.rule().to_owned(), VecDeque::new());
        }
        let Some(shown) = self.shown.get_mut(alert.rule()) else {
            return false;
        };
        while shown
            .front()
            .is_some_and(|first| alert.ts.saturating_sub(*first) >= self.span_ns)
        {
            shown.pop_front();
        }
        if shown.len() >= self.count {
            return true;
        }
        shown.push_back(alert.ts);
        false
    }
}

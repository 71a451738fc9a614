//! Correlations at work: one pass over the matches in the order of their times.
//!
//! Matches come in the order of recording, in which times can run backwards a little. They wait until nothing earlier
//! can come, so that what correlates depends on the times of events alone.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ctrace_trace::catalogue::Value;

use super::correlation::{BOUND_UNIT, Measure};
use crate::alert::{Alert, Said, Values};
use crate::condition::Operator;
use crate::shown::{Page, Shown};

/// How much later than its time an event may be recorded: audit events are up to two seconds late.
const SLACK_NS: u64 = 5_000_000_000;

/// Most matches that wait, and most that a window remembers; more make the oldest go.
const MAX_HELD: usize = 1 << 16;

/// Most groups of a correlation; more make the one that was quiet longest go.
const MAX_GROUPS: usize = 1 << 16;

/// A correlation whose rules were found.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) name: String,
    /// What its alerts have in common: the grouping fields and the measure are their values.
    pub(crate) said: Arc<Said>,
    pub(crate) measure: Measure,
    pub(crate) members: Vec<Member>,
    /// Names of the grouping fields.
    pub(crate) group_by: Vec<String>,
    pub(crate) timespan_ns: u64,
    pub(crate) conditions: Vec<(Operator, i128)>,
    /// Whether an alert of it is told; others only serve further correlations.
    pub(crate) told: bool,
}

/// A rule of a correlation, and where among its captured values those of the correlation are.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) of: Of,
    pub(crate) group: Vec<usize>,
    pub(crate) values: Vec<usize>,
}

/// What a member refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// An index of the rule set.
    Rule(usize),
    /// An index of the correlations; always a smaller one.
    Correlation(usize),
}

impl Resolved {
    /// Whether more matches can only help: then the window slides, and it is looked at with each match. Otherwise it
    /// begins with the first match of a group and is looked at when its time is over.
    fn slides(&self) -> bool {
        self.conditions
            .iter()
            .all(|(op, _)| matches!(op, Operator::Gt | Operator::Ge))
    }
}

/// Correlates the matches of one replay.
#[derive(Debug)]
pub(crate) struct Correlator<'a> {
    definitions: &'a [Resolved],
    states: Vec<State>,
    /// Matches that wait, by time and number of their event, and their order.
    waiting: BTreeMap<(u64, u64, usize), Alert>,
    newest: u64,
    taken: usize,
}

/// What is known for one correlation.
#[derive(Debug, Default)]
struct State {
    groups: BTreeMap<Vec<String>, Window>,
    /// Groups by the time at which they are over.
    ends: BTreeSet<(u64, Vec<String>)>,
}

/// The matches of a group.
#[derive(Debug)]
struct Window {
    end: u64,
    /// For counts and sums.
    matches: VecDeque<(u64, i128)>,
    /// For different values and rules: when each was seen last.
    seen: BTreeMap<String, u64>,
    /// For shares: each match's value, and how often each is among them.
    values: VecDeque<(u64, String)>,
    counts: BTreeMap<String, u64>,
    /// For ordered rules: when the latest chain that got so far began.
    chain: Vec<Option<u64>>,
    last: Alert,
}

impl<'a> Correlator<'a> {
    pub(crate) fn new(definitions: &'a [Resolved]) -> Correlator<'a> {
        Correlator {
            definitions,
            states: definitions.iter().map(|_| State::default()).collect(),
            waiting: BTreeMap::new(),
            newest: 0,
            taken: 0,
        }
    }

    /// Takes the next match; `emit` gets what correlates.
    pub(crate) fn feed(&mut self, alert: &Alert, emit: &mut dyn FnMut(&Alert)) {
        let wanted = |m: &Member| m.of == Of::Rule(alert.index());
        if !self.definitions.iter().any(|d| d.members.iter().any(wanted)) {
            return;
        }
        self.newest = self.newest.max(alert.ts);
        self.taken += 1;
        self.waiting.insert((alert.ts, alert.event, self.taken), alert.clone());
        let due = self.newest.saturating_sub(SLACK_NS);
        while let Some(first) = self.waiting.first_entry()
            && (first.key().0 < due || self.waiting.len() > MAX_HELD)
        {
            if let Some((_, alert)) = self.waiting.pop_first() {
                self.process(&alert, emit);
            }
        }
    }

    /// Works off what waits.
    pub(crate) fn finish(&mut self, emit: &mut dyn FnMut(&Alert)) {
        while let Some((_, alert)) = self.waiting.pop_first() {
            self.process(&alert, emit);
        }
        self.close(u64::MAX, emit);
    }

    fn process(&mut self, alert: &Alert, emit: &mut dyn FnMut(&Alert)) {
        self.close(alert.ts, emit);
        self.member(Of::Rule(alert.index()), alert, emit);
    }

    /// Looks at the windows that are over before a time.
    fn close(&mut self, now: u64, emit: &mut dyn FnMut(&Alert)) {
        for (i, definition) in self.definitions.iter().enumerate() {
            while let Some(state) = self.states.get_mut(i)
                && state.ends.first().is_some_and(|(end, _)| *end < now)
                && let Some((_, key)) = state.ends.pop_first()
            {
                let Some(window) = state.groups.remove(&key) else {
                    continue;
                };
                if !definition.slides() && definition.satisfied(&window) {
                    self.tell(i, &key, &window, emit);
                }
            }
        }
    }

    /// Adds a match to every correlation that it is a member of.
    fn member(&mut self, of: Of, alert: &Alert, emit: &mut dyn FnMut(&Alert)) {
        for (i, definition) in self.definitions.iter().enumerate() {
            let members = definition.members.iter().enumerate().rev();
            for (position, member) in members.filter(|(_, m)| m.of == of) {
                let pick = |places: &[usize]| {
                    let values = places.iter().map(|p| alert.captured.get(*p).cloned().flatten());
                    values.collect::<Option<Vec<String>>>()
                };
                // An event without one of the fields belongs to no group.
                let (Some(key), Some(values)) = (pick(&member.group), pick(&member.values)) else {
                    continue;
                };
                let Some(state) = self.states.get_mut(i) else { continue };
                let window = state.window(&key, definition, alert);
                definition.add(window, position, &values, alert);
                if definition.slides() && definition.satisfied(window) {
                    let Some(window) = state.remove(&key) else { continue };
                    self.tell(i, &key, &window, emit);
                }
            }
        }
    }

    fn tell(&mut self, i: usize, key: &[String], window: &Window, emit: &mut dyn FnMut(&Alert)) {
        let Some(definition) = self.definitions.get(i) else {
            return;
        };
        let alert = definition.alert(key, window);
        if definition.told {
            emit(&alert);
        }
        self.member(Of::Correlation(i), &alert, emit);
    }
}

impl State {
    fn window(&mut self, key: &[String], definition: &Resolved, alert: &Alert) -> &mut Window {
        let end = alert.ts.saturating_add(definition.timespan_ns);
        if self.groups.len() >= MAX_GROUPS
            && !self.groups.contains_key(key)
            && let Some((_, oldest)) = self.ends.pop_first()
        {
            self.groups.remove(&oldest);
        }
        let window = self.groups.entry(key.to_vec()).or_insert_with(|| Window {
            end: 0,
            matches: VecDeque::new(),
            seen: BTreeMap::new(),
            values: VecDeque::new(),
            counts: BTreeMap::new(),
            chain: vec![None; definition.members.len()],
            last: alert.clone(),
        });
        // A window that slides is over when nothing came for its length.
        if window.end == 0 || definition.slides() {
            self.ends.remove(&(window.end, key.to_vec()));
            window.end = end;
            self.ends.insert((end, key.to_vec()));
        }
        window.last = alert.clone();
        window
    }

    fn remove(&mut self, key: &[String]) -> Option<Window> {
        let window = self.groups.remove(key)?;
        self.ends.remove(&(window.end, key.to_vec()));
        Some(window)
    }
}

impl Window {
    fn drop_value(&mut self) {
        let Some((_, value)) = self.values.pop_front() else {
            return;
        };
        if let Some(count) = self.counts.get_mut(&value) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&value);
            }
        }
    }
}

impl Resolved {
    fn add(&self, window: &mut Window, position: usize, values: &[String], alert: &Alert) {
        let ts = alert.ts;
        let from = if self.slides() {
            ts.saturating_sub(self.timespan_ns)
        } else {
            0
        };
        match self.measure {
            Measure::EventCount => window.matches.push_back((ts, 1)),
            Measure::ValueSum | Measure::ValueAvg => {
                let number = values.first().and_then(|v| v.parse::<i64>().ok());
                window.matches.extend(number.map(|n| (ts, i128::from(n))));
            }
            Measure::ValueCount => _ = window.seen.insert(values.join("\0"), ts),
            Measure::ValuePercentile => {
                let value = values.join("\0");
                *window.counts.entry(value.clone()).or_default() += 1;
                window.values.push_back((ts, value));
            }
            Measure::Temporal => _ = window.seen.insert(position.to_string(), ts),
            Measure::TemporalOrdered => {
                let began = match position.checked_sub(1) {
                    None => Some(ts),
                    Some(before) => window
                        .chain
                        .get(before)
                        .copied()
                        .flatten()
                        .filter(|start| *start >= from),
                };
                if let (Some(slot), Some(began)) = (window.chain.get_mut(position), began) {
                    *slot = Some(began);
                }
            }
        }
        while window.matches.front().is_some_and(|(at, _)| *at < from) || window.matches.len() > MAX_HELD {
            window.matches.pop_front();
        }
        while window.values.front().is_some_and(|(at, _)| *at < from) || window.values.len() > MAX_HELD {
            window.drop_value();
        }
        if from > 0 {
            window.seen.retain(|_, at| *at >= from);
        }
        if window.seen.len() > MAX_HELD {
            window.seen.pop_first();
        }
    }

    /// What the window measures, as a fraction.
    fn measured(&self, window: &Window) -> (i128, i128) {
        let sum = || window.matches.iter().map(|m| m.1).sum::<i128>();
        match self.measure {
            Measure::EventCount | Measure::ValueSum => (sum(), 1),
            Measure::ValuePercentile => self.share(window).unwrap_or((0, 1)),
            Measure::ValueAvg => (sum(), (window.matches.len() as i128).max(1)),
            Measure::ValueCount | Measure::Temporal => (window.seen.len() as i128, 1),
            // The chain is whole or worth nothing.
            Measure::TemporalOrdered => match window.chain.last() {
                Some(Some(_)) => (self.members.len() as i128, 1),
                _ => (0, 1),
            },
        }
    }

    /// The share in percent of the first value, in their order, whose share the conditions take.
    fn share(&self, window: &Window) -> Option<(i128, i128)> {
        let total = window.values.len() as i128;
        let shares = window.counts.values().map(|count| (i128::from(*count) * 100, total));
        shares.into_iter().find(|(share, total)| self.takes(*share, *total))
    }

    fn satisfied(&self, window: &Window) -> bool {
        match self.measure {
            Measure::ValuePercentile => self.share(window).is_some(),
            _ => {
                let (value, per) = self.measured(window);
                self.takes(value, per)
            }
        }
    }

    /// Whether a fraction satisfies the conditions.
    fn takes(&self, value: i128, per: i128) -> bool {
        self.conditions.iter().all(|(op, n)| {
            let (value, wanted) = (value * BOUND_UNIT, n * per);
            match op {
                Operator::Gt => value > wanted,
                Operator::Ge => value >= wanted,
                Operator::Lt => value < wanted,
                Operator::Le => value <= wanted,
                Operator::Ne => value != wanted,
                _ => value == wanted,
            }
        })
    }

    /// The alert of a window, at its last match.
    fn alert(&self, key: &[String], window: &Window) -> Alert {
        let (value, per) = self.measured(window);
        let measured = i64::try_from(value / per).unwrap_or(i64::MAX);
        let mut page = Page::default();
        let group = key.iter().map(|v| page.add(&Value::Str(Cow::Borrowed(v.as_bytes()))));
        let mut list: Vec<Shown> = group.collect();
        list.push(page.add(&Value::Int(measured)));
        let captured = key.iter().map(|v| Some(v.clone())).collect();
        window.last.correlation(
            &self.said,
            Values {
                page,
                list,
                lines: String::new(),
            },
            captured,
        )
    }
}

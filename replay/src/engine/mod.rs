//! Replay: the events of a case against a rule set.
//!
//! Blocks are independent of each other, so they are matched in parallel; alerts come out in event order whatever the
//! number of threads.

mod blocks;
mod dictionary;
pub(crate) mod evaluate;
mod mask;
mod matcher;
mod ordered;
pub(crate) mod plan;
pub(crate) mod scan;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use ctrace_trace::case::{Case, Loss};
use ctrace_trace::event::EventType;
use ctrace_trace::schema::Schema;
use ctrace_trace::segment::{BlockRef, Problem};

use crate::alert::Alert;
use crate::rules::{Rule, RuleSet};
use crate::sigma::Correlator;
use blocks::{Run, Worker};
use plan::{Plan, Wanted};

/// How to replay.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many threads work; the alerts do not depend on it.
    pub threads: usize,
    /// Whether events are shown what the case learned about containers later.
    pub resolve_late: bool,
    /// Which of the rules that match an event raise an alert.
    pub matching: Matching,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            threads: 1,
            resolve_late: true,
            matching: Matching::First,
        }
    }
}

/// Which of the rules that match an event raise an alert (Falco's `rule_matching`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Matching {
    /// The first in the order of the files, as Falco does unless told otherwise.
    #[default]
    First,
    /// All.
    All,
}

/// What a replay did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many alerts there were.
    pub alerts: u64,
    /// How many events the case has.
    pub events: u64,
    /// How many blocks were decoded.
    pub blocks_read: u64,
    /// How many blocks no rule could match in.
    pub blocks_skipped: u64,
    /// Blocks that could not be read; their events were not looked at.
    pub problems: Vec<Problem>,
    /// What the recorder noted as lost: that there is no alert proves nothing for these times.
    pub losses: Vec<Loss>,
}

impl Outcome {
    /// Whether every event of the recorded time was there to be looked at.
    pub fn is_complete(&self) -> bool {
        self.problems.is_empty() && self.losses.is_empty()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome {
            alerts,
            events,
            blocks_read,
            blocks_skipped,
            problems,
            losses,
        } = self;
        write!(
            f,
            "{alerts} alerts from {events} events in {} blocks",
            blocks_read + blocks_skipped
        )?;
        write!(f, " ({blocks_skipped} without decoding")?;
        if !problems.is_empty() {
            write!(f, ", {} damaged", problems.len())?;
        }
        f.write_str(")")?;
        match losses.iter().fold(0u64, |sum, loss| sum.saturating_add(loss.count)) {
            0 => Ok(()),
            lost => write!(f, "; {lost} events were lost when it was recorded"),
        }
    }
}

/// A rule set ready to run.
#[derive(Clone, Copy, Debug)]
pub struct Engine<'a> {
    rules: &'a RuleSet,
}

impl<'a> Engine<'a> {
    /// An engine for the active rules of a set.
    pub fn new(rules: &'a RuleSet) -> Engine<'a> {
        Engine { rules }
    }

    /// Replays a case; `take` is called for each alert, in the order of events and of rules. Alerts of correlations come
    /// among the others once no earlier event can belong to them.
    pub fn replay(&self, case: &Case, options: &Options, take: &mut dyn FnMut(&Alert)) -> Outcome {
        let blocks: Vec<&BlockRef> = case.blocks().collect();
        let late = options.resolve_late.then(|| case.late_facts(options.threads));
        let run = Run {
            rules: self.active(),
            plans: self.plans(&blocks),
            late,
            first: options.matching == Matching::First,
        };
        let mut outcome = Outcome::default();
        let mut correlator = Correlator::new(&self.rules.correlations);
        let mut told = 0;
        let mut tell = |alert: &Alert| {
            told += 1;
            take(alert);
        };
        let work = |worker: &mut Worker<'_>, i: usize| blocks.get(i).map(|b| run.block(worker, b));
        ordered::run(
            blocks.len(),
            options.threads.max(1),
            || run.worker(),
            work,
            |done| match done {
                Some(Ok(Some(alerts))) => {
                    outcome.blocks_read += 1;
                    for alert in &alerts {
                        if !alert.silent {
                            tell(alert);
                        }
                        correlator.feed(alert, &mut tell);
                    }
                }
                Some(Ok(None)) => outcome.blocks_skipped += 1,
                Some(Err(problem)) => {
                    outcome.blocks_read += 1;
                    outcome.problems.push(problem);
                }
                None => {}
            },
        );
        correlator.finish(&mut tell);
        outcome.alerts = told;
        // Blocks that cannot be asked are among the problems already.
        outcome.losses = case.losses().0;
        outcome.events = blocks.iter().map(|b| u64::from(b.head().events)).sum();
        outcome
    }

    fn active(&self) -> Vec<&'a Rule> {
        self.rules.rules().iter().filter(|r| r.active).collect()
    }

    /// One plan for each schema; nearly always there is one.
    fn plans(&self, blocks: &[&BlockRef]) -> Vec<(Arc<Schema>, Plan)> {
        let mut schemas: Vec<(Arc<Schema>, BTreeSet<EventType>)> = Vec::new();
        for block in blocks {
            let kinds = block.head().kinds.iter().map(|k| k.id);
            match schemas.iter_mut().find(|(s, _)| same(s, block.schema())) {
                Some((_, present)) => present.extend(kinds),
                None => schemas.push((block.schema().clone(), kinds.collect())),
            }
        }
        let wanted: Vec<Wanted<'_>> = self
            .active()
            .iter()
            .map(|r| Wanted {
                condition: r.condition,
                source: Some(&r.source),
                independent: r.independent,
            })
            .collect();
        let plan = |schema: &Schema, present| Plan::new(&self.rules.formulas, &wanted, schema, &present);
        schemas
            .into_iter()
            .map(|(schema, present)| (schema.clone(), plan(&schema, present)))
            .collect()
    }
}

fn same(a: &Arc<Schema>, b: &Arc<Schema>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

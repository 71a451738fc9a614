//! Replay: the events of a case against a rule set.
//!
//! Blocks are independent of each other, so they are matched in parallel; alerts come out in event order whatever the
//! number of threads.

mod arguments;
mod blocks;
mod candidates;
mod classes;
pub(crate) mod confirm;
mod dictionary;
pub(crate) mod evaluate;
mod folders;
mod losses;
mod mask;
mod matcher;
mod objects;
mod ordered;
pub(crate) mod plan;
pub(crate) mod scan;
mod teller;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::thread;

use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::case::{Case, Loss};
use ctrace_trace::event::EventType;
use ctrace_trace::schema::{EventSpec, Schema};
use ctrace_trace::segment::{BlockRef, Problem};

use crate::alert::{Alert, Maker, Origin, Shape};
use crate::rules::{Rule, RuleSet};
use crate::sigma::Correlator;
use crate::triage::Inspection;
use blocks::{Run, Worker};
use plan::{Plan, Wanted};
pub(crate) use teller::Teller;

/// The sources of the events of a case.
pub fn sources_of(case: &Case) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for block in case.blocks() {
        for kind in &block.head().kinds {
            if let Some(spec) = block.schema().get(kind.id) {
                out.insert(spec.source.name().to_owned());
            }
        }
    }
    out
}

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
    /// How many of them have losses near them.
    pub incomplete: u64,
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
            incomplete,
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
        let mut of_events = losses.iter().filter(|loss| loss.is_of_events()).peekable();
        let are_whole = of_events.peek().is_none();
        match of_events.fold(0u64, |sum, loss| sum.saturating_add(loss.count)) {
            0 if are_whole => Ok(()),
            0 => f.write_str("; events that nobody counted were lost when it was recorded"),
            lost => write!(f, "; {lost} events were lost when it was recorded"),
        }?;
        match incomplete {
            0 => Ok(()),
            near => write!(f, "; {near} alerts have losses near them"),
        }
    }
}

/// A rule set ready to run.
#[derive(Clone, Copy, Debug)]
pub struct Engine<'a> {
    pub(crate) rules: &'a RuleSet,
    pub(crate) inspection: Option<&'a Inspection>,
    only: Option<usize>,
    pub(crate) shape: Option<Shape>,
}

impl<'a> Engine<'a> {
    /// An engine for the active rules of a set.
    pub fn new(rules: &'a RuleSet) -> Engine<'a> {
        Engine {
            rules,
            inspection: None,
            only: None,
            shape: None,
        }
    }

    /// An engine for one active rule, by its index in [`RuleSet::rules`]: what it costs alone can be measured so.
    pub fn only(self, rule: usize) -> Engine<'a> {
        Engine {
            only: Some(rule),
            ..self
        }
    }

    /// The same, with what triage wants to know of the alerts' events.
    pub fn inspecting(self, inspection: &'a Inspection) -> Engine<'a> {
        Engine {
            inspection: Some(inspection),
            ..self
        }
    }

    /// The same, making lines of a shape where alerts are made, on all threads: [`Alert::print`] copies them then.
    pub fn printing(self, shape: Shape) -> Engine<'a> {
        Engine {
            shape: Some(shape),
            ..self
        }
    }

    /// Replays a case; `take` is called for each alert, in the order of events and of rules. Alerts of correlations come
    /// among the others once no earlier event can belong to them.
    pub fn replay(&self, case: &Case, options: &Options, take: &mut dyn FnMut(&Alert)) -> Outcome {
        let blocks: Vec<&BlockRef> = case.blocks().collect();
        let plans = thread::scope(|scope| {
            // What the case learned later is found meanwhile; below it is there.
            if options.resolve_late && options.threads > 1 {
                scope.spawn(|| _ = case.late_facts(options.threads));
            }
            self.plans(&blocks)
        });
        let late = options.resolve_late.then(|| case.late_facts(options.threads));
        let run = Run {
            rules: self.active(),
            plans,
            late,
            first: options.matching == Matching::First,
            inspection: self.inspection,
            shape: self.shape,
        };
        // Blocks that cannot be asked are met below too.
        let mut outcome = Outcome {
            losses: case.losses().0,
            ..Outcome::default()
        };
        let known = outcome.losses.clone();
        let mut teller = Teller::new(self, &known, &blocks, take);
        let mut at = 0;
        let work = |worker: &mut Worker<'_>, i: usize| blocks.get(i).map(|b| run.block(worker, b));
        ordered::run(
            blocks.len(),
            options.threads.max(1),
            || run.worker(case),
            work,
            |done| {
                let block = blocks.get(at);
                match done {
                    Some(Ok(Some(alerts))) => {
                        outcome.blocks_read += 1;
                        teller.wait(alerts);
                    }
                    Some(Ok(None)) => outcome.blocks_skipped += 1,
                    Some(Err(problem)) => {
                        outcome.blocks_read += 1;
                        outcome.problems.push(problem);
                        block.into_iter().for_each(|b| teller.damaged(b));
                    }
                    None => {}
                }
                teller.release(block.map_or(0, |b| b.head().min_ts));
                at += 1;
            },
        );
        (outcome.alerts, outcome.incomplete) = teller.finish();
        // What could not be asked for the names of containers, beside blocks that were met above.
        outcome
            .problems
            .extend(late.iter().flat_map(|late| late.problems()).cloned());
        outcome.problems.sort();
        outcome.problems.dedup();
        outcome.events = blocks.iter().map(|b| u64::from(b.head().events)).sum();
        outcome
    }

    /// The rules that have nothing to look at, as none of their sources is among these: how many, by what they look at.
    pub fn idle(&self, present: &BTreeSet<String>) -> BTreeMap<String, u64> {
        let mut out = BTreeMap::new();
        for rule in self.active() {
            if !present.iter().any(|source| rule.concerns(source)) {
                *out.entry(rule.source.clone()).or_default() += 1;
            }
        }
        out
    }

    /// The alerts of a block that is in memory, all of whose columns are there, in the order of events and of rules; those
    /// of correlations as [`Engine::replay`] tells them.
    pub fn replay_block(&self, block: &Decoded, matching: Matching, take: &mut dyn FnMut(&Alert)) {
        let specs: Vec<EventSpec> = block.kinds.iter().map(|k| EventSpec::clone(&k.spec)).collect();
        let present = specs.iter().map(|s| s.id).collect();
        let plan = Plan::new(&self.rules.formulas, &self.wanted(), &Schema::new(specs), &present);
        let rules = self.active();
        let origin = Origin::new(b"", "test");
        let mut maker = Maker::default();
        let mut correlator = Correlator::new(&self.rules.correlations);
        for hit in confirm::matches(&plan, block, matching == Matching::First) {
            let row = Some(hit.row as usize).filter(|row| *row < block.len);
            if let (Some(row), Some(rule)) = (row, rules.get(hit.rule)) {
                maker.add(rule, evaluate::Place::Event(block.event(row)), &origin, None);
            }
        }
        for alert in maker.take() {
            if !alert.is_silent() {
                take(&alert);
            }
            correlator.feed(&alert, take);
        }
        correlator.finish(take);
    }

    /// The rules that run.
    pub(crate) fn active(&self) -> Vec<&'a Rule> {
        let rules = self.rules.rules().iter().enumerate();
        rules
            .filter(|(i, rule)| rule.active && self.only.is_none_or(|only| only == *i))
            .map(|(_, rule)| rule)
            .collect()
    }

    fn wanted(&self) -> Vec<Wanted<'a>> {
        let wanted = |r: &'a Rule| Wanted {
            condition: r.condition,
            source: Some(&r.source),
            independent: r.independent,
        };
        self.active().into_iter().map(wanted).collect()
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
        let wanted = self.wanted();
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

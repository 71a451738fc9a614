//! Replay of a case: blocks on several threads, alerts in the order of the recording.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;

use ctrace_trace::case::{Case, LateFacts, Loss};
use ctrace_trace::event::{EventType, Source};
use ctrace_trace::schema::Schema;
use ctrace_trace::segment::{BlockRef, Problem};

use super::alert::{Alert, RuleText};
use super::blocks::{Found, Worker};
use super::plan::{Plan, Root};
use crate::rules::{Rule, RuleSet};

/// How many blocks each thread may be ahead of what was handed on.
const BLOCKS_AHEAD: usize = 4;

/// Which of the rules that an event satisfies raise an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RuleMatching {
    /// The first in the order of the rules, Falco's default.
    #[default]
    First,
    /// All.
    All,
}

/// How to replay. Nothing here but `resolve_late` and `matching` changes a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Threads to use, at least one.
    pub threads: usize,
    /// Whether events are seen with what later parts of the case say about their containers.
    pub resolve_late: bool,
    /// One alert an event, or one for each rule.
    pub matching: RuleMatching,
}

impl Default for Options {
    fn default() -> Options {
        Options { threads: 1, resolve_late: true, matching: RuleMatching::First }
    }
}

/// What a replay came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Events in the blocks that could be read.
    pub events: u64,
    /// Blocks.
    pub blocks: u64,
    /// Blocks of which no event had to be looked at, as their heads or process images told.
    pub blocks_skipped: u64,
    /// Alerts handed on.
    pub alerts: u64,
    /// The same per rule, of the rules that raised any.
    pub by_rule: BTreeMap<String, u64>,
    /// What could not be read: of the case, then of its blocks, in order.
    pub problems: Vec<Problem>,
    /// Losses that the recording notes. Where there are any, a missing alert proves nothing for that time.
    pub losses: Vec<Loss>,
    /// Whether the receiver of the alerts ended the replay.
    pub stopped: bool,
}

impl Outcome {
    /// Whether every event of the recorded time was there to be looked at.
    pub fn is_complete(&self) -> bool {
        !self.stopped && self.losses.is_empty() && !self.problems.iter().any(|p| p.kind.is_damage())
    }
}

/// Rules made ready to run. Can be used for any number of cases.
#[derive(Debug)]
pub struct Engine<'r> {
    set: &'r RuleSet,
    rules: Vec<(&'r Rule, RuleText)>,
    roots: Vec<Root>,
}

impl<'r> Engine<'r> {
    /// An engine of the set's active rules.
    pub fn new(set: &'r RuleSet) -> Engine<'r> {
        let active = set.rules().iter().filter(|r| r.active);
        let source = |rule: &Rule| Source::ALL.into_iter().find(|s| s.name() == rule.source);
        Engine {
            set,
            rules: active.clone().map(|r| (r, RuleText::new(r))).collect(),
            roots: active.map(|r| Root { node: r.condition, source: source(r) }).collect(),
        }
    }

    pub(super) fn rule(&self, root: u32) -> Option<&'r Rule> {
        self.rules.get(root as usize).map(|(rule, _)| *rule)
    }

    pub(super) fn text(&self, root: u32) -> Option<&RuleText> {
        self.rules.get(root as usize).map(|(_, text)| text)
    }

    /// Replays a case. Alerts are handed to `sink` in the order of the recording, whatever the number of threads;
    /// [`ControlFlow::Break`] ends the replay. Damaged blocks are noted in the outcome and left out.
    pub fn replay(
        &self,
        case: &Case,
        options: &Options,
        sink: &mut dyn FnMut(Alert) -> ControlFlow<()>,
    ) -> Outcome {
        let blocks: Vec<&BlockRef> = case.blocks().collect();
        let late = options.resolve_late.then(|| case.late_facts(options.threads.max(1)));
        let mut outcome = Outcome { problems: case.problems().to_vec(), ..Outcome::default() };
        self.replay_blocks(&blocks, late, options, &mut outcome, sink);
        // Blocks that cannot be read are among the problems already.
        outcome.losses = case.losses().0;
        outcome
    }

    fn replay_blocks(
        &self,
        blocks: &[&BlockRef],
        late: Option<&LateFacts>,
        options: &Options,
        outcome: &mut Outcome,
        sink: &mut dyn FnMut(Alert) -> ControlFlow<()>,
    ) {
        let (plans, jobs) = self.plan(blocks);
        let worker = || Worker::new(self, &plans, late, options.matching);
        let threads = options.threads.clamp(1, jobs.len().max(1));
        if threads == 1 {
            let mut worker = worker();
            let _ = jobs.iter().try_for_each(|(plan, block)| outcome.add(block, worker.block(*plan, block), sink));
            return;
        }
        thread::scope(|scope| {
            // Thread n has blocks n, n + threads, …: so the results come in order by asking the threads in turn.
            let mut results = Vec::with_capacity(threads);
            for first in 0..threads {
                let (sender, receiver) = sync_channel(BLOCKS_AHEAD);
                results.push(receiver);
                let (jobs, worker) = (&jobs, &worker);
                scope.spawn(move || {
                    let mut worker = worker();
                    for (plan, block) in jobs.iter().skip(first).step_by(threads) {
                        if sender.send(worker.block(*plan, block)).is_err() {
                            return;
                        }
                    }
                });
            }
            for ((_, block), receiver) in jobs.iter().zip(results.iter().cycle()) {
                let Ok(found) = receiver.recv() else { return };
                if outcome.add(block, found, sink).is_break() {
                    return;
                }
            }
        });
    }

    /// A plan per schema (segments of one case may differ when the recorder was updated), and the plan of each block.
    fn plan<'b>(&self, blocks: &[&'b BlockRef]) -> (Vec<Plan<'r>>, Vec<(usize, &'b BlockRef)>) {
        let mut schemas: Vec<(Arc<Schema>, BTreeMap<EventType, ()>)> = Vec::new();
        let mut jobs = Vec::with_capacity(blocks.len());
        for block in blocks {
            let schema = block.schema();
            let same = |s: &Arc<Schema>| Arc::ptr_eq(s, schema) || s == schema;
            // Blocks of one segment follow each other: the last schema is the likeliest.
            let index = schemas.iter().rposition(|(s, _)| same(s)).unwrap_or_else(|| {
                schemas.push((schema.clone(), BTreeMap::new()));
                schemas.len() - 1
            });
            if let Some((_, types)) = schemas.get_mut(index) {
                types.extend(block.head().kinds.iter().map(|k| (k.id, ())));
            }
            jobs.push((index, *block));
        }
        let plan = |(schema, types): &(Arc<Schema>, BTreeMap<EventType, ()>)| {
            let specs = types.keys().filter_map(|id| schema.get(*id));
            Plan::new(self.set.formulas.atoms(), self.set.formulas.graph.clone(), &self.roots, specs)
        };
        (schemas.iter().map(plan).collect(), jobs)
    }
}

impl Outcome {
    /// Takes in what came of a block and hands its alerts on.
    fn add(
        &mut self,
        block: &BlockRef,
        found: Found,
        sink: &mut dyn FnMut(Alert) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.blocks += 1;
        self.blocks_skipped += u64::from(found.skipped);
        if let Some(problem) = found.problem {
            self.problems.push(problem);
            return ControlFlow::Continue(());
        }
        self.events += u64::from(block.head().events);
        for alert in found.alerts {
            self.alerts += 1;
            match self.by_rule.get_mut(&*alert.rule) {
                Some(count) => *count += 1,
                None => {
                    self.by_rule.insert(alert.rule.to_string(), 1);
                }
            }
            if sink(alert).is_break() {
                self.stopped = true;
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }
}

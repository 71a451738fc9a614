//! Replay: the events of a case against a rule set.
//!
//! Blocks are independent of each other, so they are matched in parallel; alerts come out in event order whatever the
//! number of threads.

pub(crate) mod evaluate;
mod ordered;
pub(crate) mod plan;
pub(crate) mod scan;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::case::{Case, LateFacts};
use ctrace_trace::event::EventType;
use ctrace_trace::schema::Schema;
use ctrace_trace::segment::{BlockReader, BlockRef, Problem};

use crate::alert::{Alert, Origin};
use crate::rules::{Rule, RuleSet};
use plan::{Depth, Plan, Wanted};
use scan::Hit;

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
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome {
            alerts,
            events,
            blocks_read,
            blocks_skipped,
            problems,
        } = self;
        write!(
            f,
            "{alerts} alerts from {events} events in {} blocks",
            blocks_read + blocks_skipped
        )?;
        write!(f, " ({blocks_skipped} without decoding")?;
        match problems.len() {
            0 => f.write_str(")"),
            n => write!(f, ", {n} damaged)"),
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

    /// Replays a case; `take` is called for each alert, in the order of events and of rules.
    pub fn replay(&self, case: &Case, options: &Options, take: &mut dyn FnMut(&Alert)) -> Outcome {
        let blocks: Vec<&BlockRef> = case.blocks().collect();
        let late = options.resolve_late.then(|| case.late_facts(options.threads));
        let run = Run {
            rules: self.active(),
            plans: self.plans(&blocks),
            late,
            matching: options.matching,
        };
        let mut outcome = Outcome::default();
        let work = |reader: &mut BlockReader, i: usize| blocks.get(i).map(|b| run.block(reader, b));
        ordered::run(
            blocks.len(),
            options.threads.max(1),
            BlockReader::new,
            work,
            |done| match done {
                Some(Ok(Some(alerts))) => {
                    outcome.blocks_read += 1;
                    outcome.alerts += alerts.len() as u64;
                    alerts.iter().for_each(&mut *take);
                }
                Some(Ok(None)) => outcome.blocks_skipped += 1,
                Some(Err(problem)) => {
                    outcome.blocks_read += 1;
                    outcome.problems.push(problem);
                }
                None => {}
            },
        );
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

/// What all threads of a replay share.
struct Run<'a> {
    rules: Vec<&'a Rule>,
    plans: Vec<(Arc<Schema>, Plan)>,
    late: Option<&'a LateFacts>,
    matching: Matching,
}

impl Run<'_> {
    /// The alerts of a block; nothing when it was not decoded.
    fn block(&self, reader: &mut BlockReader, block: &BlockRef) -> Result<Option<Vec<Alert>>, Problem> {
        let Some((_, plan)) = self.plans.iter().find(|(s, _)| same(s, block.schema())) else {
            return Ok(None);
        };
        let kinds = || block.head().kinds.iter().map(|k| k.id);
        let (Some(few), Some(whole)) = (plan.need(kinds(), Depth::Candidates), plan.need(kinds(), Depth::Whole)) else {
            return Ok(None);
        };
        // What images and objects leave open is little in most blocks: only then arguments and times are decoded.
        let candidates = scan::candidates(plan, self.read(reader, block, few)?);
        if candidates.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let decoded = self.read(reader, block, whole)?;
        let hits = scan::confirm(plan, decoded, &candidates, self.matching == Matching::First);
        if hits.is_empty() {
            return Ok(Some(Vec::new()));
        }
        // Outputs show more than conditions read, and few blocks have alerts: decode those a second time.
        let shown = self.shown(&hits);
        let decoded = self.read(reader, block, whole | shown | Need::TS)?;
        let about = &block.header().about;
        let origin = Origin {
            case_id: &about.case_id.0,
            hostname: &about.host.name,
        };
        let alert = |hit: &Hit| {
            let row = Some(hit.row as usize).filter(|r| *r < decoded.len)?;
            Some(Alert::new(self.rules.get(hit.rule)?, decoded.event(row), origin))
        };
        Ok(Some(hits.iter().filter_map(alert).collect()))
    }

    fn read<'r>(&self, reader: &'r mut BlockReader, block: &BlockRef, need: Need) -> Result<&'r Decoded, Problem> {
        let decoded = reader.read(block, need)?;
        if let Some(late) = self.late {
            late.resolve(decoded);
        }
        Ok(decoded)
    }

    fn shown(&self, hits: &[Hit]) -> Need {
        let rules: BTreeSet<usize> = hits.iter().map(|h| h.rule).collect();
        rules
            .into_iter()
            .filter_map(|r| self.rules.get(r))
            .fold(Need::NOTHING, |n, r| n | r.output.needs())
    }
}

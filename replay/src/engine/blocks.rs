//! From a block in a file to its alerts: decoded step by step, the cheap columns first, and no further than needed.

use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::case::LateFacts;
use ctrace_trace::segment::{BlockReader, BlockRef, Problem};

use super::plan::Plan;
use super::scan::{Candidate, Scan};
use super::{Alert, Engine, RuleMatching};

/// What came of one block.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) alerts: Vec<Alert>,
    /// Whether its events were not looked at, because its head or its images rule all rules out.
    pub(super) skipped: bool,
    pub(super) problem: Option<Problem>,
}

/// Replays blocks; one per thread.
pub(super) struct Worker<'p, 'r> {
    engine: &'p Engine<'r>,
    late: Option<&'p LateFacts>,
    matching: RuleMatching,
    scans: Vec<Scan<'p, 'r>>,
    reader: BlockReader,
}

/// An event that satisfies a rule.
struct Match {
    row: u32,
    /// Index among the engine's roots.
    root: u32,
    /// Whether its type is of the hot family.
    hot: bool,
}

impl<'p, 'r> Worker<'p, 'r> {
    pub(super) fn new(
        engine: &'p Engine<'r>,
        plans: &'p [Plan<'r>],
        late: Option<&'p LateFacts>,
        matching: RuleMatching,
    ) -> Worker<'p, 'r> {
        let scans = plans.iter().map(Scan::new).collect();
        Worker { engine, late, matching, scans, reader: BlockReader::new() }
    }

    /// Replays a block under one of the plans.
    pub(super) fn block(&mut self, plan: usize, block: &BlockRef) -> Found {
        let Some(scan) = self.scans.get_mut(plan) else { return Found::default() };
        let mut pass = Pass { scan, late: self.late, reader: &mut self.reader, block };
        let found = pass.matches(self.matching).and_then(|matches| match matches {
            None => Ok(Found { skipped: true, ..Found::default() }),
            Some(matches) => Ok(Found { alerts: pass.alerts(self.engine, &matches)?, ..Found::default() }),
        });
        found.unwrap_or_else(|problem| Found { problem: Some(problem), ..Found::default() })
    }
}

/// The way of one block through the engine.
struct Pass<'w, 'p, 'r> {
    scan: &'w mut Scan<'p, 'r>,
    late: Option<&'w LateFacts>,
    reader: &'w mut BlockReader,
    block: &'w BlockRef,
}

impl Pass<'_, '_, '_> {
    /// The events that satisfy rules, in order; `None` where no event had to be looked at.
    fn matches(&mut self, matching: RuleMatching) -> Result<Option<Vec<Match>>, Problem> {
        let head = self.block.head();
        if !self.scan.begin(head.kinds.iter().map(|k| k.id)) {
            return Ok(None);
        }
        if self.scan.wants_images() {
            let decoded = read(self.reader, self.block, self.late, Need::IMAGES)?;
            if !self.scan.images(&decoded.dict) {
                return Ok(None);
            }
        }
        let schema = self.block.schema();
        let types = head.kinds.iter().map(|k| (k.id, schema.get(k.id).is_some_and(|s| s.hot)));
        let cheap = self.scan.column_needs(types);
        let decoded = read(self.reader, self.block, self.late, cheap)?;
        let candidates = self.scan.candidates(decoded).to_vec();
        let open = candidates.iter().filter(|c| c.verdict.is_none());
        let needs = open.clone().fold(Need::KIND, |need, c| need | self.scan.needs(c));
        let needs = narrowed(needs, open.map(|c| c.hot));
        let decoded = if cheap.implied().contains(needs) {
            decoded
        } else {
            read(self.reader, self.block, self.late, needs)?
        };
        Ok(Some(confirm(self.scan, decoded, &candidates, matching)))
    }

    fn alerts(&mut self, engine: &Engine<'_>, matches: &[Match]) -> Result<Vec<Alert>, Problem> {
        if matches.is_empty() {
            return Ok(Vec::new());
        }
        let needs = matches.iter().filter_map(|m| engine.rule(m.root)).fold(Need::TS, |n, r| n | r.output.needs());
        let needs = narrowed(needs, matches.iter().map(|m| m.hot));
        let header = self.block.header();
        let decoded = read(self.reader, self.block, self.late, needs)?;
        let alert = |m: &Match| {
            let event = decoded.event(m.row as usize);
            Some(Alert::new(engine.rule(m.root)?, engine.text(m.root)?, event, header))
        };
        Ok(matches.iter().filter_map(alert).collect())
    }
}

fn read<'a>(
    reader: &'a mut BlockReader,
    block: &BlockRef,
    late: Option<&LateFacts>,
    need: Need,
) -> Result<&'a Decoded, Problem> {
    let decoded = reader.read(block, need)?;
    if let Some(late) = late.filter(|_| need.contains(Need::IMAGES)) {
        late.resolve(decoded);
    }
    Ok(decoded)
}

/// The candidates that satisfy their rules; of an event only the first where that is asked for.
fn confirm(scan: &Scan<'_, '_>, decoded: &Decoded, candidates: &[Candidate], matching: RuleMatching) -> Vec<Match> {
    let mut matches: Vec<Match> = Vec::new();
    for candidate in candidates {
        let taken = matching == RuleMatching::First && matches.last().is_some_and(|m| m.row == candidate.row);
        if !taken && scan.confirm(decoded, candidate) {
            matches.extend(scan.root(candidate).map(|root| Match { row: candidate.row, root, hot: candidate.hot }));
        }
    }
    matches
}

/// Leaves out the columns of a family to which none of the events belongs.
fn narrowed(need: Need, hot: impl Iterator<Item = bool> + Clone) -> Need {
    const HOT: Need = Need(Need::FD_HOT.0 | Need::ARGS_HOT.0 | Need::RET_HOT.0);
    const BULK: Need = Need(Need::FD_BULK.0 | Need::ARGS_BULK.0 | Need::RET_BULK.0);
    let without = |need: Need, columns: Need| Need(need.0 & !columns.0);
    let need = if hot.clone().any(|hot| hot) { need } else { without(need, HOT) };
    if hot.clone().all(|hot| hot) { without(need, BULK) } else { need }
}

//! From a block in a file to its alerts: decoded step by step, the cheap columns first, and no further than needed.

use std::collections::BTreeSet;
use std::sync::Arc;

use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::case::{Case, CaseReader, LateFacts};
use ctrace_trace::schema::Schema;
use ctrace_trace::segment::{BlockReader, BlockRef, Problem};

use super::confirm::Hit;
use super::evaluate::Place;
use super::plan::{Plan, without_bulk, without_hot};
use super::same;
use super::scan::Scan;
use crate::alert::{Alert, Maker, Origin, Shape};
use crate::rules::Rule;
use crate::triage::Inspection;

/// What all threads of a replay share.
pub(super) struct Run<'a> {
    pub(super) rules: Vec<&'a Rule>,
    pub(super) plans: Vec<(Arc<Schema>, Plan)>,
    pub(super) late: Option<&'a LateFacts>,
    pub(super) first: bool,
    pub(super) inspection: Option<&'a Inspection>,
    pub(super) shape: Option<Shape>,
}

/// What one thread works with: it keeps what it learned about values from block to block.
pub(super) struct Worker<'p> {
    reader: CaseReader<'p>,
    scans: Vec<Scan<'p>>,
    maker: Maker,
    /// The recording of the last block with alerts.
    origin: Option<Arc<Origin>>,
}

impl Run<'_> {
    pub(super) fn worker<'w>(&'w self, case: &'w Case) -> Worker<'w> {
        let scans = self.plans.iter().map(|(_, plan)| Scan::new(plan)).collect();
        Worker {
            reader: case.reader(),
            scans,
            maker: Maker::printing(self.shape),
            origin: None,
        }
    }

    /// The alerts of a block; nothing when none of its events had to be looked at, as its head or its process images
    /// told.
    pub(super) fn block(&self, worker: &mut Worker<'_>, block: &BlockRef) -> Result<Option<Vec<Alert>>, Problem> {
        let plan = self.plans.iter().position(|(schema, _)| same(schema, block.schema()));
        let Some(scan) = plan.and_then(|i| worker.scans.get_mut(i)) else {
            return Ok(None);
        };
        match self.hits(scan, &mut worker.reader, block)? {
            None => Ok(None),
            Some(hits) if hits.is_empty() => Ok(Some(Vec::new())),
            Some(hits) => self.alerts(worker, block, &hits).map(Some),
        }
    }

    fn hits(
        &self,
        scan: &mut Scan<'_>,
        reader: &mut BlockReader,
        block: &BlockRef,
    ) -> Result<Option<Vec<Hit>>, Problem> {
        let types = || block.head().kinds.iter().map(|k| k.id);
        if !scan.begin(types()) {
            return Ok(None);
        }
        if scan.wants_images() {
            let decoded = self.read(reader, block, Need::THREADS | Need::IMAGES)?;
            if !scan.images(&decoded.dict) {
                return Ok(None);
            }
        }
        let decoded = self.add(reader, block, scan.object_needs(types()))?;
        if !scan.objects(decoded) {
            return Ok(Some(Vec::new()));
        }
        let decoded = self.add(reader, block, Need::THREADS | Need::THREAD_KINDS)?;
        if !scan.threads(decoded) {
            return Ok(Some(Vec::new()));
        }
        if !scan.pairs(decoded) {
            return Ok(Some(Vec::new()));
        }
        let columns = scan.argument_needs(decoded);
        if columns != Need::NOTHING && !scan.arguments(self.add(reader, block, columns)?) {
            return Ok(Some(Vec::new()));
        }
        let decoded = self.add(reader, block, Need::KIND | Need::CONTEXT)?;
        let candidates = scan.candidates(decoded).to_vec();
        let open = candidates.iter().filter(|c| c.verdict.is_none());
        let need = open.clone().fold(Need::KIND, |need, c| need | scan.needs(c));
        let need = narrowed(need, open.map(|c| c.bulk));
        let decoded = self.add(reader, block, need)?;
        Ok(Some(scan.hits(decoded, &candidates, self.first)))
    }

    /// The alerts of hits. Outputs show more than conditions read.
    fn alerts(&self, worker: &mut Worker<'_>, block: &BlockRef, hits: &[Hit]) -> Result<Vec<Alert>, Problem> {
        let raised: BTreeSet<usize> = hits.iter().map(|hit| hit.rule).collect();
        let rules = raised.iter().filter_map(|rule| self.rules.get(*rule));
        let asked = self.inspection.map_or(Need::NOTHING, Inspection::needs);
        let need = rules.fold(asked | Need::TS | Need::KIND, |need, rule| {
            need | rule.output.needs() | rule.captured_needs()
        });
        let need = narrowed(need, hits.iter().map(|h| h.bulk));
        let decoded = self.add(&mut worker.reader, block, need)?;
        let about = &block.header().about;
        let (case_id, hostname) = (&about.case_id.0, &about.host.name);
        let origin = match worker.origin.take().filter(|o| o.is(case_id, hostname)) {
            Some(origin) => origin,
            None => Origin::new(case_id, hostname),
        };
        for hit in hits {
            let row = Some(hit.row as usize).filter(|row| *row < decoded.len);
            if let (Some(rule), Some(row)) = (self.rules.get(hit.rule), row) {
                let place = Place::Event(decoded.event(row));
                worker.maker.add(rule, place, &origin, self.inspection);
            }
        }
        worker.origin = Some(origin);
        Ok(worker.maker.take())
    }

    fn read<'r>(&self, reader: &'r mut BlockReader, block: &BlockRef, need: Need) -> Result<&'r Decoded, Problem> {
        reader.read(block, need).map(|decoded| self.resolved(decoded, need))
    }

    /// Reads what was not read of the block before.
    fn add<'r>(&self, reader: &'r mut BlockReader, block: &BlockRef, need: Need) -> Result<&'r Decoded, Problem> {
        reader.add(block, need).map(|decoded| self.resolved(decoded, need))
    }

    fn resolved<'r>(&self, decoded: &'r mut Decoded, need: Need) -> &'r Decoded {
        if let Some(late) = self.late.filter(|_| need.contains(Need::IMAGES)) {
            late.resolve(decoded);
        }
        decoded
    }
}

/// Leaves out the columns of a family to which none of the events belongs.
fn narrowed(need: Need, bulk: impl Iterator<Item = bool> + Clone) -> Need {
    let need = if bulk.clone().any(|bulk| bulk) {
        need
    } else {
        without_bulk(need)
    };
    if bulk.clone().all(|bulk| bulk) {
        without_hot(need)
    } else {
        need
    }
}

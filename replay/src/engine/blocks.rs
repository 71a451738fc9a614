//! From a block in a file to its alerts: decoded step by step, the cheap columns first, and no further than needed.

use std::sync::Arc;

use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::case::LateFacts;
use ctrace_trace::schema::Schema;
use ctrace_trace::segment::{BlockReader, BlockRef, Problem};

use super::confirm::Hit;
use super::plan::{Plan, without_bulk, without_hot};
use super::same;
use super::scan::Scan;
use crate::alert::{Alert, Origin};
use crate::rules::Rule;
use crate::triage::Inspection;

/// What all threads of a replay share.
pub(super) struct Run<'a> {
    pub(super) rules: Vec<&'a Rule>,
    pub(super) plans: Vec<(Arc<Schema>, Plan)>,
    pub(super) late: Option<&'a LateFacts>,
    pub(super) first: bool,
    pub(super) inspection: Option<&'a Inspection>,
}

/// What one thread works with: it keeps what it learned about values from block to block.
pub(super) struct Worker<'p> {
    reader: BlockReader,
    scans: Vec<Scan<'p>>,
}

impl Run<'_> {
    pub(super) fn worker(&self) -> Worker<'_> {
        let scans = self.plans.iter().map(|(_, plan)| Scan::new(plan)).collect();
        Worker {
            reader: BlockReader::new(),
            scans,
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
            Some(hits) => self.alerts(&mut worker.reader, block, &hits).map(Some),
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
        let decoded = self.add(reader, block, Need::KIND | Need::CONTEXT)?;
        let candidates = scan.candidates(decoded).to_vec();
        let open = candidates.iter().filter(|c| c.verdict.is_none());
        let need = open.clone().fold(Need::KIND, |need, c| need | scan.needs(c));
        let need = narrowed(need, open.map(|c| c.bulk));
        let decoded = self.add(reader, block, need)?;
        Ok(Some(scan.hits(decoded, &candidates, self.first)))
    }

    /// The alerts of hits. Outputs show more than conditions read.
    fn alerts(&self, reader: &mut BlockReader, block: &BlockRef, hits: &[Hit]) -> Result<Vec<Alert>, Problem> {
        let rules = hits.iter().filter_map(|hit| self.rules.get(hit.rule));
        let asked = self.inspection.map_or(Need::NOTHING, Inspection::needs);
        let need = rules.fold(asked | Need::TS | Need::KIND, |need, rule| {
            need | rule.output.needs() | rule.captured_needs()
        });
        let decoded = self.add(reader, block, narrowed(need, hits.iter().map(|h| h.bulk)))?;
        let about = &block.header().about;
        let origin = Origin {
            case_id: &about.case_id.0,
            hostname: &about.host.name,
        };
        let alert = |hit: &Hit| {
            let row = Some(hit.row as usize).filter(|row| *row < decoded.len)?;
            let (rule, event) = (self.rules.get(hit.rule)?, decoded.event(row));
            let mut alert = Alert::new(rule, event, origin);
            if let Some(inspection) = self.inspection {
                alert.seen = inspection.look(rule, event);
            }
            Some(alert)
        };
        Ok(hits.iter().filter_map(alert).collect())
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

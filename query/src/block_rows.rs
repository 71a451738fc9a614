//! A partition of a scan while it is read: blocks in, record batches out.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use ctrace_trace::block::{self, Need};
use ctrace_trace::segment::{BlockReader, BlockRef};
use datafusion::common::Result;
use datafusion::physical_plan::metrics::{BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder};

use crate::block_scan::Scan;
use crate::column::Column;
use crate::prune::Candidate;
use crate::source::host_name;
use crate::thread_groups;
use crate::values::Rows;

/// About so many values are in a batch: what a wide query keeps in memory stays bounded.
const VALUES_PER_BATCH: usize = 1 << 20;
/// Batches have at least so many rows (the last of a block aside) …
const MIN_ROWS: usize = 1 << 13;
/// … and at most as many as a block.
const MAX_ROWS: usize = 1 << 16;

/// Reads the blocks of a partition one after another.
pub(crate) struct BlockRows {
    scan: Arc<Scan>,
    candidates: Arc<[Candidate]>,
    next: usize,
    /// How many rows are still wanted.
    left: usize,
    schema: SchemaRef,
    reader: BlockReader,
    /// The block whose rows are being given out.
    open: Option<Open>,
    metrics: Metrics,
}

/// Where in a block the next batch begins.
struct Open {
    at: BlockRef,
    /// Whether only the threads were decoded, for groups of these.
    threads: bool,
    /// The rows that pass; `None` for all.
    rows: Option<Vec<u32>>,
    next: usize,
}

struct Metrics {
    baseline: BaselineMetrics,
    /// Blocks of which a part was decoded.
    read: Count,
    /// Blocks that were ruled out by their dictionaries alone.
    without_match: Count,
    /// Bytes of files that were asked for.
    bytes: Count,
}

impl BlockRows {
    /// Reads these blocks.
    pub(crate) fn new(
        scan: Arc<Scan>,
        candidates: Arc<[Candidate]>,
        schema: SchemaRef,
        metrics: &ExecutionPlanMetricsSet,
        partition: usize,
    ) -> BlockRows {
        let metrics = Metrics {
            baseline: BaselineMetrics::new(metrics, partition),
            read: MetricBuilder::new(metrics).counter("blocks_read", partition),
            without_match: MetricBuilder::new(metrics).counter("blocks_without_match", partition),
            bytes: MetricBuilder::new(metrics).counter("bytes_read", partition),
        };
        BlockRows {
            left: scan.limit.unwrap_or(usize::MAX),
            scan,
            candidates,
            next: 0,
            schema,
            reader: BlockReader::new(),
            open: None,
            metrics,
        }
    }

    /// The next batch that has rows; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>> {
        let elapsed = self.metrics.baseline.elapsed_compute().clone();
        let _timer = elapsed.timer();
        while self.left > 0 {
            if let Some(batch) = self.batch()? {
                self.left = self.left.saturating_sub(batch.num_rows());
                self.metrics.baseline.record_output(batch.num_rows());
                return Ok(Some(batch));
            }
            let Some(candidate) = self.candidates.get(self.next).cloned() else {
                break;
            };
            self.next += 1;
            self.metrics.read.add(1);
            if !self.open(&candidate)? {
                self.metrics.without_match.add(1);
            }
        }
        Ok(None)
    }

    /// Decodes a block and finds its rows that pass; says whether there are any. A damaged block is noted and left out.
    ///
    /// At first only the dictionaries that the conditions look at are decoded, then the rows that they look at: a block
    /// without a match costs no more.
    fn open(&mut self, candidate: &Candidate) -> Result<bool> {
        let block = &candidate.block;
        if let Some(need) = self.needs_of_threads(candidate) {
            if !self.read(block, need) {
                return Ok(false);
            }
            self.open = Some(Open {
                at: block.clone(),
                threads: true,
                rows: None,
                next: 0,
            });
            return Ok(true);
        }
        let partners = self.partners(block);
        if partners.as_ref().is_some_and(Vec::is_empty) {
            return Ok(false);
        }
        let conditions = &self.scan.conditions;
        let (dictionaries, rows) = (conditions.dictionaries(), candidate.narrow(conditions.needs()));
        if !self.read(block, dictionaries) {
            return Ok(false);
        }
        let sockets = self.scan.case.socket_values();
        if self.scan.conditions.rule_out(self.reader.decoded(), block, sockets)? {
            return Ok(false);
        }
        if !self.read(block, rows | kinds_of(candidate)) {
            return Ok(false);
        }
        let decoded = self.reader.decoded();
        let rows = in_both(candidate.rows(decoded), partners);
        let rows = self.scan.conditions.passing(decoded, rows)?;
        if rows.as_ref().map_or(decoded.len, Vec::len) == 0 || !self.read(block, candidate.narrow(self.needs())) {
            return Ok(false);
        }
        self.open = Some(Open {
            at: block.clone(),
            threads: false,
            rows,
            next: 0,
        });
        Ok(true)
    }

    /// The rows whose `seq` has a partner; `None` where that is not asked, or not known.
    fn partners(&self, block: &BlockRef) -> Option<Vec<u32>> {
        let noted = self.scan.partners.as_ref()?.noted()?;
        let head = block.head();
        Some(noted.places(head.first_seq, head.events as usize))
    }

    /// What groups of threads are made of; `None` where rows have to be looked at.
    fn needs_of_threads(&self, candidate: &Candidate) -> Option<Need> {
        let groups = self.scan.groups.as_ref().filter(|groups| thread_groups::fits(groups))?;
        let all = candidate.kinds.is_none() && self.scan.conditions.pass_all_rows();
        all.then(|| thread_groups::needs(groups))
    }

    /// What the output is made of.
    fn needs(&self) -> Need {
        self.scan.sources().fold(Need::NOTHING, |need, c| need | c.needs())
    }

    /// Decodes what is needed beyond what was decoded of this block before.
    fn read(&mut self, block: &BlockRef, need: Need) -> bool {
        let before = self.reader.have(block);
        if before.contains(need.implied()) && before != Need::NOTHING {
            return true;
        }
        let images = need.implied().beyond(before).intersects(Need::IMAGES);
        self.metrics.bytes.add(bytes_for(block, need.implied().beyond(before)));
        match self.reader.add(block, need) {
            Ok(decoded) => {
                if images {
                    self.scan.case.resolve(decoded);
                }
                true
            }
            Err(problem) => {
                self.scan.case.note(problem);
                false
            }
        }
    }

    /// The next rows of the open block.
    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let Some(open) = &mut self.open else { return Ok(None) };
        let block = self.reader.decoded();
        let per_batch = (VALUES_PER_BATCH / self.scan.columns.len().max(1)).clamp(MIN_ROWS, MAX_ROWS);
        let total = open.rows.as_ref().map_or(block.len, Vec::len);
        let per_batch = if self.scan.groups.is_some() { total } else { per_batch };
        let end = total.min(open.next.saturating_add(per_batch.min(self.left)));
        let range = open.next..end;
        if range.is_empty() {
            self.open = None;
            return Ok(None);
        }
        open.next = end;
        let rows = match &open.rows {
            Some(rows) => Rows::Some(rows.get(range).unwrap_or_default()),
            None => Rows::All(range),
        };
        let host = host_name(&open.at.header().about.host);
        if let Some(groups) = &self.scan.groups {
            return match open.threads {
                true => thread_groups::batch(groups, block).map(Some),
                false => groups.batch(block, host, &rows).map(Some),
            };
        }
        let array = |c: &Column| c.array(block, host, &rows);
        let arrays = self.scan.columns.iter().map(array).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(Some(RecordBatch::try_new_with_options(
            self.schema.clone(),
            arrays,
            &options,
        )?))
    }
}

/// Rows that are among both, each ascending; `None` stands for all rows.
fn in_both(some: Option<Vec<u32>>, others: Option<Vec<u32>>) -> Option<Vec<u32>> {
    match (some, others) {
        (Some(mut rows), Some(others)) => {
            rows.retain(|row| others.binary_search(row).is_ok());
            Some(rows)
        }
        (some, others) => some.or(others),
    }
}

/// The event types, where not all of a block are wanted.
fn kinds_of(candidate: &Candidate) -> Need {
    if candidate.kinds.is_some() {
        Need::KIND
    } else {
        Need::NOTHING
    }
}

fn bytes_for(block: &BlockRef, need: Need) -> usize {
    let ranges = block::ranges(block.head(), block.schema(), need).unwrap_or_default();
    ranges.iter().map(|r| (r.end - r.start) as usize).sum()
}

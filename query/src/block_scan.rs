//! The physical plan of a scan over blocks: how it is split, how it is sorted, what is known without reading.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::Schema;
use ctrace_trace::block::BlockHead;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Result, ScalarValue, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, StatisticsArgs,
};

use crate::block_groups::Groups;
use crate::block_rows::BlockRows;
use crate::column::{self, Column};
use crate::filter::Conditions;
use crate::partners::Partners;
use crate::plan_node::reads_data;
use crate::prune::Candidate;
use crate::source::CaseSource;

/// What a scan gives out.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    /// Where it comes from.
    pub(crate) case: Arc<CaseSource>,
    /// The columns, in the order of the output.
    pub(crate) columns: Vec<Column>,
    /// Given out instead of rows: groups of them.
    pub(crate) groups: Option<Groups>,
    /// The conditions that rows must pass.
    pub(crate) conditions: Conditions,
    /// No more rows than this are wanted from a partition.
    pub(crate) limit: Option<usize>,
    /// Only rows whose `seq` is among these are wanted, once they are known.
    pub(crate) partners: Option<Arc<Partners>>,
    /// How many blocks the table has.
    pub(crate) blocks: usize,
}

impl Scan {
    /// Whether every row of the candidates' wanted event types passes and is given out.
    fn is_whole(&self) -> bool {
        let all = self.conditions.pass_all_rows() && self.partners.is_none();
        all && self.limit.is_none() && self.groups.is_none()
    }

    /// The columns that the output is made of.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Column> {
        let of_groups = self.groups.iter().flat_map(Groups::columns);
        let of_rows = self.columns.iter().filter(|_| self.groups.is_none());
        of_groups.chain(of_rows)
    }
}

/// Reads blocks, each partition a run of consecutive ones.
#[derive(Debug)]
pub(crate) struct BlockScan {
    scan: Arc<Scan>,
    partitions: Vec<Arc<[Candidate]>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl BlockScan {
    /// Splits the candidates into at most so many partitions of about equal numbers of events.
    pub(crate) fn new(scan: Scan, candidates: Vec<Candidate>, partitions: usize) -> BlockScan {
        let sorted = is_sorted(&candidates);
        let partitions = split(candidates, partitions.max(1));
        let schema = Arc::new(column::schema(&scan.columns));
        let mut equivalence = EquivalenceProperties::new(schema.clone());
        equivalence.add_orderings(orderings(&scan.columns, &schema, sorted));
        BlockScan::over(scan, partitions, equivalence)
    }

    /// The same scan giving out groups of its rows.
    pub(crate) fn grouped(&self, groups: Groups) -> BlockScan {
        let equivalence = EquivalenceProperties::new(groups.schema.clone());
        let scan = Scan {
            groups: Some(groups),
            ..Scan::clone(&self.scan)
        };
        BlockScan::over(scan, self.partitions.clone(), equivalence)
    }

    /// The same scan giving out only rows whose `seq` has a partner; `None` where this column is another, or the scan has
    /// partners or a limit.
    pub(crate) fn with_partners(&self, column: usize, partners: &Arc<Partners>) -> Option<BlockScan> {
        let free = self.gives_rows() && self.scan.partners.is_none();
        if !free || !matches!(self.column(column), Some(Column::Seq)) {
            return None;
        }
        let scan = Scan {
            partners: Some(partners.clone()),
            ..Scan::clone(&self.scan)
        };
        let equivalence = self.properties.equivalence_properties().clone();
        Some(BlockScan::over(scan, self.partitions.clone(), equivalence))
    }

    fn over(scan: Scan, partitions: Vec<Arc<[Candidate]>>, equivalence: EquivalenceProperties) -> BlockScan {
        let properties = PlanProperties::new(
            equivalence,
            Partitioning::UnknownPartitioning(partitions.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::NonCooperative);
        let metrics = ExecutionPlanMetricsSet::new();
        let kept: usize = partitions.iter().map(|p| p.len()).sum();
        MetricBuilder::new(&metrics)
            .global_counter("blocks_pruned")
            .add(scan.blocks.saturating_sub(kept));
        BlockScan {
            scan: Arc::new(scan),
            partitions,
            properties: Arc::new(properties),
            metrics,
        }
    }

    /// Whether it gives out all rows that pass, as rows.
    pub(crate) fn gives_rows(&self) -> bool {
        self.scan.groups.is_none() && self.scan.limit.is_none()
    }

    /// A column of its output.
    pub(crate) fn column(&self, index: usize) -> Option<&Column> {
        self.scan.columns.get(index)
    }

    fn candidates(&self, partition: Option<usize>) -> impl Iterator<Item = &Candidate> {
        let wanted = self
            .partitions
            .iter()
            .enumerate()
            .filter(move |(i, _)| partition.is_none_or(|p| p == *i));
        wanted.flat_map(|(_, candidates)| candidates.iter())
    }
}

/// Runs of consecutive blocks with about the same number of events each; at least one run.
fn split(candidates: Vec<Candidate>, partitions: usize) -> Vec<Arc<[Candidate]>> {
    let weight = |c: &Candidate| u64::from(c.block.head().events);
    let total: u64 = candidates.iter().map(weight).sum();
    let share = total.div_ceil(partitions as u64).max(1);
    let mut out = Vec::new();
    let (mut run, mut before) = (Vec::new(), 0);
    for candidate in candidates {
        // Where the run that this block belongs to by its place differs from that of the block before.
        if !run.is_empty() && before / share > out.len() as u64 {
            out.push(std::mem::take(&mut run));
        }
        before += weight(&candidate);
        run.push(candidate);
    }
    out.push(run);
    out.into_iter().map(Arc::from).collect()
}

/// Whether time never runs backwards from row to row over all blocks.
fn is_sorted(candidates: &[Candidate]) -> bool {
    let heads = || candidates.iter().map(|c| c.block.head());
    heads().all(|h| h.ts_sorted) && heads().zip(heads().skip(1)).all(|(a, b)| a.max_ts <= b.min_ts)
}

/// `seq` always ascends; `ts` does where no source was late, and then so does (`ts`, `seq`).
fn orderings(columns: &[Column], schema: &Schema, sorted: bool) -> Vec<LexOrdering> {
    let sort = |wanted: fn(&Column) -> bool| {
        let at = columns.iter().position(wanted)?;
        let column = datafusion::physical_expr::expressions::Column::new(schema.field(at).name(), at);
        Some(PhysicalSortExpr::new_default(Arc::new(column)))
    };
    let seq = sort(|c| matches!(c, Column::Seq));
    let ts = sort(|c| matches!(c, Column::Ts)).filter(|_| sorted);
    let by_time = LexOrdering::new(ts.into_iter().chain(seq.clone()));
    by_time.into_iter().chain(LexOrdering::new(seq)).collect()
}

impl DisplayAs for BlockScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept: usize = self.partitions.iter().map(|p| p.len()).sum();
        write!(
            f,
            "BlockScan: blocks={kept}/{} partitions={}",
            self.scan.blocks,
            self.partitions.len()
        )?;
        let names = |columns: &[Column]| columns.iter().map(Column::name).collect::<Vec<_>>().join(", ");
        match &self.scan.groups {
            None => write!(f, " columns=[{}]", names(&self.scan.columns))?,
            Some(groups) => {
                let keys: Vec<_> = groups.keys.iter().map(ToString::to_string).collect();
                write!(f, " groups=[{}]", keys.join(", "))?;
                list(f, "results", &groups.aggregates)?;
            }
        }
        let Conditions {
            kinds,
            entries,
            ranges,
            rows,
        } = &self.scan.conditions;
        list(f, "heads", kinds)?;
        list(f, "ranges", ranges)?;
        list(f, "entries", entries)?;
        list(f, "rows", rows)?;
        if self.scan.partners.is_some() {
            f.write_str(" partners=[seq]")?;
        }
        self.scan.limit.map_or(Ok(()), |limit| write!(f, " limit={limit}"))
    }
}

fn list(f: &mut fmt::Formatter<'_>, name: &str, items: &[impl fmt::Display]) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    let items: Vec<_> = items.iter().map(ToString::to_string).collect();
    write!(f, " {name}=[{}]", items.join(", "))
}

impl ExecutionPlan for BlockScan {
    fn name(&self) -> &'static str {
        "BlockScan"
    }

    reads_data!();

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(candidates) = self.partitions.get(partition) else {
            return internal_err!("partition {partition} of {}", self.partitions.len());
        };
        let schema = self.schema();
        let rows = BlockRows::new(
            self.scan.clone(),
            candidates.clone(),
            schema.clone(),
            &self.metrics,
            partition,
        );
        let stream = futures::stream::unfold(rows, |mut rows| async move {
            // Decoding a block takes milliseconds and never waits: a yield in between lets a cancelled query stop.
            tokio::task::yield_now().await;
            rows.next().transpose().map(|batch| (batch, rows))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        let whole = self.scan.is_whole();
        let rows = self.candidates(args.partition()).map(Candidate::events).sum::<u64>() as usize;
        statistics.num_rows = if whole {
            Precision::Exact(rows)
        } else {
            Precision::Inexact(rows)
        };
        if whole && self.candidates(args.partition()).all(|c| c.kinds.is_none()) {
            for (column, bounds) in self.scan.columns.iter().zip(&mut statistics.column_statistics) {
                let heads = self.candidates(args.partition()).map(|c| c.block.head());
                *bounds = column_bounds(column, heads);
            }
        }
        Ok(Arc::new(statistics))
    }
}

/// Smallest and largest value of `ts` and `seq`, known from the heads.
fn column_bounds<'a>(column: &Column, heads: impl Iterator<Item = &'a BlockHead>) -> ColumnStatistics {
    let mut statistics = ColumnStatistics::new_unknown();
    let ranges = heads.filter(|h| h.events > 0).map(|h| match column {
        Column::Ts => (h.min_ts, h.max_ts),
        _ => (h.first_seq, h.first_seq + u64::from(h.events) - 1),
    });
    let Some((low, high)) = ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) else {
        return statistics;
    };
    let value = |v: u64| match column {
        Column::Ts => ScalarValue::TimestampNanosecond(i64::try_from(v).ok(), Some("UTC".into())),
        _ => ScalarValue::UInt64(Some(v)),
    };
    if column.has_bounds() {
        statistics.null_count = Precision::Exact(0);
        statistics.min_value = Precision::Exact(value(low));
        statistics.max_value = Precision::Exact(value(high));
    }
    statistics
}

//! Table `events`: every event of a case, read straight from its blocks.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use ctrace_trace::block::{BlockHead, Need};
use ctrace_trace::segment::{BlockReader, BlockRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ColumnStatistics, Result, ScalarValue, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions, StatisticsArgs,
};

use crate::columns::{self, Column, Rows};
use crate::filter::{self, BlockFilter};
use crate::source::CaseSource;

/// Table `events` over a case.
#[derive(Debug)]
pub(crate) struct EventsTable {
    case: Arc<CaseSource>,
    columns: Vec<Column>,
    schema: SchemaRef,
}

impl EventsTable {
    pub(crate) fn new(case: Arc<CaseSource>) -> EventsTable {
        let columns = columns::all();
        let schema = Arc::new(schema(&columns));
        EventsTable { case, columns, schema }
    }
}

/// The Arrow schema of columns.
pub(crate) fn schema(columns: &[Column]) -> Schema {
    Schema::new(columns.iter().map(Column::arrow).collect::<Vec<_>>())
}

#[async_trait]
impl TableProvider for EventsTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters.iter().map(|f| filter::support(f, &self.columns)).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let filter = BlockFilter::new(filters, &self.columns, &self.schema, state)?;
        let heads: Vec<&BlockHead> = self.case.blocks().iter().map(BlockRef::head).collect();
        let keep = filter.candidates(&heads)?;
        let blocks = self
            .case
            .blocks()
            .iter()
            .zip(keep)
            .filter(|(_, keep)| *keep)
            .map(|(b, _)| b.clone())
            .collect();
        let columns = match projection {
            Some(projection) => projection
                .iter()
                .filter_map(|i| self.columns.get(*i).copied())
                .collect(),
            None => self.columns.clone(),
        };
        let scan = Scan {
            case: self.case.clone(),
            columns,
            filter,
            limit,
        };
        Ok(Arc::new(BlocksExec::new(
            scan,
            blocks,
            state.config().target_partitions(),
        )))
    }
}

/// What a scan gives out.
#[derive(Debug)]
struct Scan {
    case: Arc<CaseSource>,
    columns: Vec<Column>,
    filter: BlockFilter,
    /// No more rows than this are wanted from a partition.
    limit: Option<usize>,
}

impl Scan {
    fn needs(&self) -> Need {
        self.columns
            .iter()
            .fold(self.filter.needs(), |need, c| need | c.needs())
    }
}

/// Reads blocks, each partition a run of consecutive ones.
#[derive(Debug)]
struct BlocksExec {
    scan: Arc<Scan>,
    partitions: Vec<Arc<[BlockRef]>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl BlocksExec {
    fn new(scan: Scan, blocks: Vec<BlockRef>, target_partitions: usize) -> BlocksExec {
        let per_partition = blocks.len().div_ceil(target_partitions.max(1)).max(1);
        let sorted = is_sorted(&blocks);
        let mut partitions: Vec<Arc<[BlockRef]>> = blocks.chunks(per_partition).map(Arc::from).collect();
        if partitions.is_empty() {
            partitions.push(Arc::from([]));
        }
        let schema = Arc::new(schema(&scan.columns));
        let mut equivalence = EquivalenceProperties::new(schema.clone());
        equivalence.add_orderings(orderings(&scan.columns, &schema, sorted));
        let properties = PlanProperties::new(
            equivalence,
            Partitioning::UnknownPartitioning(partitions.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::NonCooperative);
        BlocksExec {
            scan: Arc::new(scan),
            partitions,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    fn selected(&self, partition: Option<usize>) -> impl Iterator<Item = &BlockHead> {
        let wanted = self
            .partitions
            .iter()
            .enumerate()
            .filter(move |(i, _)| partition.is_none_or(|p| p == *i));
        wanted.flat_map(|(_, blocks)| blocks.iter()).map(BlockRef::head)
    }
}

/// Whether time never runs backwards from row to row over all blocks.
fn is_sorted(blocks: &[BlockRef]) -> bool {
    blocks.iter().all(|b| b.head().ts_sorted) && blocks.windows(2).all(|w| w[0].head().max_ts <= w[1].head().min_ts)
}

/// `seq` always ascends; `ts` does where no source was late.
fn orderings(columns: &[Column], schema: &SchemaRef, sorted: bool) -> Vec<LexOrdering> {
    let ordered = |c: &Column| matches!(c, Column::Seq) || (sorted && matches!(c, Column::Ts));
    let sort = |i: usize, c: &Column| -> Option<LexOrdering> {
        let column = datafusion::physical_expr::expressions::Column::new(schema.field(i).name(), i);
        ordered(c)
            .then(|| LexOrdering::new([PhysicalSortExpr::new_default(Arc::new(column))]))
            .flatten()
    };
    columns.iter().enumerate().filter_map(|(i, c)| sort(i, c)).collect()
}

impl DisplayAs for BlocksExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blocks: usize = self.partitions.iter().map(|p| p.len()).sum();
        let of = self.scan.case.blocks().len();
        write!(
            f,
            "BlocksExec: blocks={blocks}/{of} partitions={}",
            self.partitions.len()
        )?;
        let names: Vec<_> = self.scan.columns.iter().map(Column::name).collect();
        write!(f, " columns=[{}] {}", names.join(", "), self.scan.filter)
    }
}

impl ExecutionPlan for BlocksExec {
    fn name(&self) -> &'static str {
        "BlocksExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(blocks) = self.partitions.get(partition) else {
            return internal_err!("partition {partition} of {}", self.partitions.len());
        };
        let reader = Partition {
            scan: self.scan.clone(),
            blocks: blocks.clone(),
            next: 0,
            left: self.scan.limit.unwrap_or(usize::MAX),
            schema: self.schema(),
            reader: BlockReader::new(),
            baseline: BaselineMetrics::new(&self.metrics, partition),
            skipped: MetricBuilder::new(&self.metrics).counter("blocks_without_match", partition),
        };
        let stream = futures::stream::unfold(reader, |mut reader| async move {
            // Decoding a block takes milliseconds and never waits: a yield in between lets a cancelled query stop.
            tokio::task::yield_now().await;
            reader.next().transpose().map(|batch| (batch, reader))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let schema = self.schema();
        let mut statistics = Statistics::new_unknown(&schema);
        let exact = self.scan.filter.is_empty() && self.scan.limit.is_none();
        let rows: usize = self.selected(args.partition()).map(|h| h.events as usize).sum();
        statistics.num_rows = if exact {
            Precision::Exact(rows)
        } else {
            Precision::Inexact(rows)
        };
        if exact {
            for (column, stats) in self.scan.columns.iter().zip(&mut statistics.column_statistics) {
                *stats = bounds(column, self.selected(args.partition()));
            }
        }
        Ok(Arc::new(statistics))
    }
}

/// Smallest and largest value of `ts` and `seq`, known from the headers.
fn bounds<'a>(column: &Column, heads: impl Iterator<Item = &'a BlockHead>) -> ColumnStatistics {
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
    if matches!(column, Column::Ts | Column::Seq) {
        statistics.null_count = Precision::Exact(0);
        statistics.min_value = Precision::Exact(value(low));
        statistics.max_value = Precision::Exact(value(high));
    }
    statistics
}

/// A partition while it is read.
struct Partition {
    scan: Arc<Scan>,
    blocks: Arc<[BlockRef]>,
    next: usize,
    left: usize,
    schema: SchemaRef,
    reader: BlockReader,
    baseline: BaselineMetrics,
    skipped: Count,
}

impl Partition {
    /// The next batch that has rows; `None` at the end.
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        while self.left > 0 {
            let Some(block) = self.blocks.get(self.next).cloned() else {
                break;
            };
            self.next += 1;
            let elapsed = self.baseline.elapsed_compute().clone();
            let _timer = elapsed.timer();
            if let Some(batch) = self.batch(&block)? {
                self.left = self.left.saturating_sub(batch.num_rows());
                self.baseline.record_output(batch.num_rows());
                return Ok(Some(batch));
            }
            self.skipped.add(1);
        }
        Ok(None)
    }

    /// The selected rows of a block. First only what the conditions need is decoded: a block without a match costs no
    /// more. A damaged block is noted and left out.
    fn batch(&mut self, block: &BlockRef) -> Result<Option<RecordBatch>> {
        let case = &self.scan.case;
        let first = self.scan.filter.needs();
        let selected = if first == Need::NOTHING {
            None
        } else {
            match self.reader.read(block, first) {
                Ok(decoded) => {
                    case.resolve(decoded);
                    self.scan.filter.rows(decoded)?
                }
                Err(problem) => return Ok(case.note(problem)),
            }
        };
        if selected.as_ref().is_some_and(Vec::is_empty) {
            return Ok(None);
        }
        let decoded = match self.reader.read(block, self.scan.needs()) {
            Ok(decoded) => decoded,
            Err(problem) => return Ok(case.note(problem)),
        };
        case.resolve(decoded);
        let rows = match &selected {
            Some(rows) => Rows::Some(rows),
            None => Rows::All(decoded.len),
        };
        let arrays = self
            .scan
            .columns
            .iter()
            .map(|c| c.array(decoded, &rows))
            .collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(Some(RecordBatch::try_new_with_options(
            self.schema.clone(),
            arrays,
            &options,
        )?))
    }
}

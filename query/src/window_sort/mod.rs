//! Sorting by numbers for window functions over parts of the rows.
//!
//! DataFusion sorts rows by comparing them, whatever they are. `PARTITION BY proc_pid ORDER BY ts, seq` has few different
//! values in the first column, numbers in all of them, and rows that come almost in order: counting puts the rows of a part
//! together, and little is left to compare. What does not fit in memory is left to DataFusion, which spills.

mod held;
mod order;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::UInt32Array;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::metrics::{BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions};
use futures::{StreamExt, TryStreamExt};

use self::held::Held;
use self::order::Key;
use crate::numbering::is_number;
use crate::plan_node::{only, reads_input, with_children};

/// Puts [`WindowSort`] below window functions.
#[derive(Debug)]
pub(crate) struct SortForWindows;

impl PhysicalOptimizerRule for SortForWindows {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let window = plan.is::<BoundedWindowAggExec>() || plan.is::<WindowAggExec>();
            let input = plan.children().first().copied().filter(|_| window);
            let sort = input.and_then(|input| input.downcast_ref::<SortExec>());
            let Some(sort) = sort.and_then(WindowSort::of) else {
                return Ok(Transformed::no(plan));
            };
            with_children(plan, vec![Arc::new(sort)]).map(Transformed::yes)
        })
        .data()
    }

    fn name(&self) -> &str {
        "SortForWindows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Sorts the rows of each partition by columns of numbers.
#[derive(Debug)]
struct WindowSort {
    input: Arc<dyn ExecutionPlan>,
    by: LexOrdering,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl WindowSort {
    /// The same sort; `None` where it is by something else than numbers, or for the first rows alone.
    fn of(sort: &SortExec) -> Option<WindowSort> {
        let schema = sort.input().schema();
        let number = |e: &PhysicalSortExpr| {
            let column = e.expr.downcast_ref::<Column>();
            column.is_some_and(|c| is_number(schema.field(c.index()).data_type()))
        };
        let fits = sort.fetch().is_none() && sort.expr().iter().all(number);
        fits.then(|| WindowSort {
            input: sort.input().clone(),
            by: sort.expr().clone(),
            properties: sort.properties().clone(),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

impl DisplayAs for WindowSort {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WindowSort: [{}]", self.by)
    }
}

impl ExecutionPlan for WindowSort {
    fn name(&self) -> &'static str {
        "WindowSort"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    reads_input!();

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let sort = SortExec::new(self.by.clone(), only(children)?).with_preserve_partitioning(true);
        Ok(match WindowSort::of(&sort) {
            Some(sort) => Arc::new(sort),
            None => Arc::new(sort),
        })
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let sorting = Sorting {
            by: self.by.clone(),
            schema: self.schema(),
            columns: self
                .schema()
                .fields()
                .iter()
                .map(|f| Held::new(f.data_type()))
                .collect(),
            batches: Vec::new(),
            rows: 0,
            memory: MemoryConsumer::new("rows sorted for a window").register(context.memory_pool()),
            baseline: BaselineMetrics::new(&self.metrics, partition),
            left: MetricBuilder::new(&self.metrics).counter("left_to_spill", partition),
        };
        let input = self.input.execute(partition, context.clone())?;
        let rows = futures::stream::once(sorting.run(input, context)).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// A partition while it is collected.
struct Sorting {
    by: LexOrdering,
    schema: SchemaRef,
    columns: Vec<Held>,
    /// How many rows each batch had.
    batches: Vec<u32>,
    rows: u32,
    memory: MemoryReservation,
    baseline: BaselineMetrics,
    /// Whether memory did not suffice.
    left: Count,
}

impl Sorting {
    async fn run(
        mut self,
        mut input: SendableRecordBatchStream,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        while let Some(batch) = input.try_next().await? {
            let Some((rows, room)) = self.room(&batch) else {
                return self.leave(batch, input, context);
            };
            if self.memory.try_grow(room).is_err() {
                return self.leave(batch, input, context);
            }
            self.batches.push(rows - self.rows);
            self.rows = rows;
            for (column, array) in self.columns.iter_mut().zip(batch.columns()) {
                column.add(array)?;
            }
        }
        self.sorted(context.session_config().batch_size())
    }

    /// How many rows there are with those of a batch, and how many bytes sorting these needs; `None` where there are more
    /// than can be counted.
    fn room(&self, batch: &RecordBatch) -> Option<(u32, usize)> {
        let rows = self.rows.checked_add(u32::try_from(batch.num_rows()).ok()?)?;
        let columns = self.columns.iter().zip(batch.columns());
        let columns: Option<usize> = columns.map(|(column, array)| column.room(array)).sum();
        Some((rows, columns? + batch.num_rows() * 2 * size_of::<u32>()))
    }

    /// Sorts what came and gives it out in batches of so many rows.
    fn sorted(self, rows: usize) -> Result<SendableRecordBatchStream> {
        let Sorting {
            by,
            schema,
            columns,
            memory,
            baseline,
            ..
        } = self;
        let timer = baseline.elapsed_compute().timer();
        let columns = columns.into_iter().map(Held::whole).collect::<Result<Vec<_>>>()?;
        let keys = by.iter().map(|e| {
            let column = e.expr.downcast_ref::<Column>().and_then(|c| columns.get(c.index()));
            let numbers = column.and_then(Held::numbers);
            numbers.map(|numbers| Key::new(numbers, e.options))
        });
        let keys = keys.collect::<Option<Vec<_>>>();
        let keys = keys.ok_or_else(|| internal_datafusion_err!("parts of windows are sorted by numbers"))?;
        let order = UInt32Array::from(order::sorted(&keys, self.rows));
        timer.done();
        let parts = (0..order.len()).step_by(rows.max(1));
        let out = schema.clone();
        let batches = parts.map(move |from| -> Result<RecordBatch> {
            let _timer = baseline.elapsed_compute().timer();
            let order = order.slice(from, rows.max(1).min(order.len() - from));
            let batch = batch_of(&out, &columns, &order)?;
            baseline.record_output(batch.num_rows());
            // Held for as long as the rows are.
            let _held = &memory;
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            schema,
            futures::stream::iter(batches),
        )))
    }

    /// Leaves what came, this batch and the rest to DataFusion's sort.
    fn leave(
        self,
        batch: RecordBatch,
        rest: SendableRecordBatchStream,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.left.add(1);
        let Sorting {
            by,
            schema,
            columns,
            batches,
            ..
        } = self;
        let columns = columns.into_iter().map(|column| column.into_batches(batches.clone()));
        let mut columns: Vec<_> = columns.collect();
        let out = schema.clone();
        let came = std::iter::from_fn(move || {
            let arrays = columns.iter_mut().map(Iterator::next).collect::<Option<Vec<_>>>();
            let arrays = arrays.filter(|arrays| !arrays.is_empty())?;
            let arrays = arrays.into_iter().collect::<Result<_>>();
            Some(arrays.and_then(|arrays| Ok(RecordBatch::try_new(out.clone(), arrays)?)))
        });
        let all = futures::stream::iter(came.chain([Ok(batch)])).chain(rest);
        let all: SendableRecordBatchStream = Box::pin(RecordBatchStreamAdapter::new(schema.clone(), all));
        let input = Arc::new(Once {
            schema: schema.clone(),
            rows: Mutex::new(Some(all)),
        });
        let input = StreamingTableExec::try_new(schema, vec![input], None, [], false, None)?;
        SortExec::new(by, Arc::new(input)).execute(0, context)
    }
}

/// These rows of whole columns.
fn batch_of(schema: &SchemaRef, columns: &[Held], rows: &UInt32Array) -> Result<RecordBatch> {
    let columns = columns.iter().filter_map(|column| column.rows(rows).transpose());
    Ok(RecordBatch::try_new(schema.clone(), columns.collect::<Result<_>>()?)?)
}

/// Rows that are read once.
struct Once {
    schema: SchemaRef,
    rows: Mutex<Option<SendableRecordBatchStream>>,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Once")
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).take();
        let twice = || {
            let error = Err(internal_datafusion_err!("rows are read once"));
            Box::pin(RecordBatchStreamAdapter::new(
                self.schema.clone(),
                futures::stream::iter([error]),
            )) as _
        };
        rows.unwrap_or_else(twice)
    }
}

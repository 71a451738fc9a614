//! Recursive queries that read their tables once. DataFusion runs the recursive part anew for each level and scans its
//! tables each time; here what does not depend on the level before is kept in memory from the first level on, as far as
//! the memory limit allows.

use std::fmt;
use std::sync::{Arc, OnceLock};

use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::ExecutionPlanProperties;
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::work_table::WorkTableExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ReplaceChildrenOptions};
use futures::{StreamExt, TryStreamExt};

use crate::plan_node::{only, passes_rows, with_children};

/// Keeps what the recursive part of a query reads. Before the other rules: filters that joins make of one level must not
/// reach what is kept for all.
#[derive(Debug)]
pub(crate) struct KeepForRecursion;

impl PhysicalOptimizerRule for KeepForRecursion {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let Some(recursive) = plan.downcast_ref::<RecursiveQueryExec>() else {
                return Ok(Transformed::no(plan));
            };
            let children = vec![
                recursive.static_term().clone(),
                kept(recursive.recursive_term().clone())?,
            ];
            with_children(plan, children).map(Transformed::yes)
        })
        .data()
    }

    fn name(&self) -> &str {
        "KeepForRecursion"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same plan with what does not depend on the level before kept.
fn kept(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if plan.is::<WorkTableExec>() || plan.is::<Kept>() {
        return Ok(plan);
    }
    if !depends(&plan) {
        return Ok(Arc::new(Kept::new(plan)));
    }
    let children = plan
        .children()
        .into_iter()
        .cloned()
        .map(kept)
        .collect::<Result<Vec<_>>>()?;
    with_children(plan, children)
}

/// Whether a plan reads the level before.
fn depends(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<WorkTableExec>() || plan.children().into_iter().any(depends)
}

/// Gives out what its input gave when it was run first.
#[derive(Debug)]
struct Kept {
    input: Arc<dyn ExecutionPlan>,
    /// The rows of each partition that was read to its end, shared by the plans of all levels.
    rows: Rows,
}

type Rows = Arc<[OnceLock<Held>]>;

/// Batches, and the memory that was asked for them.
#[derive(Debug)]
struct Held {
    batches: Vec<RecordBatch>,
    reservation: MemoryReservation,
}

impl Kept {
    fn new(input: Arc<dyn ExecutionPlan>) -> Kept {
        let partitions = input.output_partitioning().partition_count();
        Kept {
            rows: (0..partitions).map(|_| OnceLock::new()).collect(),
            input,
        }
    }
}

impl DisplayAs for Kept {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

impl ExecutionPlan for Kept {
    fn name(&self) -> &'static str {
        "Kept"
    }

    passes_rows!();

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let new = Kept::new(only(children)?);
        // Run anew for the next level, it has the same rows; changed by another rule, it has not run yet.
        let rows = if new.rows.len() == self.rows.len() {
            self.rows.clone()
        } else {
            new.rows.clone()
        };
        Ok(Arc::new(Kept { rows, ..new }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        if let Some(held) = self.rows.get(partition).and_then(OnceLock::get) {
            let batches = held.batches.clone().into_iter().map(Ok);
            let rows = futures::stream::iter(batches);
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)));
        }
        let keeping = Keeping {
            rows: self.rows.clone(),
            partition,
            held: Some(Held {
                batches: Vec::new(),
                reservation: MemoryConsumer::new("rows kept for a recursion").register(context.memory_pool()),
            }),
        };
        let input = self.input.execute(partition, context)?;
        let rows = futures::stream::try_unfold((input, keeping), |(mut input, mut keeping)| async move {
            let next = input.try_next().await?;
            keeping.note(next.as_ref());
            Ok(next.map(|batch| (batch, (input, keeping))))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows.boxed())))
    }
}

/// A partition while it is read the first time.
struct Keeping {
    rows: Rows,
    partition: usize,
    /// Nothing where memory does not suffice: it is read again for the next level.
    held: Option<Held>,
}

impl Keeping {
    /// Notes a batch, or the end.
    fn note(&mut self, batch: Option<&RecordBatch>) {
        let Some(held) = &mut self.held else { return };
        match batch {
            Some(batch) if held.reservation.try_grow(batch.get_array_memory_size()).is_ok() => {
                held.batches.push(batch.clone());
            }
            Some(_) => self.held = None,
            None => {
                if let (Some(held), Some(slot)) = (self.held.take(), self.rows.get(self.partition)) {
                    // Another reader of the same rows may have come first.
                    let _ = slot.set(held);
                }
            }
        }
    }
}

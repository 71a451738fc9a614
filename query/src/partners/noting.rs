//! The first side of a join: its rows pass, their numbers are noted.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, UInt64Array};
use arrow::datatypes::UInt64Type;
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ReplaceChildrenOptions};
use futures::{StreamExt, TryStreamExt};

use super::noted::{Noted, Partners, bytes};
use crate::plan_node::{only, passes_rows};

/// Lets rows pass, of one partition.
#[derive(Debug)]
pub(super) struct Noting {
    input: Arc<dyn ExecutionPlan>,
    column: usize,
    partners: Arc<Partners>,
}

impl Noting {
    /// Notes a column of numbers.
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, column: usize, partners: Arc<Partners>) -> Noting {
        Noting {
            input,
            column,
            partners,
        }
    }
}

impl DisplayAs for Noting {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.input.schema();
        let name = schema.fields().get(self.column).map_or("", |f| f.name());
        write!(f, "Noting: [{name}]")
    }
}

impl ExecutionPlan for Noting {
    fn name(&self) -> &'static str {
        "Noting"
    }

    passes_rows!();

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = only(children)?;
        Ok(Arc::new(Noting::new(input, self.column, self.partners.clone())))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        // A recursive query runs it again for each level.
        self.partners.tell(None);
        let collecting = Collecting {
            column: self.column,
            partners: self.partners.clone(),
            arrays: Some(Vec::new()),
            context: context.clone(),
        };
        let input = self.input.execute(partition, context)?;
        let rows = futures::stream::try_unfold((input, collecting), |(mut input, mut collecting)| async move {
            let next = input.try_next().await?;
            collecting.note(next.as_ref());
            Ok(next.map(|batch| (batch, (input, collecting))))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows.boxed())))
    }
}

/// The numbers so far: the arrays that the join keeps too.
struct Collecting {
    column: usize,
    partners: Arc<Partners>,
    /// Nothing where a batch had other values.
    arrays: Option<Vec<UInt64Array>>,
    context: Arc<TaskContext>,
}

impl Collecting {
    /// Notes a batch, or the end.
    fn note(&mut self, batch: Option<&RecordBatch>) {
        let Some(batch) = batch else {
            self.partners
                .tell(self.arrays.take().and_then(|arrays| self.noted(&arrays)));
            return;
        };
        let numbers = batch.columns().get(self.column);
        let numbers = numbers.and_then(|n| n.as_primitive_opt::<UInt64Type>());
        match (&mut self.arrays, numbers) {
            (Some(arrays), Some(numbers)) => arrays.push(numbers.clone()),
            _ => self.arrays = None,
        }
    }

    /// Nothing where memory does not suffice: the join finds the partners.
    fn noted(&self, arrays: &[UInt64Array]) -> Option<Noted> {
        let memory = MemoryConsumer::new("numbers of a join").register(self.context.memory_pool());
        memory.try_grow(bytes(arrays)?).ok()?;
        Some(Noted::new(arrays, Some(memory)))
    }
}

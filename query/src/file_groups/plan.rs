//! The physical plan of an aggregation over files: which row groups it reads, and when.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, ParquetFileMetrics, RowGroupAccessPlanFilter};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions,
};
use object_store::local::LocalFileSystem;
use parquet::file::metadata::PageIndexPolicy;

use super::groups;
use super::read::Source;
use super::request::Request;
use crate::values::Rows;

/// Reads files of this machine, each partition some of them or parts of them.
#[derive(Debug)]
pub(crate) struct FileGroups {
    request: Arc<Request>,
    files: Vec<FileGroup>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl FileGroups {
    /// The groups of the rows of these files.
    pub(crate) fn new(request: Request, files: Vec<FileGroup>) -> FileGroups {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(request.schema.clone()),
            Partitioning::UnknownPartitioning(files.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::NonCooperative);
        FileGroups {
            request: Arc::new(request),
            files,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl DisplayAs for FileGroups {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: usize = self.files.iter().map(FileGroup::len).sum();
        write!(
            f,
            "FileGroups: files={files} partitions={} {}",
            self.files.len(),
            self.request
        )
    }
}

impl ExecutionPlan for FileGroups {
    fn name(&self) -> &'static str {
        "FileGroups"
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

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(files) = self.files.get(partition) else {
            return internal_err!("partition {partition} of {}", self.files.len());
        };
        let (first, rest) = self.request.columns();
        let reading = Reading {
            request: self.request.clone(),
            first,
            rest,
            files: files.iter().cloned().collect(),
            open: None,
            context,
            partition,
            metrics: self.metrics.clone(),
            baseline: BaselineMetrics::new(&self.metrics, partition),
        };
        let stream = futures::stream::unfold(reading, |mut reading| async move {
            // A row group takes milliseconds and never waits: a yield in between lets a cancelled query stop.
            tokio::task::yield_now().await;
            let next = reading.next().await.transpose();
            next.map(|batch| (batch, reading))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn schema(&self) -> SchemaRef {
        self.request.schema.clone()
    }
}

/// A partition while it is read.
struct Reading {
    request: Arc<Request>,
    /// Columns that conditions look at.
    first: Vec<usize>,
    /// Columns that only groups look at.
    rest: Vec<usize>,
    files: VecDeque<PartitionedFile>,
    open: Option<Open>,
    context: Arc<TaskContext>,
    partition: usize,
    metrics: ExecutionPlanMetricsSet,
    baseline: BaselineMetrics,
}

/// The file that is being read.
struct Open {
    source: Source,
    /// Row group, first row and number of rows of what is left of it.
    parts: VecDeque<(usize, (usize, usize))>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let part = self.open.as_mut().and_then(|open| open.parts.pop_front());
            if let Some((group, rows)) = part {
                if let Some(batch) = self.part(group, rows)? {
                    self.baseline.record_output(batch.num_rows());
                    return Ok(Some(batch));
                }
                tokio::task::yield_now().await;
                continue;
            }
            let Some(file) = self.files.pop_front() else {
                return Ok(None);
            };
            self.open = Some(self.open(&file).await?);
        }
    }

    fn part(&self, group: usize, rows: (usize, usize)) -> Result<Option<RecordBatch>> {
        let _timer = self.baseline.elapsed_compute().timer();
        let Some(open) = &self.open else { return Ok(None) };
        let columns = (self.first.as_slice(), self.rest.as_slice());
        let Some((columns, passing)) = open.source.passing(&self.request, columns, group, rows)? else {
            return Ok(None);
        };
        let rows = match &passing {
            Some(rows) => Rows::Some(rows),
            None => Rows::All(0..columns.rows),
        };
        groups::batch(&self.request, &columns, &rows).map(Some)
    }

    /// Opens a file and finds the row groups that statistics do not rule out.
    async fn open(&self, file: &PartitionedFile) -> Result<Open> {
        let environment = self.context.runtime_env();
        let store = environment.object_store(ObjectStoreUrl::local_filesystem())?;
        let metadata = DFParquetMetadata::new(store.as_ref(), &file.object_meta)
            .with_file_metadata_cache(Some(environment.cache_manager.get_file_metadata_cache()))
            .with_page_index_policy(Some(PageIndexPolicy::Optional))
            .fetch_metadata()
            .await?;
        let path = LocalFileSystem::new().path_to_filesystem(&file.object_meta.location)?;
        let columns = [self.first.as_slice(), self.rest.as_slice()].concat();
        let source = Source::new(File::open(path)?, metadata.clone(), &self.request.table, &columns)?;
        let groups = metadata.row_groups();
        let mut kept = RowGroupAccessPlanFilter::new(ParquetAccessPlan::new_all(groups.len()));
        if let Some(range) = &file.range {
            kept.prune_by_range(groups, range);
        }
        if let Some(predicate) = source.predicate(self.request.predicate.as_ref())? {
            let metrics = ParquetFileMetrics::new(self.partition, file.object_meta.location.as_ref(), &self.metrics);
            let builder = PruningPredicateBuilder::new().with_file_schema(source.stored().clone());
            // What statistics cannot tell is read.
            if let Ok(predicate) = builder.try_build(predicate) {
                let descr = metadata.file_metadata().schema_descr();
                kept.prune_by_statistics(source.stored(), descr, groups, &predicate, &metrics);
            }
        }
        let parts = kept.row_group_indexes().flat_map(|group| {
            let parts = source.parts(group);
            parts.into_iter().map(move |part| (group, part))
        });
        let parts = parts.collect();
        Ok(Open { source, parts })
    }
}

//! The physical plan of an aggregation over files: which row groups it reads, and when.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::{Result, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, ParquetFileMetrics, RowGroupAccessPlanFilter};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use object_store::local::LocalFileSystem;
use parquet::file::metadata::PageIndexPolicy;

use super::footers::{Footer, Footers};
use super::prune::{self, Kept};
use super::read::{Source, Stored};
use super::request::Request;
use super::row_group::RowGroup;
use crate::plan_node::reads_data;

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

    reads_data!();

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(files) = self.files.get(partition) else {
            return internal_err!("partition {partition} of {}", self.files.len());
        };
        let reading = Reading {
            request: self.request.clone(),
            files: files.iter().cloned().collect(),
            open: None,
            reservation: MemoryConsumer::new("groups of files").register(context.memory_pool()),
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

    fn schema(&self) -> SchemaRef {
        self.request.schema.clone()
    }
}

/// A partition while it is read.
struct Reading {
    request: Arc<Request>,
    files: VecDeque<PartitionedFile>,
    open: Option<Open>,
    reservation: MemoryReservation,
    context: Arc<TaskContext>,
    partition: usize,
    metrics: ExecutionPlanMetricsSet,
    baseline: BaselineMetrics,
}

/// The file that is being read.
struct Open {
    source: Source,
    /// What is left of it.
    kept: VecDeque<Kept>,
    /// The row group that is being read.
    group: Option<RowGroup>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.batch()? {
                self.baseline.record_output(batch.num_rows());
                return Ok(Some(batch));
            }
            let left = self.open.as_ref().is_some_and(|open| !open.kept.is_empty());
            if left {
                tokio::task::yield_now().await;
                continue;
            }
            let Some(file) = self.files.pop_front() else {
                return Ok(None);
            };
            self.open = Some(self.open(&file).await?);
        }
    }

    /// The next groups of the row group that is being read, or of the one after it; `None` where it has no more.
    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let _timer = self.baseline.elapsed_compute().timer();
        let Some(open) = &mut self.open else { return Ok(None) };
        if open.group.is_none() {
            open.group = match open.kept.pop_front() {
                Some(kept) => RowGroup::open(&open.source, &self.request, kept)?,
                None => None,
            };
        }
        let Some(group) = &mut open.group else { return Ok(None) };
        let batch = group.next(&self.reservation)?;
        if batch.is_none() {
            open.group = None;
        }
        Ok(batch)
    }

    /// Opens a file and finds what has to be read of it.
    async fn open(&mut self, file: &PartitionedFile) -> Result<Open> {
        let environment = self.context.runtime_env();
        let store = environment.object_store(ObjectStoreUrl::local_filesystem())?;
        let metadata = DFParquetMetadata::new(store.as_ref(), &file.object_meta)
            .with_file_metadata_cache(Some(environment.cache_manager.get_file_metadata_cache()))
            .with_page_index_policy(Some(PageIndexPolicy::Optional))
            .fetch_metadata()
            .await?;
        let path = LocalFileSystem::new().path_to_filesystem(&file.object_meta.location)?;
        let stored = Stored::new(File::open(path)?)?;
        let footers = self.context.session_config().get_extension::<Footers>();
        let footer = match footers {
            Some(footers) => footers.of(&file.object_meta.location, metadata)?,
            None => Footer::new(metadata)?,
        };
        let source = Source::new(stored, footer, &self.request.table);
        let groups = source.metadata().row_groups();
        let mut filter = RowGroupAccessPlanFilter::new(ParquetAccessPlan::new_all(groups.len()));
        if let Some(range) = &file.range {
            filter.prune_by_range(groups, range);
        }
        let condition = source.predicate(self.request.predicate.as_ref())?;
        let metrics = ParquetFileMetrics::new(self.partition, file.object_meta.location.as_ref(), &self.metrics);
        let kept = prune::kept(&source, filter, condition, &metrics).into();
        Ok(Open {
            source,
            kept,
            group: None,
        })
    }
}

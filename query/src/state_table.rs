//! Tables whose rows are things and not events: they are put together from the whole case when they are first asked.

use std::fmt;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, Date32Array, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use ctrace_trace::catalogue::{FieldType, Value};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::column::{self, Column};
use crate::source::CaseSource;
use crate::values;

/// A column of things of type `R`.
pub(crate) struct StateColumn<R> {
    /// Name in SQL.
    pub(crate) name: &'static str,
    /// Type of the values.
    pub(crate) ty: FieldType,
    /// What it means.
    pub(crate) doc: &'static str,
    /// The value of a row.
    pub(crate) get: for<'a> fn(&'a R) -> Value<'a>,
}

/// Puts the rows of a table together.
pub(crate) type Build = Box<dyn Fn(&CaseSource) -> Result<RecordBatch, ArrowError> + Send + Sync>;

/// A table of things.
pub(crate) struct StateTable {
    case: Arc<CaseSource>,
    schema: SchemaRef,
    build: Arc<Build>,
    rows: Arc<OnceLock<RecordBatch>>,
}

impl fmt::Debug for StateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateTable")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

impl StateTable {
    /// A table; nothing is read yet.
    pub(crate) fn new(case: Arc<CaseSource>, schema: SchemaRef, build: Build) -> StateTable {
        StateTable {
            case,
            schema,
            build: Arc::new(build),
            rows: Arc::default(),
        }
    }

    /// The rows, put together at the first call: work for a thread that may block.
    async fn rows(&self) -> Result<RecordBatch> {
        if let Some(rows) = self.rows.get() {
            return Ok(rows.clone());
        }
        let (case, build, cell) = (self.case.clone(), self.build.clone(), self.rows.clone());
        let work = tokio::task::spawn_blocking(move || -> Result<RecordBatch> {
            let rows = build(&case)?;
            Ok(cell.get_or_init(|| rows).clone())
        });
        work.await.map_err(|e| DataFusionError::ExecutionJoin(Box::new(e)))?
    }
}

#[async_trait]
impl TableProvider for StateTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        /// Rows of a batch: the operators above work best with batches of about this size.
        const BATCH: usize = 8192;
        let rows = self.rows().await?;
        let count = rows.num_rows();
        let batches = (0..count)
            .step_by(BATCH)
            .map(|at| rows.slice(at, BATCH.min(count - at)))
            .collect();
        Ok(MemorySourceConfig::try_new_exec(
            &[batches],
            self.schema.clone(),
            projection.cloned(),
        )?)
    }
}

/// The schema of columns, with the host and the day on which the recording began at the end.
pub(crate) fn schema<R>(columns: &[StateColumn<R>]) -> Schema {
    let own = columns
        .iter()
        .map(|c| Field::new(c.name, column::data_type(c.ty), true));
    let of_case = [
        Field::new("host", column::TEXT, true),
        Field::new("date", DataType::Date32, true),
    ];
    Schema::new(own.chain(of_case).collect::<Vec<_>>())
}

/// The rows as a batch of that schema.
pub(crate) fn batch<R>(columns: &[StateColumn<R>], rows: &[R], source: &CaseSource) -> Result<RecordBatch, ArrowError> {
    let mut arrays = Vec::with_capacity(columns.len() + 2);
    for column in columns {
        arrays.push(values::collect(column.ty, rows.iter().map(column.get))?);
    }
    let host: ArrayRef = Arc::new(StringViewArray::from(vec![source.host(); rows.len()]));
    let date: ArrayRef = Arc::new(Date32Array::from(vec![values::day(source.began()); rows.len()]));
    arrays.extend([host, date]);
    RecordBatch::try_new(Arc::new(schema(columns)), arrays)
}

/// What `host` and `date` mean in tables of things.
pub(crate) fn doc_of_case_column(name: &str) -> &'static str {
    match name {
        "host" => Column::Host.doc(),
        _ => "UTC day on which the recording began; exports are partitioned by host and day.",
    }
}

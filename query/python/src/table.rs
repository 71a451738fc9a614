//! The rows of a result, at hand.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchIterator};
use ctrace_query::{QueryError, output};
use ctrace_trace::escape;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::{capsule, error};

/// Rows in Arrow's format.
#[pyclass(frozen, module = "ctrace._ctrace")]
pub(crate) struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Table {
    /// Rows with names that are there once: data frames need that.
    pub(crate) fn new(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Table, QueryError> {
        let batches = batches
            .iter()
            .map(output::unique_names)
            .collect::<Result<Vec<_>, _>>()?;
        let empty = output::unique_names(&RecordBatch::new_empty(schema.clone()))?;
        Ok(Table {
            schema: empty.schema(),
            batches,
        })
    }
}

#[pymethods]
impl Table {
    /// Arrow's C stream of the rows; it may be asked for several times.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // The interface leaves it to the producer whether it can fulfil the request.
        drop(requested_schema);
        let batches = self.batches.clone().into_iter().map(Ok);
        capsule::stream(py, Box::new(RecordBatchIterator::new(batches, self.schema.clone())))
    }

    /// Arrow's C schema.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        capsule::schema(py, &self.schema)
    }

    /// How many rows.
    fn __len__(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Names of the columns, escaped, and whether each holds numbers.
    fn columns(&self) -> Vec<(String, bool)> {
        let fields = self.schema.fields().iter();
        fields
            .map(|f| (escape::text(f.name()), f.data_type().is_numeric()))
            .collect()
    }

    /// The first rows as text that is safe to show on a terminal.
    fn cells(&self, py: Python<'_>, rows: usize) -> PyResult<Vec<Vec<String>>> {
        let cells = || {
            let mut out = Vec::new();
            for batch in self.first(rows) {
                out.extend(output::cells(&batch)?);
            }
            Ok(out)
        };
        py.detach(cells).map_err(|e: QueryError| error::of_query(&e))
    }

    /// The first rows as an aligned table, safe to show on a terminal.
    fn text(&self, py: Python<'_>, rows: usize) -> PyResult<String> {
        py.detach(|| output::table(&self.schema, &self.first(rows)))
            .map_err(|e| error::of_query(&e))
    }
}

impl Table {
    fn first(&self, rows: usize) -> Vec<RecordBatch> {
        let mut left = rows;
        let mut out = Vec::new();
        for batch in &self.batches {
            let take = left.min(batch.num_rows());
            if take == 0 {
                break;
            }
            out.push(batch.slice(0, take));
            left -= take;
        }
        out
    }
}

//! Rows as they come, for results that are larger than memory. They can be taken once.

use std::sync::Mutex;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchReader};
use ctrace_query::output;
use ctrace_trace::escape;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::capsule;
use crate::error::Error;
use crate::running::{Broken, Running};

/// Rows in Arrow's format, once.
#[pyclass(frozen, module = "ctrace._ctrace")]
pub(crate) struct Stream {
    schema: SchemaRef,
    running: Mutex<Option<Running>>,
}

impl Stream {
    pub(crate) fn new(running: Running) -> Result<Stream, ArrowError> {
        let empty = output::unique_names(&RecordBatch::new_empty(running.schema().clone()))?;
        Ok(Stream {
            schema: empty.schema(),
            running: Mutex::new(Some(running)),
        })
    }
}

#[pymethods]
impl Stream {
    /// Arrow's C stream of the rows; it can be asked for once.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        drop(requested_schema);
        let running = self.running.lock().ok().and_then(|mut r| r.take());
        let running = running.ok_or_else(|| Error::new_err("the rows of a stream can be taken once"))?;
        let schema = self.schema.clone();
        capsule::stream(py, Box::new(Reader { schema, running }))
    }

    /// Arrow's C schema.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        capsule::schema(py, &self.schema)
    }
}

/// What another library reads from.
struct Reader {
    schema: SchemaRef,
    running: Running,
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.running.next() {
            Ok(batch) => batch.map(|b| output::unique_names(&b)),
            Err(Broken::Query(error)) => Some(Err(ArrowError::ExternalError(escape::text(&error.to_string()).into()))),
            Err(Broken::Signal(error)) => {
                raise_later(&error);
                Some(Err(ArrowError::ExternalError("interrupted".into())))
            }
        }
    }
}

impl RecordBatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// The library between us and Python knows its own errors only: Ctrl-C is told again for when Python runs.
fn raise_later(error: &PyErr) {
    Python::attach(|py| {
        if error.is_instance_of::<PyKeyboardInterrupt>(py) {
            // SAFETY: may be called at any time.
            unsafe { pyo3::ffi::PyErr_SetInterrupt() };
        }
    });
}

//! The library of investigations.

use ctrace_query::library::{self, LIBRARY};
use pyo3::prelude::*;

use crate::error;

/// A parameter: name, default as SQL writes it, meaning.
type Parameter = (&'static str, &'static str, &'static str);

/// All investigations: name, meaning, parameters.
#[pyfunction]
pub(crate) fn investigations() -> Vec<(&'static str, &'static str, Vec<Parameter>)> {
    let parameters = |i: &'static library::Investigation| i.parameters().map(|p| (p.name, p.default, p.doc)).collect();
    LIBRARY.iter().map(|i| (i.name, i.doc(), parameters(i))).collect()
}

/// The statement of an investigation.
pub(crate) fn statement(name: &str, values: &[(String, String)]) -> PyResult<String> {
    library::find(name)
        .and_then(|i| i.statement(values))
        .map_err(|e| error::of_query(&e))
}

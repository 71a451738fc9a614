//! Python values for the placeholders of a statement.

use ctrace_query::Param;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};

use crate::error::StatementError;

/// Values by name. Times come as `("ns", nanoseconds)`: the Python side knows the classes of time.
pub(crate) fn all(params: Option<&Bound<'_, PyDict>>) -> PyResult<Vec<(String, Param)>> {
    let Some(params) = params else {
        return Ok(Vec::new());
    };
    params
        .iter()
        .map(|(name, value)| {
            let name: String = name.extract()?;
            let value = one(&name, &value)?;
            Ok((name, value))
        })
        .collect()
}

fn one(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Param> {
    if value.is_none() {
        return Ok(Param::Null);
    }
    // A bool is an int too.
    if value.is_instance_of::<PyBool>() {
        return Ok(Param::Bool(value.extract()?));
    }
    if value.is_instance_of::<PyInt>() {
        let number = value.extract();
        return number
            .map(Param::Int)
            .map_err(|_| StatementError::new_err(format!("${name}: the number does not fit into 64 bits")));
    }
    if value.is_instance_of::<PyFloat>() {
        return Ok(Param::Float(value.extract()?));
    }
    if value.is_instance_of::<PyString>() {
        return Ok(Param::Text(value.extract()?));
    }
    if let Ok((unit, ns)) = value.extract::<(String, i64)>()
        && unit == "ns"
    {
        return Ok(Param::Time(ns));
    }
    let kind = value.get_type().name()?;
    Err(StatementError::new_err(format!(
        "${name}: a value is a str, int, float, bool, datetime or None, not {kind}"
    )))
}

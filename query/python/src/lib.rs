//! The extension module `ctrace._ctrace` of the Python package `ctrace`.

use pyo3::prelude::*;

/// The module.
#[pymodule]
mod _ctrace {}

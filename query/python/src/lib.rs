//! The extension module `ctrace._ctrace` of the Python package `ctrace`: sessions, running statements and their rows. What
//! needs no Rust is in `python/ctrace`.

use pyo3::prelude::*;

mod capsule;
mod error;
mod library;
mod param;
mod replay;
mod running;
mod session;
mod stream;
mod table;

/// Sessions over cases and exports.
#[pymodule]
mod _ctrace {
    #[pymodule_export]
    use super::error::{DataError, Error, RulesError, StatementError};
    #[pymodule_export]
    use super::library::investigations;
    #[pymodule_export]
    use super::session::Session;
    #[pymodule_export]
    use super::stream::Stream;
    #[pymodule_export]
    use super::table::Table;
}

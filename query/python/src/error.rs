//! Errors as Python exceptions: one family, with the messages that the command has.

use std::path::Path;

use ctrace_inputs::{InputError, diagnosis};
use ctrace_query::QueryError;
use ctrace_trace::case::CaseError;
use ctrace_trace::escape;
use pyo3::exceptions::PyException;
use pyo3::{PyErr, create_exception};

create_exception!(ctrace, Error, PyException, "What ctrace cannot do, and why.");
create_exception!(
    ctrace,
    StatementError,
    Error,
    "The statement, or a parameter of an investigation, is wrong."
);
create_exception!(
    ctrace,
    RulesError,
    Error,
    "The rules are wrong; the message shows each place. No event was looked at."
);
create_exception!(ctrace, DataError, Error, "The case or export cannot be opened or read.");

/// An error of a statement.
pub(crate) fn of_query(error: &QueryError) -> PyErr {
    let mut message = escape::text(&error.to_string());
    if let Some((line, column)) = error.place() {
        message = format!("{message}\n{}", diagnosis::mark(line, column));
    }
    match error {
        QueryError::Statement(_) | QueryError::Named { .. } | QueryError::Located { .. } | QueryError::ReadOnly(_) => {
            StatementError::new_err(message)
        }
        QueryError::Data(_) | QueryError::Store(_) | QueryError::NoTables(_) | QueryError::Io { .. } => {
            DataError::new_err(message)
        }
        QueryError::Cancelled
        | QueryError::Cluster(_)
        | QueryError::Memory(_)
        | QueryError::NotEmpty(_)
        | QueryError::Output(_)
        | QueryError::Internal(_) => Error::new_err(message),
    }
}

/// An error of rules. Their lines are escaped already, and their line ends are meant.
pub(crate) fn of_rules(error: &InputError) -> PyErr {
    RulesError::new_err(match error {
        InputError::Rules { .. } => error.to_string(),
        InputError::Io { .. } | InputError::Usage(_) => escape::text(&error.to_string()),
    })
}

/// An error of opening.
pub(crate) fn of_case(error: &CaseError) -> PyErr {
    DataError::new_err(escape::text(&error.to_string()))
}

/// An error of the operating system.
pub(crate) fn of_path(path: &Path, error: &std::io::Error) -> PyErr {
    DataError::new_err(escape::text(&format!("{}: {error}", path.display())))
}

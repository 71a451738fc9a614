//! `ctrace query --schema` and `--list`: tables, columns, functions and the library, with their meaning.

use std::io::{self, Write};

use ctrace_query::library::LIBRARY;
use ctrace_query::{QueryError, Session};

use super::meta;

/// Lists the columns of all tables, or of one.
pub(super) fn print(session: &Session, table: Option<&str>, out: &mut impl Write) -> Result<(), QueryError> {
    if let Some(name) = table {
        meta::columns(meta::find(session, name)?, out)?;
        return Ok(out.flush()?);
    }
    for table in session.tables() {
        writeln!(out, "{}", table.name)?;
        meta::columns(table, out)?;
        writeln!(out)?;
    }
    functions(session, out)?;
    Ok(out.flush()?)
}

/// Lists the functions that are this program's own.
pub(super) fn functions(session: &Session, out: &mut impl Write) -> io::Result<()> {
    let functions = session.functions();
    let width = functions.iter().map(|f| f.usage.chars().count()).max().unwrap_or(0);
    for function in functions {
        writeln!(out, "{:width$}  {}", function.usage, function.doc)?;
    }
    Ok(())
}

/// Lists the library.
pub(super) fn library(out: &mut impl Write) -> io::Result<()> {
    for one in LIBRARY {
        writeln!(out, "@{}\n    {}", one.name, one.doc())?;
        for p in one.parameters() {
            writeln!(out, "    --param {}={}  {}", p.name, p.default, p.doc)?;
        }
    }
    out.flush()
}

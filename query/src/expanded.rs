//! Results one value a line, for rows that are wider than a terminal.

use std::io::Write;

use arrow::array::Array;
use arrow::util::display::ArrayFormatter;
use ctrace_trace::escape;

use crate::error::QueryError;
use crate::output::options;
use crate::session::Answer;

/// Writes a result, safe to show on a terminal; gives the number of its rows.
pub(crate) fn write(answer: Answer<'_>, out: &mut dyn Write) -> Result<u64, QueryError> {
    let names: Vec<String> = answer
        .schema()
        .fields()
        .iter()
        .map(|f| escape::text(f.name()))
        .collect();
    let width = names.iter().map(|n| n.chars().count()).max().unwrap_or(0);
    let options = options();
    let mut rows = 0;
    for batch in answer {
        let batch = batch?;
        let columns = batch.columns().iter();
        let columns = columns.map(|c| ArrayFormatter::try_new(c.as_ref() as &dyn Array, &options));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            rows += 1;
            writeln!(out, "-[ {rows} ]-")?;
            for (name, column) in names.iter().zip(&columns) {
                let value = escape::text(&column.value(row).try_to_string()?);
                writeln!(out, "{}", format!("{name:width$} | {value}").trim_end())?;
            }
        }
    }
    writeln!(out, "({rows} row{})", if rows == 1 { "" } else { "s" })?;
    Ok(rows)
}

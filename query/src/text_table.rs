//! A table of text with aligned columns. The widths come from the first rows, so that long results need no memory.

use std::io::Write;

use arrow::array::Array;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow::util::display::ArrayFormatter;
use ctrace_trace::escape;

use crate::error::QueryError;
use crate::output::options;

/// Widths are taken from this many rows.
const MEASURED_ROWS: usize = 1000;
/// A longer value does not make the column wider for all other rows.
const MAX_WIDTH: usize = 200;

/// The rows of a batch as text, safe to show on a terminal; null is nothing.
///
/// # Errors
/// Where a value cannot be formatted.
pub fn cells(batch: &RecordBatch) -> Result<Vec<Vec<String>>, QueryError> {
    let options = options();
    let columns = batch
        .columns()
        .iter()
        .map(|c| ArrayFormatter::try_new(c.as_ref() as &dyn Array, &options));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let mut rows = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let cell = |c: &ArrayFormatter<'_>| c.value(row).try_to_string().map(|s| escape::text(&s));
        rows.push(columns.iter().map(cell).collect::<Result<_, _>>()?);
    }
    Ok(rows)
}

/// Writes rows as they come.
pub(crate) struct TextTable {
    names: Vec<String>,
    /// Whether a column stands on the right: numbers.
    right: Vec<bool>,
    /// Known once the first rows are written.
    widths: Option<Vec<usize>>,
    waiting: Vec<Vec<String>>,
    rows: u64,
}

impl TextTable {
    /// An empty table.
    pub(crate) fn new(schema: &SchemaRef) -> TextTable {
        TextTable {
            names: schema.fields().iter().map(|f| escape::text(f.name())).collect(),
            right: schema.fields().iter().map(|f| f.data_type().is_numeric()).collect(),
            widths: None,
            waiting: Vec::new(),
            rows: 0,
        }
    }

    /// Adds rows.
    pub(crate) fn add(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<(), QueryError> {
        for row in cells(batch)? {
            self.waiting.push(row);
            self.rows += 1;
            if self.widths.is_some() || self.waiting.len() >= MEASURED_ROWS {
                self.flush(out)?;
            }
        }
        Ok(())
    }

    /// Writes what is left and the number of rows, and gives it.
    pub(crate) fn finish(mut self, out: &mut dyn Write) -> Result<u64, QueryError> {
        self.flush(out)?;
        let plural = if self.rows == 1 { "" } else { "s" };
        writeln!(out, "({} row{plural})", self.rows)?;
        Ok(self.rows)
    }

    fn flush(&mut self, out: &mut dyn Write) -> Result<(), QueryError> {
        if self.widths.is_none() {
            self.widths = Some(self.measure());
            self.line(out, &self.names)?;
            let rules: Vec<String> = self.measured().map(|w| "-".repeat(w + 2)).collect();
            writeln!(out, "{}", rules.join("+"))?;
        }
        for row in &self.waiting {
            self.line(out, row)?;
        }
        self.waiting.clear();
        Ok(())
    }

    fn measure(&self) -> Vec<usize> {
        let longest = |i: usize| {
            self.waiting
                .iter()
                .filter_map(|r| r.get(i))
                .map(|s| width(s))
                .max()
                .unwrap_or(0)
        };
        let name = |n: &String| width(n);
        self.names
            .iter()
            .enumerate()
            .map(|(i, n)| longest(i).min(MAX_WIDTH).max(name(n)))
            .collect()
    }

    fn measured(&self) -> impl Iterator<Item = usize> {
        self.widths.iter().flatten().copied()
    }

    fn line(&self, out: &mut dyn Write, cells: &[String]) -> Result<(), QueryError> {
        let mut line = String::new();
        for (i, (cell, w)) in cells.iter().zip(self.measured()).enumerate() {
            let last = i + 1 == cells.len();
            let space = " ".repeat(w.saturating_sub(width(cell)));
            line.push_str(if i == 0 { " " } else { "| " });
            match self.right.get(i) {
                Some(true) => line.extend([&space, cell.as_str(), " "]),
                _ if last => line.push_str(cell),
                _ => line.extend([cell.as_str(), &space, " "]),
            }
        }
        writeln!(out, "{}", line.trim_end())?;
        Ok(())
    }
}

/// Letters; wide and combining ones count as one.
fn width(s: &str) -> usize {
    s.chars().count()
}

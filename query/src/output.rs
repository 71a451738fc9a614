//! Results as text: a table for people, CSV and NDJSON for programs. Batch by batch, so that a result may be larger than
//! memory.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringBuilder};
use arrow::csv::WriterBuilder as CsvBuilder;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::WriterBuilder as JsonBuilder;
use arrow::json::writer::LineDelimited;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use ctrace_trace::escape;

use crate::error::QueryError;
use crate::expanded;
use crate::session::Answer;
use crate::text_table::TextTable;
pub use crate::text_table::cells;

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns, safe to show on a terminal.
    Table,
    /// One value a line, safe to show on a terminal.
    Expanded,
    /// RFC 4180 with a line of names; null is nothing.
    Csv,
    /// One JSON object a line, nulls included.
    Ndjson,
}

/// Writes a result and gives the number of its rows. With `terminal`, nothing that was recorded can drive a terminal or
/// mislead its reader; tables are always so.
///
/// # Errors
/// Where the statement fails while it runs, or the output does not take it.
pub fn write(answer: Answer<'_>, format: Format, terminal: bool, out: &mut dyn Write) -> Result<u64, QueryError> {
    match format {
        Format::Table => write_table(answer, out),
        Format::Expanded => expanded::write(answer, out),
        Format::Csv => write_csv(answer, terminal, out),
        Format::Ndjson => write_ndjson(answer, terminal, out),
    }
}

/// How values look.
pub(crate) fn options() -> FormatOptions<'static> {
    FormatOptions::new().with_null("").with_display_error(true)
}

fn write_table(answer: Answer<'_>, out: &mut dyn Write) -> Result<u64, QueryError> {
    let mut table = TextTable::new(answer.schema());
    for batch in answer {
        table.add(&batch?, out)?;
    }
    table.finish(out)
}

/// Rows at hand as the text of [`Format::Table`].
///
/// # Errors
/// Where a value cannot be formatted.
pub fn table(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<String, QueryError> {
    let mut out = Vec::new();
    let mut table = TextTable::new(schema);
    for batch in batches {
        table.add(batch, &mut out)?;
    }
    table.finish(&mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn write_csv(answer: Answer<'_>, terminal: bool, out: &mut dyn Write) -> Result<u64, QueryError> {
    let schema = answer.schema().clone();
    let mut rows = 0;
    let mut write = |batch: &RecordBatch, header: bool| -> Result<(), QueryError> {
        let batch = flat(batch, terminal)?;
        rows += batch.num_rows() as u64;
        let mut bytes = Vec::new();
        let mut writer = CsvBuilder::new().with_header(header).build(&mut bytes);
        writer.write(&batch)?;
        drop(writer);
        Ok(out.write_all(&bytes)?)
    };
    // The line of names comes even where there are no rows.
    write(&RecordBatch::new_empty(schema), true)?;
    for batch in answer {
        write(&batch?, false)?;
    }
    Ok(rows)
}

/// Lists and other nested values as text, which CSV needs; on a terminal all texts escaped.
fn flat(batch: &RecordBatch, terminal: bool) -> Result<RecordBatch, ArrowError> {
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let ty = field.data_type();
        let (column, ty) = if ty.is_nested() || (terminal && is_text(ty)) {
            (as_text(column, terminal)?, DataType::Utf8)
        } else {
            (column.clone(), ty.clone())
        };
        let name = if terminal {
            escape::text(field.name())
        } else {
            field.name().clone()
        };
        fields.push(Field::new(name, ty, true));
        columns.push(column);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

fn is_text(ty: &DataType) -> bool {
    match ty {
        DataType::Dictionary(_, value) => is_text(value),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        _ => false,
    }
}

fn as_text(column: &dyn Array, terminal: bool) -> Result<ArrayRef, ArrowError> {
    let options = options();
    let formatter = ArrayFormatter::try_new(column, &options)?;
    let mut out = StringBuilder::new();
    for row in 0..column.len() {
        if column.is_null(row) {
            out.append_null();
            continue;
        }
        let text = formatter.value(row).try_to_string()?;
        out.append_value(if terminal { escape::text(&text) } else { text });
    }
    Ok(Arc::new(out.finish()))
}

fn write_ndjson(answer: Answer<'_>, terminal: bool, out: &mut dyn Write) -> Result<u64, QueryError> {
    let mut rows = 0;
    for batch in answer {
        let batch = unique_names(&batch?)?;
        rows += batch.num_rows() as u64;
        let mut writer = JsonBuilder::new()
            .with_explicit_nulls(true)
            .build::<_, LineDelimited>(Vec::new());
        writer.write(&batch)?;
        writer.finish()?;
        let bytes = writer.into_inner();
        if terminal {
            out.write_all(escape_json(&bytes).as_bytes())?;
        } else {
            out.write_all(&bytes)?;
        }
    }
    Ok(rows)
}

/// JSON escapes control characters of ASCII alone. What else drives terminals becomes `\uNNNN`: the same JSON.
fn escape_json(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for c in String::from_utf8_lossy(bytes).chars() {
        if c == '\n' || escape::text(c.encode_utf8(&mut [0; 4])).len() == c.len_utf8() {
            out.push(c);
            continue;
        }
        match c {
            '\\' | '"' => out.push(c),
            c => c
                .encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out
}

/// Names that are there once: a second column of the same name becomes `name_2`.
pub(crate) fn unique(schema: &Schema) -> Vec<String> {
    let mut taken = std::collections::BTreeSet::new();
    let unique = |field: &Arc<Field>| {
        let name = field.name();
        let candidates = (2u32..).map(|n| format!("{name}_{n}"));
        std::iter::once(name.clone())
            .chain(candidates)
            .find(|n| taken.insert(n.clone()))
            .unwrap_or_default()
    };
    schema.fields().iter().map(unique).collect()
}

/// The same rows with names that are there once, as JSON objects and data frames need them.
///
/// # Errors
/// None in practice: columns and names fit together.
pub fn unique_names(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let fields: Vec<Field> = unique(&schema)
        .into_iter()
        .zip(schema.fields())
        .map(|(name, field)| field.as_ref().clone().with_name(name))
        .collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema, batch.columns().to_vec(), &options)
}

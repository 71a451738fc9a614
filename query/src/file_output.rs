//! Results as files for other programs: Parquet, Arrow IPC. Batch by batch, and a file appears whole or not at all.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow_ipc::writer::FileWriter;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::error::QueryError;
use crate::export::compression;
use crate::output::{self, Format};
use crate::session::Answer;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// As a result is shown.
    Text(Format),
    /// Parquet, zstd.
    Parquet,
    /// Arrow's file format, which is also Feather's second version.
    Arrow,
}

/// Writes a result into a file and gives the number of its rows. What had the name before is replaced.
///
/// # Errors
/// Where the statement fails while it runs, or the file cannot be written.
pub fn write(answer: Answer<'_>, format: FileFormat, path: &Path) -> Result<u64, QueryError> {
    let temporary = temporary(path);
    let written = into(answer, format, &temporary);
    match written {
        Ok(rows) => {
            fs::rename(&temporary, path).map_err(QueryError::io(path))?;
            Ok(rows)
        }
        Err(e) => {
            // Nothing more can be done about a file that is left over.
            let _ = fs::remove_file(&temporary);
            Err(e)
        }
    }
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    path.with_file_name(name)
}

fn into(answer: Answer<'_>, format: FileFormat, path: &Path) -> Result<u64, QueryError> {
    let file = File::create(path).map_err(QueryError::io(path))?;
    let mut out = BufWriter::new(file);
    let schema = plain(answer.schema());
    let rows = match format {
        FileFormat::Text(format) => output::write(answer, format, false, &mut out)?,
        FileFormat::Parquet => {
            let properties = WriterProperties::builder().set_compression(compression()).build();
            let failed = |e: ParquetError| QueryError::Output(std::io::Error::other(e));
            let mut writer = ArrowWriter::try_new(&mut out, schema.clone(), Some(properties)).map_err(failed)?;
            let rows = each(answer, &schema, &mut |batch| writer.write(batch).map_err(failed))?;
            writer.close().map_err(failed)?;
            rows
        }
        FileFormat::Arrow => {
            let mut writer = FileWriter::try_new(&mut out, &schema)?;
            let rows = each(answer, &schema, &mut |batch| Ok(writer.write(batch)?))?;
            writer.finish()?;
            rows
        }
    };
    out.flush().map_err(QueryError::io(path))?;
    out.get_ref().sync_all().map_err(QueryError::io(path))?;
    Ok(rows)
}

fn each(
    answer: Answer<'_>,
    schema: &SchemaRef,
    write: &mut dyn FnMut(&RecordBatch) -> Result<(), QueryError>,
) -> Result<u64, QueryError> {
    let mut rows = 0;
    for batch in answer {
        let batch = recast(&batch?, schema)?;
        rows += batch.num_rows() as u64;
        write(&batch)?;
    }
    Ok(rows)
}

/// The schema as it is outside: plain texts, names that are there once.
fn plain(schema: &SchemaRef) -> SchemaRef {
    let names = output::unique(schema);
    let fields = schema.fields().iter().zip(names).map(|(field, name)| {
        let ty = match field.data_type() {
            DataType::Utf8View => DataType::Utf8,
            other => other.clone(),
        };
        // A statement may promise more than it keeps.
        Field::new(name, ty, true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn recast(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns: Result<Vec<ArrayRef>, _> = columns.map(|(c, f)| cast(c, f.data_type())).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns?, &options)
}

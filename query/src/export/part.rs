//! The files of one run of rows: one for each day.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampNanosecondType};
use arrow::record_batch::RecordBatch;
use chrono::NaiveDate;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions};
use parquet::basic::Encoding;
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, SchemaDescriptor};

use super::chunk::compression;
use super::row_group::{self, DISTINCT};
use super::{ROWS_PER_FILE, Written};
use crate::error::QueryError;
use crate::tables::Table;

/// Columns by which single rows are looked up.
pub(super) const LOOKED_UP: [&str; 6] = ["process_key", "pid", "proc_pid", "container_id", "fd_name", "exe_path"];
/// A dictionary of paths is larger than the default allows.
const DICTIONARY_BYTES: usize = 8 << 20;
const NANOS_PER_DAY: i64 = 86_400_000_000_000;

/// Where the files of a run go.
pub(super) struct Place {
    pub(super) dir: PathBuf,
    pub(super) table: Table,
    pub(super) host: String,
    /// The run's number, from 1.
    pub(super) number: u32,
    pub(super) case_id: String,
}

impl Place {
    /// The path of the file of a day, below the folder of the export.
    fn path(&self, day: i32) -> String {
        let (table, host, number) = (self.table.name(), encode(&self.host), self.number);
        format!("{table}/host={host}/date={}/part-{number:05}.parquet", date(day))
    }
}

/// A day as `2026-11-21`.
pub(super) fn date(day: i32) -> String {
    let epoch = NaiveDate::default();
    epoch
        .checked_add_signed(chrono::TimeDelta::days(day.into()))
        .unwrap_or(epoch)
        .to_string()
}

/// A text as part of a path: what is not a plain letter becomes `%NN`, as in Hive's partitions.
fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for b in name.bytes() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' => out.push(char::from(b)),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

/// Writes rows that come in order of time.
pub(super) struct Parts {
    place: Place,
    schema: SchemaRef,
    /// The day of all rows; `None` where each row's `ts` tells it.
    day: Option<i32>,
    open: Option<Part>,
    written: Vec<Written>,
}

impl Parts {
    pub(super) fn new(place: Place, schema: SchemaRef, day: Option<i32>) -> Parts {
        Parts {
            place,
            schema,
            day,
            open: None,
            written: Vec::new(),
        }
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        let mut at = 0;
        while at < batch.num_rows() {
            let (day, end) = match self.day {
                Some(day) => (day, batch.num_rows()),
                None => same_day(batch, at),
            };
            self.part(day)?.write(&batch.slice(at, end - at))?;
            at = end;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Vec<Written>, QueryError> {
        self.close()?;
        Ok(self.written)
    }

    /// Finishes; with a file even where there are no rows.
    pub(super) fn finish_with_a_file(mut self) -> Result<Vec<Written>, QueryError> {
        self.part(self.day.unwrap_or(0))?;
        self.finish()
    }

    fn part(&mut self, day: i32) -> Result<&mut Part, QueryError> {
        if self.open.as_ref().is_some_and(|open| open.day != day) {
            self.close()?;
        }
        let part = match self.open.take() {
            Some(open) => open,
            None => Part::create(&self.place, &self.schema, day)?,
        };
        Ok(self.open.insert(part))
    }

    fn close(&mut self) -> Result<(), QueryError> {
        if let Some(open) = self.open.take() {
            self.written.push(open.close(&self.place.dir)?);
        }
        Ok(())
    }
}

/// The day of a row, and where the rows of that day end.
fn same_day(batch: &RecordBatch, at: usize) -> (i32, usize) {
    let ts = batch
        .column_by_name("ts")
        .and_then(|c| c.as_primitive_opt::<TimestampNanosecondType>());
    let Some(ts) = ts else { return (0, batch.num_rows()) };
    let day = |ts: i64| ts.div_euclid(NANOS_PER_DAY);
    let rest = ts.values().get(at..).unwrap_or_default();
    let first = rest.first().copied().map_or(0, day);
    (first as i32, at + rest.partition_point(|ts| day(*ts) <= first))
}

/// A file being written.
pub(super) struct Part {
    day: i32,
    /// Its name in the end, below the folder of the export.
    path: String,
    temporary: PathBuf,
    writer: ArrowWriter<BufWriter<File>>,
    rows: u64,
}

impl Part {
    pub(super) fn create(place: &Place, schema: &SchemaRef, day: i32) -> Result<Part, QueryError> {
        let path = place.path(day);
        let folder = place.dir.join(&path).parent().map(Path::to_owned).unwrap_or_default();
        fs::create_dir_all(&folder).map_err(QueryError::io(&folder))?;
        let temporary = folder.join(format!(".part-{:05}.tmp", place.number));
        // An attempt that was broken off may have left one.
        let file = File::create(&temporary).map_err(QueryError::io(&temporary))?;
        let mut properties = properties(place, schema).build();
        // Readers shall see plain texts: views are a matter of memory.
        parquet::arrow::add_encoded_arrow_schema_to_metadata(&plain(schema), &mut properties);
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(BufWriter::new(file), schema.clone(), options)
            .map_err(|e| failed(&temporary, e))?;
        Ok(Part {
            day,
            path,
            temporary,
            writer,
            rows: 0,
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        self.writer.write(batch).map_err(|e| failed(&self.temporary, e))?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn close(self, dir: &Path) -> Result<Written, QueryError> {
        let buffer = self.writer.into_inner().map_err(|e| failed(&self.temporary, e))?;
        publish(buffer, &self.temporary, dir, self.path, self.rows)
    }

    /// The file without a writer of batches: for columns that are encoded elsewhere.
    pub(super) fn bare(self) -> Result<Bare, QueryError> {
        let (writer, columns) = self
            .writer
            .into_serialized_writer()
            .map_err(|e| failed(&self.temporary, e))?;
        Ok(Bare {
            path: self.path,
            temporary: self.temporary,
            writer,
            columns,
            rows: self.rows,
        })
    }
}

/// A file that takes encoded columns.
pub(super) struct Bare {
    path: String,
    temporary: PathBuf,
    writer: SerializedFileWriter<BufWriter<File>>,
    columns: ArrowRowGroupWriterFactory,
    /// How many rows it will have.
    pub(super) rows: u64,
}

impl Bare {
    /// Writers of all columns, in order.
    pub(super) fn column_writers(&self) -> Result<Vec<ArrowColumnWriter>, QueryError> {
        self.columns
            .create_column_writers(0)
            .map_err(|e| failed(&self.temporary, e))
    }

    /// The columns as Parquet describes them.
    pub(super) fn descr(&self) -> &SchemaDescriptor {
        self.writer.schema_descr()
    }

    /// Takes a row group.
    pub(super) fn write(mut self, chunks: Vec<row_group::Written>) -> Result<Bare, QueryError> {
        let append = || {
            let mut group = self.writer.next_row_group()?;
            for chunk in chunks {
                match chunk {
                    row_group::Written::Keyed(chunk) => {
                        let (bytes, close) = chunk.into_parts();
                        group.append_column(&bytes, close)?;
                    }
                    row_group::Written::Values(chunk) => chunk.append_to_row_group(&mut group)?,
                }
            }
            group.close().map(drop)
        };
        append().map_err(|e| failed(&self.temporary, e))?;
        Ok(self)
    }

    /// Makes the file durable and gives it its name.
    pub(super) fn close(self, dir: &Path) -> Result<Written, QueryError> {
        let buffer = self.writer.into_inner().map_err(|e| failed(&self.temporary, e))?;
        publish(buffer, &self.temporary, dir, self.path, self.rows)
    }
}

/// Makes a file durable and gives it its name.
fn publish(
    buffer: BufWriter<File>,
    temporary: &Path,
    dir: &Path,
    path: String,
    rows: u64,
) -> Result<Written, QueryError> {
    let file = buffer
        .into_inner()
        .map_err(|e| QueryError::io(temporary)(e.into_error()))?;
    file.sync_all().map_err(QueryError::io(temporary))?;
    let bytes = file.metadata().map_err(QueryError::io(temporary))?.len();
    let target = dir.join(&path);
    fs::rename(temporary, &target).map_err(QueryError::io(&target))?;
    Ok(Written { path, rows, bytes })
}

/// The schema as it is outside: plain texts.
fn plain(schema: &Schema) -> Schema {
    let field = |f: &Arc<Field>| match f.data_type() {
        DataType::Utf8View => f.as_ref().clone().with_data_type(DataType::Utf8),
        _ => f.as_ref().clone(),
    };
    Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>())
}

fn properties(place: &Place, schema: &Schema) -> WriterPropertiesBuilder {
    let about = |key: &str, value: &str| KeyValue::new(key.to_owned(), value.to_owned());
    let sorted_by = schema.index_of(place.table.sorted_by()).ok();
    let sorting = sorted_by.map(|at| SortingColumn {
        column_idx: at as i32,
        descending: false,
        nulls_first: true,
    });
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("ctrace {}", env!("CARGO_PKG_VERSION")))
        .set_compression(compression())
        .set_max_row_group_row_count(Some(ROWS_PER_FILE as usize))
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_sorting_columns(sorting.map(|s| vec![s]))
        .set_key_value_metadata(Some(vec![
            about("ctrace.case", &place.case_id),
            about("ctrace.host", &place.host),
        ]));
    for field in schema.fields() {
        let path = ColumnPath::from(field.name().as_str());
        if DISTINCT.contains(&field.name().as_str()) {
            builder = builder.set_column_dictionary_enabled(path.clone(), false);
        }
        if DISTINCT.contains(&field.name().as_str()) && !field.data_type().is_string() {
            builder = builder.set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED);
        }
        if LOOKED_UP.contains(&field.name().as_str()) {
            builder = builder.set_column_bloom_filter_enabled(path, true);
        }
    }
    builder
}

fn failed(path: &Path, error: ParquetError) -> QueryError {
    match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(source) => QueryError::Io {
                path: path.to_owned(),
                source: *source,
            },
            Err(other) => QueryError::Internal(format!("{}: {other}", path.display())),
        },
        other => QueryError::Internal(format!("{}: {other}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values;

    #[test]
    fn days_and_names_become_folders() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(values::day(1_795_212_000_000_000_000)), "2026-11-20");
        assert_eq!(encode("web-1.example"), "web-1.example");
        assert_eq!(encode("../a=b ü"), "..%2Fa%3Db%20%C3%BC");
    }
}

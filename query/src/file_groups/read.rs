//! Row groups of Parquet files, some thousand rows at a time, with texts as their dictionaries.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema, SchemaRef, UInt32Type};
use bytes::Bytes;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelectionPolicy,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, Length};

use super::footers::Footer;
use super::request::{Computed, is_text};

/// Rows that are read at once: what is made of them stays in the processor's caches, and the next use its memory again.
const ROWS: usize = 1 << 15;

/// Where less than one row of so many is wanted, the others are not decoded.
const FEW: usize = 8;

/// Values of a column of some rows.
#[derive(Clone, Debug)]
pub(super) enum Values {
    /// Texts: entries of a dictionary, not all of them different.
    Text(DictionaryArray<UInt32Type>),
    /// Others.
    Plain(ArrayRef),
}

impl Values {
    fn new(array: &ArrayRef, ty: &DataType) -> Result<Values> {
        if !is_text(ty) {
            return Ok(Values::Plain(cast(array, ty)?));
        }
        let dictionary = DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8));
        let array = cast(array, &dictionary)?;
        Ok(Values::Text(array.as_dictionary::<UInt32Type>().clone()))
    }

    /// Bytes of the rows, without those of a dictionary.
    fn size(&self) -> usize {
        match self {
            Values::Text(array) => array.keys().get_array_memory_size(),
            Values::Plain(array) => array.get_array_memory_size(),
        }
    }
}

/// The columns of some rows.
pub(super) struct Columns {
    table: SchemaRef,
    values: Vec<(usize, Values)>,
    pub(super) rows: usize,
}

impl Columns {
    /// The values of a column of the table.
    pub(super) fn get(&self, column: usize) -> Result<&Values> {
        let found = self.values.iter().find(|(c, _)| *c == column);
        found
            .map(|(_, values)| values)
            .ok_or_else(|| internal_datafusion_err!("column {column} was not read"))
    }

    /// The values of a column as the table has them.
    fn plain(&self, column: usize) -> Result<ArrayRef> {
        Ok(match self.get(column)? {
            Values::Text(array) => cast(array, self.table.field(column).data_type())?,
            Values::Plain(array) => array.clone(),
        })
    }

    /// What an expression gives for each row.
    pub(super) fn compute(&self, computed: &Computed) -> Result<ArrayRef> {
        let columns = computed.columns.iter().map(|c| self.plain(*c));
        computed.of(columns.collect::<Result<_>>()?, self.rows)
    }

    /// Bytes of the rows.
    pub(super) fn size(&self) -> usize {
        self.values.iter().map(|(_, values)| values.size()).sum()
    }
}

/// A file of which many parts are read, each by one call of the kernel.
#[derive(Clone)]
pub(super) struct Stored {
    file: Arc<File>,
    bytes: u64,
}

impl Stored {
    pub(super) fn new(file: File) -> io::Result<Stored> {
        let bytes = file.metadata()?.len();
        Ok(Stored {
            file: Arc::new(file),
            bytes,
        })
    }
}

impl Length for Stored {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Stored {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<BufReader<From>> {
        let file = self.file.clone();
        Ok(BufReader::new(From { file, at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let end = start.checked_add(length as u64);
        // What a damaged footer says of a length must not be asked of memory.
        if end.is_none_or(|end| self.bytes < end) {
            let told = format!("{length} bytes at {start} of {}", self.bytes);
            return Err(ParquetError::EOF(told));
        }
        let mut out = Vec::with_capacity(length);
        let file = self.file.clone();
        From { file, at: start }.take(length as u64).read_to_end(&mut out)?;
        if out.len() != length {
            return Err(ParquetError::EOF(format!("{} bytes of {length} at {start}", out.len())));
        }
        Ok(out.into())
    }
}

/// What a file has from a place on.
pub(super) struct From {
    file: Arc<File>,
    at: u64,
}

impl Read for From {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(out, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// A file whose row groups are read.
pub(super) struct Source {
    file: Stored,
    metadata: ArrowReaderMetadata,
    table: SchemaRef,
    /// The file's columns in its order, texts of the type that they have in the table.
    stored: SchemaRef,
}

impl Source {
    /// A file with columns of this table among others.
    pub(super) fn new(file: Stored, footer: Footer, table: &SchemaRef) -> Source {
        let fields = footer.told.fields().iter();
        let stored = fields.map(|f| match table.field_with_name(f.name()) {
            Ok(other) if is_text(f.data_type()) && is_text(other.data_type()) => Arc::new(other.clone()),
            _ => f.clone(),
        });
        Source {
            file,
            stored: Arc::new(Schema::new(stored.collect::<Vec<_>>())),
            metadata: footer.read,
            table: table.clone(),
        }
    }

    /// The file's columns, in its order.
    pub(super) fn stored(&self) -> &SchemaRef {
        &self.stored
    }

    /// A condition on columns of the table as one on those of the file; `None` where the file has others.
    pub(super) fn predicate(&self, condition: Option<&Arc<dyn PhysicalExpr>>) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let Some(condition) = condition else { return Ok(None) };
        let same = |column: &Column| {
            let stored = self.stored.field_with_name(column.name());
            stored.is_ok_and(|f| f.data_type() == self.table.field(column.index()).data_type())
        };
        if !collect_columns(condition).iter().all(same) {
            return Ok(None);
        }
        reassign_expr_columns(condition.clone(), &self.stored).map(Some)
    }

    /// What the file's footer says.
    pub(super) fn metadata(&self) -> &ParquetMetaData {
        self.metadata.metadata()
    }

    /// What reads some of the file's columns.
    pub(super) fn builder(&self, columns: &[usize]) -> ParquetRecordBatchReaderBuilder<Stored> {
        let schema = self.metadata.schema();
        let name = |column: &usize| self.table.field(*column).name();
        let there = columns.iter().filter_map(|c| schema.index_of(name(c)).ok());
        ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), self.metadata.clone())
            .with_projection(ProjectionMask::roots(self.metadata.parquet_schema(), there))
    }

    /// Reads columns of some rows of a row group, or of all of them.
    pub(super) fn read(&self, columns: &[usize], group: usize, rows: Option<RowSelection>) -> Result<Chunks> {
        let builder = self.builder(columns).with_row_groups(vec![group]).with_batch_size(ROWS);
        let all = self.metadata().row_groups().get(group).map_or(0, |g| g.num_rows());
        let builder = match rows {
            // What lies between few rows is passed over: texts that have no dictionary would get one first.
            Some(rows) if (rows.row_count() * FEW) as i64 <= all => builder
                .with_row_selection_policy(RowSelectionPolicy::Selectors)
                .with_row_selection(rows),
            Some(rows) => builder.with_row_selection(rows),
            None => builder,
        };
        Ok(Chunks {
            reader: builder.build()?,
            columns: columns.to_vec(),
            table: self.table.clone(),
        })
    }
}

/// Rows that are being read.
pub(super) struct Chunks {
    reader: ParquetRecordBatchReader,
    columns: Vec<usize>,
    table: SchemaRef,
}

impl Chunks {
    /// The next rows; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Columns>> {
        let Some(batch) = self.reader.next().transpose()? else {
            return Ok(None);
        };
        let values = self.columns.iter().map(|column| self.values(*column, &batch));
        Ok(Some(Columns {
            table: self.table.clone(),
            values: values.collect::<Result<_>>()?,
            rows: batch.num_rows(),
        }))
    }

    fn values(&self, column: usize, batch: &RecordBatch) -> Result<(usize, Values)> {
        let field = self.table.field(column);
        let array = match batch.column_by_name(field.name()) {
            Some(array) => array.clone(),
            // A column that this file lacks.
            None => new_null_array(field.data_type(), batch.num_rows()),
        };
        Ok((column, Values::new(&array, field.data_type())?))
    }
}

//! Row groups of Parquet files, with texts as their dictionaries.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array, new_null_array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::file::metadata::ParquetMetaData;

use super::groups::Values;
use super::request::{Computed, Request, is_text};
use crate::values::Rows;

/// Rows that are read at once, at most.
const ROWS: usize = 1 << 20;

/// Where less than one row of so many passes, other columns are decoded for those that pass alone.
const FEW: usize = 8;

/// The columns of some rows that were read so far.
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

    /// Only the rows from one to before another.
    fn slice(&mut self, from: usize, to: usize) {
        for (_, values) in &mut self.values {
            *values = match &*values {
                Values::Text(array) => Values::Text(array.slice(from, to - from)),
                Values::Plain(array) => Values::Plain(array.slice(from, to - from)),
            };
        }
        self.rows = to - from;
    }

    /// Only these rows.
    fn pick(&mut self, rows: &[u32]) -> Result<()> {
        let picked = UInt32Array::from(rows.to_vec());
        for (_, values) in &mut self.values {
            *values = match &*values {
                Values::Text(array) => {
                    let array = take(array, &picked, None)?;
                    Values::Text(array.as_dictionary::<UInt32Type>().clone())
                }
                Values::Plain(array) => Values::Plain(take(array, &picked, None)?),
            };
        }
        self.rows = rows.len();
        Ok(())
    }
}

/// A file whose row groups are read.
pub(super) struct Source {
    file: File,
    metadata: ArrowReaderMetadata,
    table: SchemaRef,
    /// The file's columns in its order, texts of the type that they have in the table.
    stored: SchemaRef,
}

impl Source {
    /// A file with these columns among others.
    pub(super) fn new(
        file: File,
        metadata: Arc<ParquetMetaData>,
        table: &SchemaRef,
        columns: &[usize],
    ) -> Result<Source> {
        let known = ArrowReaderMetadata::try_new(metadata.clone(), ArrowReaderOptions::new())?;
        let wanted = |f: &Field| {
            let named = columns.iter().any(|c| table.field(*c).name() == f.name());
            named && is_text(f.data_type())
        };
        let dictionary = DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8));
        let fields = known.schema().fields().iter().map(|f| {
            if wanted(f) {
                Arc::new(f.as_ref().clone().with_data_type(dictionary.clone()))
            } else {
                f.clone()
            }
        });
        let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), known.schema().metadata().clone());
        let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
        let stored = known
            .schema()
            .fields()
            .iter()
            .map(|f| match table.field_with_name(f.name()) {
                Ok(other) if is_text(f.data_type()) && is_text(other.data_type()) => Arc::new(other.clone()),
                _ => f.clone(),
            });
        Ok(Source {
            file,
            metadata: ArrowReaderMetadata::try_new(metadata, options)?,
            table: table.clone(),
            stored: Arc::new(Schema::new(stored.collect::<Vec<_>>())),
        })
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

    /// The parts in which a row group is read: where each begins and how many rows it has.
    pub(super) fn parts(&self, group: usize) -> Vec<(usize, usize)> {
        let groups = self.metadata.metadata().row_groups();
        let rows = groups.get(group).map_or(0, |g| g.num_rows().max(0) as usize);
        (0..rows).step_by(ROWS).map(|at| (at, ROWS.min(rows - at))).collect()
    }

    /// Reads columns of some rows of a row group.
    fn read(&self, columns: &[usize], group: usize, selection: RowSelection) -> Result<Vec<(usize, Values)>> {
        let rows = selection.row_count();
        if columns.is_empty() {
            return Ok(Vec::new());
        }
        let descr = self.metadata.parquet_schema();
        let schema = self.metadata.schema();
        let name = |column: &usize| self.table.field(*column).name();
        let there = columns.iter().filter_map(|c| schema.index_of(name(c)).ok());
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.try_clone()?, self.metadata.clone())
            .with_projection(ProjectionMask::roots(descr, there))
            .with_row_groups(vec![group])
            .with_batch_size(rows)
            .with_row_selection(selection);
        let batches = builder.build()?.collect::<std::result::Result<Vec<_>, _>>()?;
        let batch = match batches.as_slice() {
            [one] if one.num_rows() == rows => one.clone(),
            _ => {
                let schema = batches
                    .first()
                    .map_or_else(|| Arc::new(Schema::empty()), |b| b.schema());
                arrow::compute::concat_batches(&schema, &batches)?
            }
        };
        let values = columns.iter().map(|column| {
            let ty = self.table.field(*column).data_type();
            let array = match batch.column_by_name(name(column)) {
                Some(array) => array.clone(),
                // A column that this file lacks.
                None => new_null_array(ty, rows),
            };
            if array.len() != rows {
                return Err(internal_datafusion_err!("{} rows of {rows}", array.len()));
            }
            Ok((*column, as_values(&array, ty)?))
        });
        values.collect()
    }

    /// The rows of a part that pass, with all columns; `None` where there are none.
    pub(super) fn passing(
        &self,
        request: &Request,
        (first, rest): (&[usize], &[usize]),
        group: usize,
        (from, rows): (usize, usize),
    ) -> Result<Option<(Columns, Option<Vec<u32>>)>> {
        let mut columns = Columns {
            table: self.table.clone(),
            values: self.read(first, group, range(from, rows))?,
            rows,
        };
        let passing = passing(request, &columns)?;
        let (selection, passing) = match passing {
            None => (range(from, rows), None),
            Some(passing) => {
                let (Some(low), Some(high)) = (passing.first().copied(), passing.last().copied()) else {
                    return Ok(None);
                };
                let between = (high - low) as usize + 1;
                if passing.len().saturating_mul(FEW) < between {
                    columns.pick(&passing)?;
                    (these(from, &passing), None)
                } else {
                    // What lies outside of all of them is not decoded.
                    columns.slice(low as usize, high as usize + 1);
                    let passing = passing.into_iter().map(|row| row - low).collect();
                    (range(from + low as usize, between), Some(passing))
                }
            }
        };
        columns.values.extend(self.read(rest, group, selection)?);
        Ok(Some((columns, passing)))
    }
}

/// So many rows from one on.
fn range(from: usize, rows: usize) -> RowSelection {
    RowSelection::from(vec![RowSelector::skip(from), RowSelector::select(rows)])
}

/// These rows, counted from one.
fn these(from: usize, rows: &[u32]) -> RowSelection {
    let mut selectors = vec![RowSelector::skip(from)];
    let mut next = 0;
    for run in rows.chunk_by(|a, b| a + 1 == *b) {
        let Some(first) = run.first() else { continue };
        selectors.push(RowSelector::skip((first - next) as usize));
        selectors.push(RowSelector::select(run.len()));
        next = first + run.len() as u32;
    }
    RowSelection::from(selectors)
}

fn as_values(array: &ArrayRef, ty: &DataType) -> Result<Values> {
    if !is_text(ty) {
        return Ok(Values::Plain(cast(array, ty)?));
    }
    let dictionary = DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8));
    let array = cast(array, &dictionary)?;
    Ok(Values::Text(array.as_dictionary::<UInt32Type>().clone()))
}

/// Of all rows those that pass; `None` stands for all.
fn passing(request: &Request, columns: &Columns) -> Result<Option<Vec<u32>>> {
    let mut out: Option<Vec<u32>> = None;
    for condition in &request.entries {
        let [column] = condition.columns.as_slice() else {
            continue;
        };
        let Values::Text(array) = columns.get(*column)? else {
            continue;
        };
        let mask = condition.mask(array.values())?;
        let keys = array.keys().values();
        let passes = |row: usize| mask.has(keys.get(row).copied().filter(|_| array.is_valid(row)));
        keep(&mut out, columns.rows, passes);
    }
    for condition in &request.rows {
        if out.as_ref().is_some_and(Vec::is_empty) {
            break;
        }
        let result = columns.compute(condition)?;
        let truths = datafusion::common::cast::as_boolean_array(&result)?;
        keep(&mut out, columns.rows, |row| truths.is_valid(row) && truths.value(row));
    }
    Ok(out.filter(|rows| rows.len() < columns.rows))
}

fn keep(rows: &mut Option<Vec<u32>>, all: usize, passes: impl Fn(usize) -> bool) {
    match rows {
        Some(rows) => rows.retain(|row| passes(*row as usize)),
        None => {
            *rows = Some(
                Rows::All(0..all)
                    .iter()
                    .filter(|r| passes(*r))
                    .map(|r| r as u32)
                    .collect(),
            )
        }
    }
}

//! Grouping on dictionary entries: the first half of an aggregation that a scan can do itself.
//!
//! Where rows are grouped by columns that belong to dictionary entries, rows with the same entries are counted by their
//! entry numbers, and only one row for each combination leaves the block. What DataFusion would do to every row
//! (fetching texts, hashing them) is done to a few thousand combinations a block.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, ListArray, TimestampNanosecondArray, UInt32Array, UInt64Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{filter, is_not_null, take};
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use ctrace_trace::block::decoded::Decoded;
use datafusion::common::{Result, internal_datafusion_err, internal_err};
use datafusion::physical_expr::PhysicalExpr;

use crate::block_places::Places;
use crate::column::{self, Column, Per};
use crate::numbering::{Numbers, numbered, numbers};
use crate::values::{Rows, entry_count, entry_of, nanos};

/// What is known of the rows of a group, in the form in which DataFusion merges partial results.
#[derive(Clone, Debug)]
pub(crate) enum Aggregate {
    /// How many there are.
    Rows,
    /// In how many the column is not null.
    Present(Column),
    /// The smallest `seq` or `ts`.
    Min(Column),
    /// The largest `seq` or `ts`.
    Max(Column),
    /// The different values of the column. Only where all rows are one group.
    Distinct(Column),
}

impl Aggregate {
    /// The column that it looks at.
    pub(crate) fn column(&self) -> Option<&Column> {
        match self {
            Aggregate::Rows => None,
            Aggregate::Present(c) | Aggregate::Min(c) | Aggregate::Max(c) | Aggregate::Distinct(c) => Some(c),
        }
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Aggregate::Rows => return write!(f, "count(*)"),
            Aggregate::Present(_) => "count",
            Aggregate::Min(_) => "min",
            Aggregate::Max(_) => "max",
            Aggregate::Distinct(_) => "distinct",
        };
        write!(f, "{name}({})", self.column().map_or("", Column::name))
    }
}

/// What rows of a group have in common.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    /// A column that belongs to dictionary entries, or to the host.
    Column(Column),
    /// A number computed from columns of the row.
    Computed(Computed),
}

/// A number that is computed from columns of rows.
#[derive(Clone, Debug)]
pub(crate) struct Computed {
    pub(crate) expr: Arc<dyn PhysicalExpr>,
    /// What it is computed from, in the order of the expression's columns.
    pub(crate) columns: Vec<Column>,
}

impl Computed {
    fn of(&self, block: &Decoded, host: &str, rows: &Rows<'_>) -> Result<ArrayRef> {
        let columns = self.columns.iter().map(|c| c.array(block, host, rows));
        let columns = columns.collect::<Result<_, _>>()?;
        let schema = Arc::new(column::schema(&self.columns));
        let batch = RecordBatch::try_new(schema, columns)?;
        self.expr.evaluate(&batch)?.into_array(batch.num_rows())
    }
}

impl Key {
    pub(crate) fn column(&self) -> Option<&Column> {
        match self {
            Key::Column(column) => Some(column),
            Key::Computed(_) => None,
        }
    }

    fn columns(&self) -> &[Column] {
        match self {
            Key::Column(column) => std::slice::from_ref(column),
            Key::Computed(computed) => &computed.columns,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Column(column) => f.write_str(column.name()),
            Key::Computed(computed) => computed.expr.fmt(f),
        }
    }
}

/// The groups that a scan gives out instead of rows.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    /// What rows of a group have in common.
    pub(crate) keys: Vec<Key>,
    /// What is computed of each group.
    pub(crate) aggregates: Vec<Aggregate>,
    /// Keys and partial results, as DataFusion's final aggregation expects them.
    pub(crate) schema: SchemaRef,
}

/// Whether groups can be made by this column.
pub(crate) fn is_key(column: &Column) -> bool {
    column.per() != Per::Row || matches!(column, Column::Host)
}

impl Groups {
    /// The columns of blocks that it looks at.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &Column> {
        self.keys
            .iter()
            .flat_map(Key::columns)
            .chain(self.aggregates.iter().filter_map(Aggregate::column))
    }

    /// The groups of a block's rows that pass.
    pub(crate) fn batch(&self, block: &Decoded, host: &str, rows: &Rows<'_>) -> Result<RecordBatch> {
        let computed = self.keys.iter().map(|key| match key {
            Key::Computed(computed) => computed.of(block, host, rows).map(Some),
            Key::Column(_) => Ok(None),
        });
        let computed = computed.collect::<Result<Vec<_>>>()?;
        let found = Found::new(self, block, rows, computed.iter().flatten())?;
        let keys = self.keys.iter().zip(&computed).map(|(key, computed)| {
            Ok(match (key, computed) {
                (Key::Column(column), _) => column.array(block, host, &Rows::Some(&found.first))?,
                (_, Some(values)) => take(values, &found.first_at(), None)?,
                (Key::Computed(_), None) => return internal_err!("a key was not computed"),
            })
        });
        let results = self.aggregates.iter().map(|a| found.result(a, block, host, rows));
        let arrays = keys.chain(results).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(found.first.len()));
        Ok(RecordBatch::try_new_with_options(
            self.schema.clone(),
            arrays,
            &options,
        )?)
    }
}

/// The groups of a block.
#[derive(Default)]
struct Found {
    /// The first row of each: it has the group's entries.
    first: Vec<u32>,
    /// Its place among the rows that were looked at.
    place: Vec<u32>,
    last: Vec<u32>,
    count: Vec<i64>,
    /// Smallest and largest time; empty where nobody asks.
    times: Vec<(u64, u64)>,
}

impl Found {
    /// The groups of rows that have these computed keys beside those of entries.
    fn new<'a>(
        groups: &Groups,
        block: &Decoded,
        rows: &Rows<'_>,
        computed: impl Iterator<Item = &'a ArrayRef>,
    ) -> Result<Found> {
        let too_many = || internal_datafusion_err!("too many groups");
        let places = Places::new(groups, block)?;
        let mut combinations = places.combinations().ok_or_else(too_many)?;
        let mut own: Vec<(Vec<u32>, u64)> = Vec::new();
        for values in computed {
            let (codes, size) = numbered(&numbers(values)?, 0..rows.len());
            combinations = combinations.checked_mul(size).ok_or_else(too_many)?;
            own.push((codes, size));
        }
        let mut numbers = Numbers::new(combinations);
        let timed = groups.aggregates.iter().any(|a| matches!(a.column(), Some(Column::Ts)));
        let mut out = Found::default();
        for (at, row) in rows.iter().enumerate() {
            let combination = own.iter().fold(places.of(block, row), |all, (codes, size)| {
                let code = codes.get(at).copied().unwrap_or(0);
                all.wrapping_mul(*size).wrapping_add(u64::from(code))
            });
            let group = numbers.number(combination, out.first.len());
            if group == out.first.len() {
                out.first.push(row as u32);
                out.place.push(at as u32);
                out.last.push(row as u32);
                out.count.push(0);
                if timed {
                    out.times.push((u64::MAX, 0));
                }
            }
            if let (Some(count), Some(last)) = (out.count.get_mut(group), out.last.get_mut(group)) {
                *count += 1;
                *last = row as u32;
            }
            if let (Some(times), Some(ts)) = (out.times.get_mut(group), block.ts.get(row)) {
                *times = (times.0.min(*ts), times.1.max(*ts));
            }
        }
        Ok(out)
    }

    fn first_at(&self) -> UInt32Array {
        UInt32Array::from(self.place.clone())
    }

    /// The partial results of all groups.
    fn result(&self, aggregate: &Aggregate, block: &Decoded, host: &str, rows: &Rows<'_>) -> Result<ArrayRef> {
        let seq = |rows: &[u32]| -> ArrayRef {
            Arc::new(UInt64Array::from_iter_values(
                rows.iter().map(|r| block.first_seq + u64::from(*r)),
            ))
        };
        let ts = |pick: fn(&(u64, u64)) -> u64| -> ArrayRef {
            let times = self.times.iter().map(|t| nanos(pick(t)));
            Arc::new(TimestampNanosecondArray::from_iter_values(times).with_timezone("UTC"))
        };
        Ok(match aggregate {
            Aggregate::Rows => Arc::new(Int64Array::from(self.count.clone())),
            Aggregate::Present(column) => {
                let values = column.array(block, host, &Rows::Some(&self.first))?;
                let count = |(i, n): (usize, &i64)| if values.is_null(i) { 0 } else { *n };
                Arc::new(Int64Array::from_iter_values(self.count.iter().enumerate().map(count)))
            }
            Aggregate::Min(Column::Ts) => ts(|t| t.0),
            Aggregate::Max(Column::Ts) => ts(|t| t.1),
            Aggregate::Min(_) => seq(&self.first),
            Aggregate::Max(_) => seq(&self.last),
            Aggregate::Distinct(column) => self.distinct(column, block, host, rows)?,
        })
    }

    /// The values of all rows as one list; a value may be in it more than once.
    fn distinct(&self, column: &Column, block: &Decoded, host: &str, rows: &Rows<'_>) -> Result<ArrayRef> {
        let per = column.per();
        let mut seen = vec![false; entry_count(per, block)];
        let mut first = Vec::new();
        for row in rows.iter() {
            // A row without an entry has no value.
            let Some(entry) = entry_of(per, block, row) else {
                continue;
            };
            if let Some(seen) = seen.get_mut(entry as usize).filter(|s| !**s) {
                *seen = true;
                first.push(row as u32);
            }
        }
        let values = column.array(block, host, &Rows::Some(&first))?;
        let values = filter(&values, &is_not_null(&values)?)?;
        let lengths = self.first.iter().map(|_| values.len());
        let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
        Ok(Arc::new(ListArray::try_new(
            item,
            OffsetBuffer::from_lengths(lengths),
            values,
            None,
        )?))
    }
}

/// Whether partial results of this type are what [`Groups::batch`] gives.
pub(crate) fn fits(aggregate: &Aggregate, state: &DataType) -> bool {
    match aggregate {
        Aggregate::Rows | Aggregate::Present(_) => *state == DataType::Int64,
        Aggregate::Min(c) | Aggregate::Max(c) => *state == c.data_type(),
        Aggregate::Distinct(c) => matches!(state, DataType::List(item) if *item.data_type() == c.data_type()),
    }
}

//! Conditions that a scan takes over.
//!
//! A condition on one column that belongs to dictionary entries is evaluated by DataFusion's own expression once per
//! entry of a block, and rows only look up the result: every function and operator that DataFusion knows can be pushed
//! down this way. Conditions on numbers and times of rows are evaluated before any other column of the row is computed. What heads say of a block rules it out before it is read: see [`crate::prune`].

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::segment::BlockRef;
use datafusion::catalog::Session;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column as ColumnName, DFSchema, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::PhysicalExpr;

use crate::column::{self, Column, Per};
use crate::socket_values::SocketValues;
use crate::values::{Rows, entry_count, entry_of};

/// How a condition is handled.
pub(crate) fn support(filter: &Expr, columns: &[Column]) -> TableProviderFilterPushDown {
    match classify(filter, columns) {
        Class::Entry(_) | Class::Row { .. } => TableProviderFilterPushDown::Exact,
        Class::Other => TableProviderFilterPushDown::Unsupported,
    }
}

enum Class<'a> {
    /// On this one column, whose values belong to dictionary entries.
    Entry(&'a Column),
    /// On columns whose values cost little to look at.
    Row {
        /// These columns.
        columns: Vec<&'a Column>,
        /// Whether heads have bounds of all of them.
        bounded: bool,
    },
    /// Anything else.
    Other,
}

fn classify<'a>(filter: &Expr, columns: &'a [Column]) -> Class<'a> {
    let beyond_a_row = |e: &Expr| {
        matches!(
            e,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::Placeholder(_)
        )
    };
    if filter.is_volatile() || filter.exists(|e| Ok(beyond_a_row(e))).unwrap_or(true) {
        return Class::Other;
    }
    let names = filter.column_refs();
    let used = names.iter().map(|c| columns.iter().find(|x| x.name() == c.name));
    let Some(mut used) = used.collect::<Option<Vec<_>>>() else {
        return Class::Other;
    };
    used.sort_by_key(|c| c.name());
    match used.as_slice() {
        [] => Class::Other,
        [one] if one.per() != Per::Row => Class::Entry(one),
        all if all.iter().all(|c| is_cheap(c)) => Class::Row {
            bounded: all.iter().all(|c| c.has_bounds()),
            columns: used,
        },
        _ => Class::Other,
    }
}

/// Whether a column is computed for all rows without much work, and so before it is known which rows are wanted: texts
/// and lists are not.
fn is_cheap(column: &Column) -> bool {
    let data_type = column.data_type();
    data_type.is_primitive() || data_type == DataType::Boolean
}

/// The conditions of a scan, by where they can be answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    /// On the event type: the heads answer them.
    pub(crate) kinds: Vec<EntryFilter>,
    /// On other dictionary entries.
    pub(crate) entries: Vec<EntryFilter>,
    /// On `ts` and `seq`: bounds in the heads rule blocks out. Rows are tested by `rows`, where they are too.
    pub(crate) ranges: Vec<Expr>,
    /// On columns of rows.
    pub(crate) rows: Vec<RowFilter>,
}

impl Conditions {
    /// Compiles the conditions that [`support`] accepted; others are ignored.
    pub(crate) fn new(filters: &[Expr], columns: &[Column], state: &dyn Session) -> Result<Conditions> {
        let mut out = Conditions::default();
        for filter in filters {
            match classify(filter, columns) {
                Class::Entry(column) => {
                    let compiled = EntryFilter::new(filter, column, state)?;
                    let list = if column.per() == Per::Kind {
                        &mut out.kinds
                    } else {
                        &mut out.entries
                    };
                    list.push(compiled);
                }
                Class::Row { columns, bounded } => {
                    out.rows.push(RowFilter::new(filter, columns, state)?);
                    if bounded {
                        out.ranges.push(filter.clone());
                    }
                }
                Class::Other => {}
            }
        }
        Ok(out)
    }

    /// Whether all rows of the wanted event types pass.
    pub(crate) fn pass_all_rows(&self) -> bool {
        self.entries.is_empty() && self.rows.is_empty()
    }

    /// The dictionaries that can be had without the rows that refer to them, of those that [`Self::passing`] looks at.
    pub(crate) fn dictionaries(&self) -> Need {
        let columns = self.entries.iter().map(|e| &e.column);
        columns.fold(Need::NOTHING, |need, c| need | c.dictionary())
    }

    /// Whether no entry of such a dictionary passes. What sockets have is noted.
    pub(crate) fn rule_out(&self, block: &Decoded, at: &BlockRef, sockets: &SocketValues) -> Result<bool> {
        for filter in self.entries.iter().filter(|e| e.column.dictionary() != Need::NOTHING) {
            let note = |values: &ArrayRef| sockets.note(at, filter.column.name(), values);
            if filter.noting(block, note)?.none_pass() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether nothing passes of what sockets of a block are known to have.
    pub(crate) fn known_to_rule_out(&self, block: &BlockRef, sockets: &SocketValues) -> Result<bool> {
        for filter in self.entries.iter().filter(|e| e.column.of_socket()) {
            if let Some(values) = sockets.get(block, filter.column.name())
                && filter.mask(values)?.none_pass()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The block columns that [`Self::passing`] looks at, beside the event types.
    pub(crate) fn needs(&self) -> Need {
        let of_rows = self.rows.iter().flat_map(|r| &r.columns);
        let columns = self.entries.iter().map(|e| &e.column).chain(of_rows);
        columns.fold(Need::NOTHING, |need, c| need | c.needs())
    }

    /// Of these rows those that pass; `None` stands for all rows of the block.
    pub(crate) fn passing(&self, block: &Decoded, rows: Option<Vec<u32>>) -> Result<Option<Vec<u32>>> {
        let mut rows = rows;
        for filter in &self.entries {
            if rows.as_ref().is_some_and(Vec::is_empty) {
                break;
            }
            let mask = filter.of_block(block)?;
            let per = filter.column.per();
            let passes = |row: &u32| mask.has(entry_of(per, block, *row as usize));
            rows = match rows {
                _ if mask.all() => rows,
                Some(mut rows) => {
                    rows.retain(passes);
                    Some(rows)
                }
                None => Some((0..block.len as u32).filter(passes).collect()),
            };
        }
        for filter in &self.rows {
            if rows.as_ref().is_some_and(Vec::is_empty) {
                break;
            }
            rows = filter.passing(block, rows)?;
        }
        Ok(rows)
    }
}

/// A condition on one column whose values belong to dictionary entries.
#[derive(Clone, Debug)]
pub(crate) struct EntryFilter {
    column: Column,
    expr: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
}

impl std::fmt::Display for EntryFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.expr)
    }
}

impl EntryFilter {
    fn new(filter: &Expr, column: &Column, state: &dyn Session) -> Result<EntryFilter> {
        let schema = Arc::new(Schema::new(vec![column.arrow()]));
        Ok(EntryFilter {
            column: column.clone(),
            expr: over(filter, &schema, state)?,
            schema,
        })
    }

    /// The column.
    pub(crate) fn column(&self) -> &Column {
        &self.column
    }

    fn of_block(&self, block: &Decoded) -> Result<Mask> {
        self.noting(block, |_| ())
    }

    /// Which entries of a block pass. The values of its sockets are told, where they alone are looked at.
    fn noting(&self, block: &Decoded, note: impl FnOnce(&ArrayRef)) -> Result<Mask> {
        let count = entry_count(self.column.per(), block);
        if !self.column.of_socket() {
            return self.mask(self.column.entries(block, 0..count as u32)?);
        }
        // Most open objects are files: they need not be asked one by one for what they do not have.
        let objects = block.dict.fds.iter().zip(0u32..);
        let sockets: Vec<u32> = objects
            .filter(|(fd, _)| fd.socket.is_some())
            .map(|(_, at)| at)
            .collect();
        let values = self.column.entries(block, sockets.iter().copied())?;
        note(&values);
        Ok(self.mask(values)?.spread(&sockets, count))
    }

    /// Evaluates the condition on the values of entries.
    pub(crate) fn mask(&self, values: ArrayRef) -> Result<Mask> {
        // One more entry stands for rows that refer to nothing: their value is null.
        let values = concat(&[&values, &new_null_array(values.data_type(), 1)])?;
        let batch = RecordBatch::try_new(self.schema.clone(), vec![values])?;
        let result = self.expr.evaluate(&batch)?.into_array(batch.num_rows())?;
        Ok(Mask::new(as_boolean_array(&result)?))
    }
}

/// A condition over batches of these columns. It may name the table (`events.proc_name`); batches have none.
fn over(filter: &Expr, schema: &SchemaRef, state: &dyn Session) -> Result<Arc<dyn PhysicalExpr>> {
    let unqualified = |e: Expr| match e {
        Expr::Column(c) => Transformed::yes(Expr::Column(ColumnName::new_unqualified(c.name))),
        e => Transformed::no(e),
    };
    let filter = filter.clone().transform(|e| Ok(unqualified(e)))?.data;
    state.create_physical_expr(filter, &DFSchema::try_from(schema.as_ref().clone())?)
}

/// A condition on columns of rows: the rows that do not pass are left out before other columns are computed.
#[derive(Clone, Debug)]
pub(crate) struct RowFilter {
    columns: Vec<Column>,
    expr: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
}

impl std::fmt::Display for RowFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.expr)
    }
}

impl RowFilter {
    fn new(filter: &Expr, columns: Vec<&Column>, state: &dyn Session) -> Result<RowFilter> {
        let columns: Vec<Column> = columns.into_iter().cloned().collect();
        let schema = Arc::new(column::schema(&columns));
        Ok(RowFilter {
            expr: over(filter, &schema, state)?,
            columns,
            schema,
        })
    }

    fn passing(&self, block: &Decoded, rows: Option<Vec<u32>>) -> Result<Option<Vec<u32>>> {
        let values = {
            let rows = rows.as_deref().map_or(Rows::All(0..block.len), Rows::Some);
            // None of them tells the host's name.
            let arrays = self.columns.iter().map(|c| c.array(block, "", &rows));
            let batch = RecordBatch::try_new(self.schema.clone(), arrays.collect::<Result<_, _>>()?)?;
            self.expr.evaluate(&batch)?.into_array(batch.num_rows())?
        };
        let values = as_boolean_array(&values)?;
        // Null is not true.
        let bits = values
            .nulls()
            .map_or_else(|| values.values().clone(), |valid| values.values() & valid.inner());
        if bits.count_set_bits() == bits.len() {
            return Ok(rows);
        }
        let passing = bits.set_indices_u32();
        Ok(Some(match rows {
            Some(rows) => passing.filter_map(|i| rows.get(i as usize).copied()).collect(),
            None => passing.collect(),
        }))
    }
}

/// Which dictionary entries pass.
pub(crate) struct Mask {
    bits: Vec<bool>,
    /// Whether rows without an entry pass.
    none: bool,
}

impl Mask {
    /// What a condition gives for each entry, and at last for rows without one. `null` is not true.
    pub(crate) fn new(result: &BooleanArray) -> Mask {
        let mut bits: Vec<bool> = result.iter().map(|b| b.unwrap_or(false)).collect();
        let none = bits.pop().unwrap_or(false);
        Mask { bits, none }
    }

    /// The same for all entries, where it was made for some of them and the others have no value.
    fn spread(self, made_for: &[u32], count: usize) -> Mask {
        let mut bits = vec![self.none; count];
        for (at, passes) in made_for.iter().zip(self.bits) {
            if let Some(bit) = bits.get_mut(*at as usize) {
                *bit = passes;
            }
        }
        Mask { bits, none: self.none }
    }

    /// Whether a row with this entry passes.
    pub(crate) fn has(&self, entry: Option<u32>) -> bool {
        match entry {
            Some(i) => self.bits.get(i as usize).copied().unwrap_or(self.none),
            None => self.none,
        }
    }

    fn none_pass(&self) -> bool {
        !self.none && self.bits.iter().all(|b| !*b)
    }

    fn all(&self) -> bool {
        self.none && self.bits.iter().all(|b| *b)
    }
}

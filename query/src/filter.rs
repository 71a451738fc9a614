//! Conditions that a scan takes over.
//!
//! A condition on one column that belongs to dictionary entries is evaluated by DataFusion's own expression once per
//! entry of a block, and rows only look up the result: every function and operator that DataFusion knows can be pushed
//! down this way. What heads say of a block rules it out before it is read: see [`crate::prune`].

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::{Schema, SchemaRef};
use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::Decoded;
use datafusion::catalog::Session;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column as ColumnName, DFSchema, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::PhysicalExpr;

use crate::column::{Column, Per};
use crate::values::{entry_count, entry_of};

/// How a condition is handled.
pub(crate) fn support(filter: &Expr, columns: &[Column]) -> TableProviderFilterPushDown {
    match classify(filter, columns) {
        Class::Entry(_) => TableProviderFilterPushDown::Exact,
        Class::Range => TableProviderFilterPushDown::Inexact,
        Class::Other => TableProviderFilterPushDown::Unsupported,
    }
}

enum Class<'a> {
    /// On this one column, whose values belong to dictionary entries.
    Entry(&'a Column),
    /// On columns with bounds in the heads.
    Range,
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
    let mut used = names.iter().map(|c| columns.iter().find(|x| x.name() == c.name));
    let Some(Some(first)) = used.next() else {
        return Class::Other;
    };
    match first.per() {
        Per::Row if first.has_bounds() && used.all(|c| c.is_some_and(Column::has_bounds)) => Class::Range,
        Per::Row => Class::Other,
        _ if used.next().is_none() => Class::Entry(first),
        _ => Class::Other,
    }
}

/// The conditions of a scan, by where they can be answered.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    /// On the event type: the heads answer them.
    pub(crate) kinds: Vec<EntryFilter>,
    /// On other dictionary entries.
    pub(crate) entries: Vec<EntryFilter>,
    /// On `ts` and `seq`: the heads give bounds, DataFusion tests the rows.
    pub(crate) ranges: Vec<Expr>,
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
                Class::Range => out.ranges.push(filter.clone()),
                Class::Other => {}
            }
        }
        Ok(out)
    }

    /// The block columns that [`Self::rows`] looks at, beside the event types.
    pub(crate) fn needs(&self) -> Need {
        self.entries
            .iter()
            .fold(Need::NOTHING, |need, e| need | e.column.needs())
    }

    /// Of these rows those that pass the conditions on dictionary entries; `None` stands for all rows of the block.
    pub(crate) fn rows(&self, block: &Decoded, rows: Option<Vec<u32>>) -> Result<Option<Vec<u32>>> {
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
        Ok(rows)
    }
}

/// A condition on one column whose values belong to dictionary entries.
#[derive(Debug)]
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
        // The condition may name the table (`events.proc_name`); the one-column batch has no table.
        let unqualified = |e: Expr| match e {
            Expr::Column(c) => Transformed::yes(Expr::Column(ColumnName::new_unqualified(c.name))),
            e => Transformed::no(e),
        };
        let filter = filter.clone().transform(|e| Ok(unqualified(e)))?.data;
        let expr = state.create_physical_expr(filter, &DFSchema::try_from(schema.as_ref().clone())?)?;
        Ok(EntryFilter {
            column: column.clone(),
            expr,
            schema,
        })
    }

    /// The column.
    pub(crate) fn column(&self) -> &Column {
        &self.column
    }

    fn of_block(&self, block: &Decoded) -> Result<Mask> {
        let entries = 0..entry_count(self.column.per(), block) as u32;
        self.mask(self.column.entries(block, entries)?)
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

/// Which dictionary entries pass.
pub(crate) struct Mask {
    bits: Vec<bool>,
    /// Whether rows without an entry pass.
    none: bool,
}

impl Mask {
    /// `null` is not true.
    fn new(result: &BooleanArray) -> Mask {
        let mut bits: Vec<bool> = result.iter().map(|b| b.unwrap_or(false)).collect();
        let none = bits.pop().unwrap_or(false);
        Mask { bits, none }
    }

    /// Whether a row with this entry passes.
    pub(crate) fn has(&self, entry: Option<u32>) -> bool {
        match entry {
            Some(i) => self.bits.get(i as usize).copied().unwrap_or(self.none),
            None => self.none,
        }
    }

    fn all(&self) -> bool {
        self.none && self.bits.iter().all(|b| *b)
    }
}

//! What of a WHERE clause the block reader can decide by itself.
//!
//! A condition on one column whose value belongs to a dictionary entry (event type, process image, thread, open object)
//! is evaluated by DataFusion's own expression on the entries of a block, once each; rows then look up a bit. Any
//! deterministic expression works: equality, IN, LIKE, regular expressions, ranges, IS NULL. Conditions on `ts` and
//! `seq` skip whole blocks by their statistics.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, StringArray, UInt32Array, UInt64Array, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::block::{BlockHead, Need};
use datafusion::catalog::Session;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column as ColumnName, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};

use crate::columns::{Column, Per, dictionary, entry_of};

/// How a condition is handled.
pub(crate) fn support(filter: &Expr, columns: &[Column]) -> TableProviderFilterPushDown {
    match classify(filter, columns) {
        Class::Entry(_) => TableProviderFilterPushDown::Exact,
        Class::Range => TableProviderFilterPushDown::Inexact,
        Class::Other => TableProviderFilterPushDown::Unsupported,
    }
}

enum Class {
    /// On this one dictionary column.
    Entry(Column),
    /// On `ts` and `seq`.
    Range,
    /// Anything else.
    Other,
}

fn classify(filter: &Expr, columns: &[Column]) -> Class {
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
    let mut used = filter
        .column_refs()
        .into_iter()
        .map(|c| columns.iter().find(|x| x.name() == c.name));
    let Some(Some(first)) = used.next() else {
        return Class::Other;
    };
    let is_range = |c: &Column| matches!(c, Column::Seq | Column::Ts);
    match first.per() {
        Per::Row if is_range(first) && used.all(|c| c.is_some_and(is_range)) => Class::Range,
        Per::Row => Class::Other,
        _ if used.next().is_none() => Class::Entry(*first),
        _ => Class::Other,
    }
}

/// The conditions of a scan in the form in which blocks are tested.
#[derive(Debug, Default)]
pub(crate) struct BlockFilter {
    entries: Vec<EntryFilter>,
    ranges: Option<PruningPredicate>,
}

#[derive(Debug)]
struct EntryFilter {
    column: Column,
    expr: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
}

impl BlockFilter {
    /// Compiles the conditions that [`support`] accepted; others are ignored.
    pub(crate) fn new(filters: &[Expr], columns: &[Column], table: &SchemaRef, state: &dyn Session) -> Result<Self> {
        let mut entries = Vec::new();
        let mut ranges = Vec::new();
        for filter in filters {
            match classify(filter, columns) {
                Class::Entry(column) => entries.push(EntryFilter::new(filter, column, state)?),
                Class::Range => ranges.push(filter.clone()),
                Class::Other => {}
            }
        }
        let ranges = match conjunction(ranges) {
            Some(expr) => {
                let expr = state.create_physical_expr(expr, &DFSchema::try_from(table.as_ref().clone())?)?;
                Some(
                    PruningPredicateBuilder::new()
                        .with_file_schema(table.clone())
                        .try_build(expr)?,
                )
            }
            None => None,
        };
        Ok(BlockFilter { entries, ranges })
    }

    /// Whether every block passes.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.ranges.is_none()
    }

    /// Which blocks can hold a row that passes, by their headers alone.
    pub(crate) fn candidates(&self, heads: &[&BlockHead]) -> Result<Vec<bool>> {
        match &self.ranges {
            Some(predicate) => predicate.prune(&HeadStatistics { heads }),
            None => Ok(vec![true; heads.len()]),
        }
    }

    /// The block columns that [`Self::rows`] looks at.
    pub(crate) fn needs(&self) -> Need {
        self.entries
            .iter()
            .fold(Need::NOTHING, |need, e| need | e.column.needs())
    }

    /// The rows that pass; `None` when all do.
    pub(crate) fn rows(&self, block: &Decoded) -> Result<Option<Vec<u32>>> {
        let Some((first, rest)) = self.entries.split_first() else {
            return Ok(None);
        };
        let mask = first.entries(block)?;
        let per = first.column.per();
        let mut rows: Vec<u32> = (0..block.len as u32)
            .filter(|r| mask.has(entry_of(per, block, *r as usize)))
            .collect();
        for filter in rest {
            if rows.is_empty() {
                break;
            }
            let mask = filter.entries(block)?;
            let per = filter.column.per();
            rows.retain(|r| mask.has(entry_of(per, block, *r as usize)));
        }
        Ok((rows.len() < block.len).then_some(rows))
    }
}

impl std::fmt::Display for BlockFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entries: Vec<_> = self.entries.iter().map(|e| e.expr.to_string()).collect();
        write!(f, "entries=[{}]", entries.join(", "))?;
        match &self.ranges {
            Some(ranges) => write!(f, " ranges=[{}]", ranges.orig_expr()),
            None => Ok(()),
        }
    }
}

impl EntryFilter {
    fn new(filter: &Expr, column: Column, state: &dyn Session) -> Result<EntryFilter> {
        let schema = Arc::new(Schema::new(vec![column.arrow()]));
        // The condition may name the table (`events.proc_name`); the one-column batch has no table.
        let filter = filter
            .clone()
            .transform(|e| {
                Ok(match e {
                    Expr::Column(c) => datafusion::common::tree_node::Transformed::yes(Expr::Column(
                        ColumnName::new_unqualified(c.name),
                    )),
                    e => datafusion::common::tree_node::Transformed::no(e),
                })
            })?
            .data;
        let expr = state.create_physical_expr(filter, &DFSchema::try_from(schema.as_ref().clone())?)?;
        Ok(EntryFilter { column, expr, schema })
    }

    fn entries(&self, block: &Decoded) -> Result<Mask> {
        let Some(values) = self.column.entries(block) else {
            return Ok(Mask {
                bits: vec![true],
                none: true,
            });
        };
        // One more entry stands for rows that refer to nothing: their value is null.
        let values = concat(&[&values, &new_null_array(values.data_type(), 1)])?;
        let array = self.typed(values)?;
        let batch = RecordBatch::try_new(self.schema.clone(), vec![array])?;
        let result = self.expr.evaluate(&batch)?.into_array(batch.num_rows())?;
        Ok(Mask::new(as_boolean_array(&result)?))
    }

    /// Texts as the dictionary type that the table shows.
    fn typed(&self, values: ArrayRef) -> Result<ArrayRef> {
        match (
            self.schema.field(0).data_type(),
            values.as_any().downcast_ref::<StringArray>(),
        ) {
            (DataType::Dictionary(..), Some(texts)) => {
                let keys: UInt32Array = (0..texts.len() as u32).map(Some).collect();
                Ok(dictionary(&keys, texts)?)
            }
            _ => Ok(values),
        }
    }
}

/// Which dictionary entries pass.
struct Mask {
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

    fn has(&self, entry: Option<u32>) -> bool {
        match entry {
            Some(i) => self.bits.get(i as usize).copied().unwrap_or(self.none),
            None => self.none,
        }
    }
}

/// Time and number range of each block.
struct HeadStatistics<'a> {
    heads: &'a [&'a BlockHead],
}

impl HeadStatistics<'_> {
    fn bound(
        &self,
        column: &ColumnName,
        ts: impl Fn(&BlockHead) -> u64,
        seq: impl Fn(&BlockHead) -> u64,
    ) -> Option<ArrayRef> {
        match column.name.as_str() {
            "ts" => {
                let values = self.heads.iter().map(|h| {
                    ScalarValue::TimestampNanosecond(Some(i64::try_from(ts(h)).unwrap_or(i64::MAX)), Some("UTC".into()))
                });
                ScalarValue::iter_to_array(values).ok()
            }
            "seq" => Some(Arc::new(UInt64Array::from_iter_values(
                self.heads.iter().map(|h| seq(h)),
            ))),
            _ => None,
        }
    }
}

impl PruningStatistics for HeadStatistics<'_> {
    fn min_values(&self, column: &ColumnName) -> Option<ArrayRef> {
        self.bound(column, |h| h.min_ts, |h| h.first_seq)
    }

    fn max_values(&self, column: &ColumnName) -> Option<ArrayRef> {
        self.bound(
            column,
            |h| h.max_ts,
            |h| h.first_seq + u64::from(h.events).saturating_sub(1),
        )
    }

    fn num_containers(&self) -> usize {
        self.heads.len()
    }

    fn null_counts(&self, _column: &ColumnName) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(&self, _: &ColumnName, _: &std::collections::HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

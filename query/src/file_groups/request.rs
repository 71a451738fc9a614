//! What an aggregation asks of files.

use std::fmt;
use std::sync::Arc;

use arrow::array::new_null_array;
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::common::cast::as_boolean_array;
use datafusion::physical_expr::expressions::{Column, DynamicFilterPhysicalExpr};
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_expr_common::physical_expr::is_volatile;

use crate::export::DISTINCT;
use crate::filter::Mask;

/// What rows of a group have in common.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    /// A column of the table.
    Column(usize),
    /// A number computed from columns of the row.
    Computed(Computed),
}

/// What is computed of a group.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    /// How many rows there are.
    Rows,
    /// In how many the column is not null.
    Present(usize),
    /// The smallest number.
    Min(usize),
    /// The largest number.
    Max(usize),
    /// The different texts. Only where all rows are one group.
    Distinct(usize),
}

impl Wanted {
    /// The column that it looks at.
    pub(super) fn column(self) -> Option<usize> {
        match self {
            Wanted::Rows => None,
            Wanted::Present(c) | Wanted::Min(c) | Wanted::Max(c) | Wanted::Distinct(c) => Some(c),
        }
    }
}

/// An expression over some columns.
#[derive(Clone, Debug)]
pub(crate) struct Computed {
    expr: Arc<dyn PhysicalExpr>,
    /// The columns of the table, as the expression's schema has them.
    pub(super) columns: Vec<usize>,
    schema: SchemaRef,
}

impl Computed {
    /// An expression over columns of this table.
    pub(crate) fn new(expr: &Arc<dyn PhysicalExpr>, table: &Schema) -> Result<Computed> {
        let mut columns: Vec<usize> = collect_columns(expr).iter().map(Column::index).collect();
        columns.sort_unstable();
        let schema = Arc::new(table.project(&columns)?);
        Ok(Computed {
            expr: reassign_expr_columns(expr.clone(), &schema)?,
            columns,
            schema,
        })
    }

    /// The values for rows that have these values in its columns.
    pub(super) fn of(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<ArrayRef> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        self.expr.evaluate(&batch)?.into_array(rows)
    }

    /// A condition on one column: which entries of a dictionary with these values pass.
    pub(super) fn mask(&self, values: &ArrayRef) -> Result<Mask> {
        let field = self.schema.field(0);
        // One more entry stands for rows without a value.
        let values = cast(values, field.data_type())?;
        let values = concat(&[&values, &new_null_array(field.data_type(), 1)])?;
        let rows = values.len();
        let result = self.of(vec![values], rows)?;
        Ok(Mask::new(as_boolean_array(&result)?))
    }
}

/// An aggregation over rows of files that pass conditions.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) keys: Vec<Key>,
    pub(crate) wanted: Vec<Wanted>,
    /// Conditions on one text column each.
    pub(super) entries: Vec<Computed>,
    /// Other conditions.
    pub(super) rows: Vec<Computed>,
    /// All conditions, for what statistics rule out.
    pub(super) predicate: Option<Arc<dyn PhysicalExpr>>,
    /// The table's columns, as far as files have them.
    pub(super) table: SchemaRef,
    /// Keys and partial results, as DataFusion's final aggregation expects them.
    pub(super) schema: SchemaRef,
}

impl Request {
    /// `None` where the condition cannot be evaluated here. It is over the table's columns.
    pub(crate) fn new(
        keys: Vec<Key>,
        wanted: Vec<Wanted>,
        predicate: Option<Arc<dyn PhysicalExpr>>,
        table: SchemaRef,
        schema: SchemaRef,
    ) -> Result<Option<Request>> {
        let (mut entries, mut rows) = (Vec::new(), Vec::new());
        for condition in predicate.iter().flat_map(split_conjunction) {
            let columns = collect_columns(condition);
            if is_volatile(condition) || changes(condition) || columns.iter().any(|c| table.fields().len() <= c.index())
            {
                return Ok(None);
            }
            let computed = Computed::new(condition, &table)?;
            match computed.columns.as_slice() {
                [one] if is_text(table.field(*one).data_type()) => entries.push(computed),
                _ => rows.push(computed),
            }
        }
        Ok(Some(Request {
            keys,
            wanted,
            entries,
            rows,
            predicate,
            table,
            schema,
        }))
    }

    /// Whether dictionaries make it faster, or keys that many neighbours have in common. Texts that exports have without
    /// a dictionary would have to get one first: DataFusion is faster then (4.5 times DuckDB's CPU time, where
    /// conditions let few rows pass).
    pub(crate) fn gains(&self) -> bool {
        let without = |c: &usize| {
            let field = self.table.field(*c);
            is_text(field.data_type()) && DISTINCT.contains(&field.name().as_str())
        };
        if self.columns().iter().any(without) {
            return false;
        }
        let key = |key: &Key| match key {
            Key::Column(c) => is_text(self.table.field(*c).data_type()),
            Key::Computed(_) => true,
        };
        let distinct = |w: &Wanted| matches!(w, Wanted::Distinct(_));
        !self.entries.is_empty() || self.keys.iter().any(key) || self.wanted.iter().any(distinct)
    }

    /// The columns that conditions look at; ascending.
    pub(super) fn tested(&self) -> Vec<usize> {
        let conditions = self.entries.iter().chain(&self.rows);
        ascending(conditions.flat_map(|c| c.columns.iter().copied()))
    }

    /// The columns that groups look at; ascending.
    pub(super) fn grouped(&self) -> Vec<usize> {
        let keys = self.keys.iter().flat_map(|k| match k {
            Key::Column(c) => std::slice::from_ref(c),
            Key::Computed(c) => c.columns.as_slice(),
        });
        let wanted = self.wanted.iter().filter_map(|w| w.column());
        ascending(keys.copied().chain(wanted))
    }

    /// All columns that it looks at.
    pub(super) fn columns(&self) -> Vec<usize> {
        ascending(self.tested().into_iter().chain(self.grouped()))
    }
}

fn ascending(columns: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut columns: Vec<usize> = columns.collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// Whether an expression learns while a statement runs.
fn changes(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.downcast_ref::<DynamicFilterPhysicalExpr>().is_some() || expr.children().into_iter().any(changes)
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |column: usize| self.table.field(column).name();
        let keys: Vec<String> = self
            .keys
            .iter()
            .map(|key| match key {
                Key::Column(c) => name(*c).clone(),
                Key::Computed(c) => c.expr.to_string(),
            })
            .collect();
        let wanted: Vec<String> = self
            .wanted
            .iter()
            .map(|wanted| match *wanted {
                Wanted::Rows => "count(*)".to_owned(),
                Wanted::Present(c) => format!("count({})", name(c)),
                Wanted::Min(c) => format!("min({})", name(c)),
                Wanted::Max(c) => format!("max({})", name(c)),
                Wanted::Distinct(c) => format!("distinct({})", name(c)),
            })
            .collect();
        write!(f, "groups=[{}] results=[{}]", keys.join(", "), wanted.join(", "))?;
        for (title, conditions) in [("entries", &self.entries), ("rows", &self.rows)] {
            let conditions: Vec<String> = conditions.iter().map(|c| c.expr.to_string()).collect();
            if !conditions.is_empty() {
                write!(f, " {title}=[{}]", conditions.join(", "))?;
            }
        }
        Ok(())
    }
}

/// Whether values of this type are texts.
pub(crate) fn is_text(ty: &DataType) -> bool {
    matches!(ty, DataType::Utf8View | DataType::Utf8 | DataType::LargeUtf8)
}

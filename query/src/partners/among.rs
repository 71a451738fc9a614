//! The condition that a number is one of those that the other side of a join has.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Schema, UInt64Type};
use arrow::record_batch::RecordBatch;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;

use super::noted::Partners;

/// The condition. What the join says itself is asked where numbers are not known, and by statistics.
#[derive(Debug)]
pub(super) struct Among {
    number: Arc<dyn PhysicalExpr>,
    of_join: Arc<dyn PhysicalExpr>,
    partners: Arc<Partners>,
}

impl Among {
    /// That a column is among them, beside a condition that says the same.
    pub(super) fn over(
        column: &Column,
        of_join: &Arc<dyn PhysicalExpr>,
        partners: &Arc<Partners>,
    ) -> Arc<dyn PhysicalExpr> {
        Arc::new(Among {
            number: Arc::new(column.clone()),
            of_join: of_join.clone(),
            partners: partners.clone(),
        })
    }
}

impl PartialEq for Among {
    fn eq(&self, other: &Among) -> bool {
        self.number.eq(&other.number) && self.of_join.eq(&other.of_join) && Arc::ptr_eq(&self.partners, &other.partners)
    }
}

impl Eq for Among {}

impl Hash for Among {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
        self.of_join.hash(state);
    }
}

impl fmt::Display for Among {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "has_partner({}) [{}]", self.number, self.of_join)
    }
}

impl PhysicalExpr for Among {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.of_join.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let Some(noted) = self.partners.noted() else {
            return self.of_join.evaluate(batch);
        };
        let numbers = self.number.evaluate(batch)?.into_array(batch.num_rows())?;
        let Some(numbers) = numbers.as_primitive_opt::<UInt64Type>() else {
            return self.of_join.evaluate(batch);
        };
        let values = numbers.values();
        let has = |row: usize| values.get(row).is_some_and(|n| noted.has(*n));
        let mut out = BooleanBuffer::collect_bool(values.len(), has);
        if let Some(valid) = numbers.nulls() {
            // What is absent has no partner.
            out = &out & valid.inner();
        }
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::new(out, None))))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.number, &self.of_join]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let [number, of_join] = <[_; 2]>::try_from(children)
            .map_err(|children| internal_datafusion_err!("{} children instead of two", children.len()))?;
        let partners = self.partners.clone();
        Ok(Arc::new(Among {
            number,
            of_join,
            partners,
        }))
    }

    fn snapshot(&self) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        Ok(Some(self.of_join.clone()))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

//! Rows of a result as values, for those who do not know Arrow.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, DurationNanosecondType, Int64Type, TimeUnit, TimestampNanosecondType, UInt64Type};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use ctrace_trace::catalogue::Value;

use crate::column::{TEXT, timestamp_type};
use crate::error::QueryError;

/// Some rows of a result.
#[derive(Debug)]
pub struct Rows {
    columns: BTreeMap<String, ArrayRef>,
    count: usize,
}

impl Rows {
    /// The rows of a batch.
    ///
    /// # Errors
    /// Where a column is of a type that no table of ctrace has.
    pub fn new(batch: &RecordBatch) -> Result<Rows, QueryError> {
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns());
        let columns: Result<BTreeMap<String, ArrayRef>, ArrowError> = columns
            .map(|(field, array)| Ok((field.name().clone(), cast(array, &known(array.data_type()))?)))
            .collect();
        Ok(Rows {
            columns: columns.map_err(|e| QueryError::Data(e.to_string()))?,
            count: batch.num_rows(),
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The value of a column in a row: addresses are texts, times nanoseconds. Absent where it is null or not there.
    pub fn value(&self, row: usize, column: &str) -> Value<'_> {
        match self.columns.get(column) {
            Some(array) if row < array.len() && !array.is_null(row) => value(array, row),
            _ => Value::Absent,
        }
    }
}

/// The form in which values of a type are read: engines give texts and numbers in several.
fn known(ty: &DataType) -> DataType {
    match ty {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Dictionary(..) => TEXT,
        DataType::Int8 | DataType::Int16 | DataType::Int32 => DataType::Int64,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => DataType::UInt64,
        DataType::Timestamp(..) => timestamp_type(),
        DataType::Duration(_) => DataType::Duration(TimeUnit::Nanosecond),
        other => other.clone(),
    }
}

fn value(array: &ArrayRef, row: usize) -> Value<'_> {
    match array.data_type() {
        DataType::Utf8View => Value::Str(array.as_string_view().value(row).as_bytes().into()),
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => Value::Uint(array.as_primitive::<UInt64Type>().value(row)),
        DataType::Timestamp(..) => {
            let ns = array.as_primitive::<TimestampNanosecondType>().value(row);
            u64::try_from(ns).map_or(Value::Absent, Value::Uint)
        }
        DataType::Duration(_) => Value::Int(array.as_primitive::<DurationNanosecondType>().value(row)),
        DataType::List(_) => list(&array.as_list::<i32>().value(row)),
        _ => Value::Absent,
    }
}

fn list<'a>(items: &ArrayRef) -> Value<'a> {
    let Ok(items) = cast(items, &TEXT) else {
        return Value::Absent;
    };
    let items = items.as_string_view().iter().flatten();
    Value::List(items.map(|s| s.as_bytes().to_vec().into()).collect())
}

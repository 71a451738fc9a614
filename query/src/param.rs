//! Values for the placeholders of a statement: `$name`, or `$1` and so on.

use std::collections::HashMap;

use datafusion::common::{ParamValues, ScalarValue};

/// A value that a placeholder stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Param {
    /// NULL.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(String),
    /// A time, UTC nanoseconds.
    Time(i64),
}

impl From<Param> for ScalarValue {
    fn from(param: Param) -> ScalarValue {
        match param {
            Param::Null => ScalarValue::Null,
            Param::Bool(b) => ScalarValue::Boolean(Some(b)),
            Param::Int(n) => ScalarValue::Int64(Some(n)),
            Param::Float(x) => ScalarValue::Float64(Some(x)),
            Param::Text(s) => ScalarValue::Utf8(Some(s)),
            Param::Time(ns) => ScalarValue::TimestampNanosecond(Some(ns), Some("UTC".into())),
        }
    }
}

/// Looked up by name; nothing goes through them in their order.
pub(crate) fn values(params: &[(String, Param)]) -> ParamValues {
    let named = params.iter().map(|(name, value)| (name.clone(), value.clone().into()));
    ParamValues::from(named.collect::<HashMap<String, ScalarValue>>())
}

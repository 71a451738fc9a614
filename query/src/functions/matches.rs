//! `audit_matches`: which records of an audit event a regular expression matches.

use std::sync::Arc;

use arrow::array::{ListBuilder, UInt64Builder};
use arrow::datatypes::{DataType, Field};
use ctrace_trace::audit::{Line, lines};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::prelude::SessionContext;
use regex::bytes::Regex;

use super::{arrays, texts};

/// Makes the function known.
pub(super) fn register(context: &SessionContext) {
    context.register_udf(ScalarUDF::from(Matches {
        signature: Signature::exact(vec![DataType::Utf8View; 4], Volatility::Immutable),
    }));
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Matches {
    signature: Signature,
}

impl ScalarUDFImpl for Matches {
    fn name(&self) -> &str {
        "audit_matches"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Arc::new(Field::new_list_field(DataType::UInt64, true))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = arrays(&args)?;
        let [records, syscalls, fields, patterns] = arrays.as_slice() else {
            return exec_err!("audit_matches takes four arguments");
        };
        let mut out = ListBuilder::new(UInt64Builder::new());
        let mut last: Option<(String, Regex)> = None;
        let rows = texts(records)
            .zip(texts(syscalls))
            .zip(texts(fields))
            .zip(texts(patterns));
        for (((raw, syscall), field), pattern) in rows {
            let (Some(raw), Some(field), Some(pattern)) = (raw, field, pattern) else {
                out.append_null();
                continue;
            };
            // A statement has one pattern, mostly.
            let regex = match last.take().filter(|(of, _)| of == pattern) {
                Some((_, regex)) => regex,
                None => Regex::new(pattern).map_err(|e| exec_datafusion_err!("audit_matches: {e}"))?,
            };
            for number in matching(raw, syscall.unwrap_or_default(), field, &regex) {
                out.values().append_value(number);
            }
            out.append(true);
            last = Some((pattern.to_owned(), regex));
        }
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
    }
}

fn matching<'a>(raw: &'a str, syscall: &'a str, field: &'a str, regex: &'a Regex) -> impl Iterator<Item = u64> + 'a {
    let records = lines(raw.as_bytes()).map(|line| Line::new(line, syscall.as_bytes()));
    (1..).zip(records).filter_map(move |(number, record)| {
        let matches = match field {
            "" => record.texts().any(|text| regex.is_match(&text)),
            field => record.values(field).iter().any(|value| regex.is_match(value)),
        };
        matches.then_some(number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_counted_from_one() {
        let raw = "type=SYSCALL a0=1 key=6101 62\n\ntype=EXECVE a0=\"cat\" a1=2D61\ntype=EXECVE a0=\"ls\"\n";
        let of = |field: &str, pattern: &str| {
            let regex = Regex::new(pattern).expect("a pattern");
            matching(raw, "execve", field, &regex).collect::<Vec<_>>()
        };
        assert_eq!(of("type", "^EXECVE$"), [2, 3]);
        assert_eq!(of("a0", "^(?:1|ls)$"), [1, 3]);
        assert_eq!(of("SYSCALL", "^execve$"), [1]);
        assert_eq!(of("", "-a"), [2]);
        assert_eq!(of("a9", ""), [0; 0]);
    }
}

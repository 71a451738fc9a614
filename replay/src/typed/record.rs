//! Conditions on single audit records: an audit event has several, and a Sigma rule looks at one at a time.

use std::borrow::Cow;
use std::fmt;

use ctrace_trace::audit::{self, Line};
use ctrace_trace::block::decoded::EventView;
use ctrace_trace::catalogue::Value;
use ctrace_trace::event::Arg;

use super::test::{self, Test};
use crate::condition::Operator;

/// What a record must satisfy. Names are those of the record's fields (`type`, `a0`, `exe`, `SYSCALL`).
#[derive(Clone, Debug)]
pub(crate) enum RecordTest {
    And(Vec<RecordTest>),
    Or(Vec<RecordTest>),
    Not(Box<RecordTest>),
    Const(bool),
    /// One of the field's values satisfies the test; with `fold` after its letters became small.
    Field {
        name: String,
        fold: bool,
        test: Test,
    },
    /// Two fields compare; with `fold` whatever the case of their letters.
    Fields {
        left: String,
        op: Operator,
        right: String,
        fold: bool,
    },
    /// The record's text satisfies the test, or one of its values that the kernel wrote in hexadecimal.
    Text {
        fold: bool,
        test: Test,
    },
}

/// Whether one of an audit event's records satisfies the test.
pub(crate) fn holds(test: &RecordTest, event: EventView<'_>) -> bool {
    let text = |name| match event.arg_named(name) {
        Arg::Str(text) => text,
        _ => b"",
    };
    let syscall = text("syscall");
    audit::lines(text("raw"))
        .map(|line| Line::new(line, syscall))
        .any(|record| test.holds(&record))
}

impl RecordTest {
    fn holds(&self, record: &Line<'_>) -> bool {
        match self {
            RecordTest::And(parts) => parts.iter().all(|p| p.holds(record)),
            RecordTest::Or(parts) => parts.iter().any(|p| p.holds(record)),
            RecordTest::Not(inner) => !inner.holds(record),
            RecordTest::Const(value) => *value,
            RecordTest::Field { name, fold, test } => {
                let values = record.values(name);
                values.into_iter().any(|v| test.holds(&Value::Str(folded(v, *fold))))
            }
            RecordTest::Fields { left, op, right, fold } => {
                let right = record.values(right);
                let compare = |l: &Cow<'_, [u8]>, r: &Cow<'_, [u8]>| {
                    let (l, r) = (folded(l.clone(), *fold), folded(r.clone(), *fold));
                    test::compare_values(*op, &Value::Str(l), &Value::Str(r))
                };
                record.values(left).iter().any(|l| right.iter().any(|r| compare(l, r)))
            }
            RecordTest::Text { fold, test } => {
                let asks = |text: Cow<'_, [u8]>| test.holds(&Value::Str(folded(text, *fold)));
                record.texts().any(asks)
            }
        }
    }
}

fn folded(text: Cow<'_, [u8]>, fold: bool) -> Cow<'_, [u8]> {
    if fold && text.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        text
    }
}

impl fmt::Display for RecordTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, parts: &[RecordTest], word: &str| {
            f.write_str("(")?;
            for (i, part) in parts.iter().enumerate() {
                write!(f, "{}{part}", if i == 0 { "" } else { word })?;
            }
            f.write_str(")")
        };
        let name = |name: &str, fold: bool| {
            if fold {
                format!("tolower({name})")
            } else {
                name.to_owned()
            }
        };
        match self {
            RecordTest::And(parts) => list(f, parts, " and "),
            RecordTest::Or(parts) => list(f, parts, " or "),
            RecordTest::Not(inner) => write!(f, "not {inner}"),
            RecordTest::Const(value) => write!(f, "{value}"),
            RecordTest::Field { name: n, fold, test } => write!(f, "{} {test}", name(n, *fold)),
            RecordTest::Fields { left, op, right, fold } => {
                write!(f, "{} {} {}", name(left, *fold), op.name(), name(right, *fold))
            }
            RecordTest::Text { fold, test } => write!(f, "{} {test}", name("text", *fold)),
        }
    }
}
